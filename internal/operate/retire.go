package operate

import (
	"context"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/keyring"
)

// retireAfter is how long a key is kept, at least, after the next one became primary: what was being
// sealed under it at that moment has reached the store by then.
const retireAfter = time.Hour

// RetireKeys removes the enabled keys under which nothing is sealed any more: no part of a record, no
// detail of a log entry. Age alone retires none. It reads the whole store if there is such a key, and
// returns the keys it removed.
func (o *Operations) RetireKeys(ctx context.Context) ([]keyring.KeyID, error) {
	idle := map[keyring.KeyID]bool{}
	for _, k := range o.Keys.Keys() {
		if k.State == keyring.Primary && o.now().Sub(k.Created) < retireAfter {
			return nil, nil
		}
		idle[k.ID] = k.State == keyring.Enabled
	}
	err := o.using(ctx, func(_ *counterfoil.Record, id keyring.KeyID) error {
		delete(idle, id)
		return nil
	})
	if err == nil {
		err = o.logged(ctx, func(e counterfoil.Entry) { delete(idle, e.DetailKey) })
	}
	var gone []keyring.KeyID
	for id, enabled := range idle {
		if err == nil && enabled {
			if err = o.Keys.Retire(id, 0); err == nil {
				gone = append(gone, id)
			}
		}
	}
	return gone, err
}

// logged calls f for every entry that the log still has.
func (o *Operations) logged(ctx context.Context, f func(counterfoil.Entry)) error {
	head, err := o.Store.Log(ctx, 0, 0)
	if err != nil {
		return err
	}
	for since := head.Floor; ; {
		page, err := o.Store.Log(ctx, since, scanPage)
		if err != nil {
			return err
		}
		for _, e := range page.Entries {
			f(e)
			since = e.Seq
		}
		if len(page.Entries) < scanPage {
			return nil
		}
	}
}
