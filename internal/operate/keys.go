package operate

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/keyring"
)

// Key is a key as lists show it; its bytes are nowhere in it.
type Key struct {
	ID       string    `json:"id"`
	State    string    `json:"state"`
	Created  time.Time `json:"created"`
	Sessions int       `json:"sessions"` // that something of is sealed under it
}

// Keys is the ring of an installation.
type Keys struct {
	Fingerprint string `json:"fingerprint"`
	Source      string `json:"source"`
	Keys        []Key  `json:"keys"`
}

// Rotated names the key that is primary now.
type Rotated struct {
	ID string `json:"id"`
}

// Wrap names the file of the key that is to wrap the key file; none: it is to stand in the clear.
type Wrap struct {
	File string `json:"file"` // an absolute path, as the server sees it
}

// Wrapped says what wraps the key file now.
type Wrapped struct {
	By string `json:"by"` // "": nothing
}

const scanPage = 500 // records read at once

// using calls f for every record of which a part needs the key.
func (o *Operations) using(ctx context.Context, f func(*counterfoil.Record, keyring.KeyID) error) error {
	var after counterfoil.ID
	for {
		page, err := o.Store.Scan(ctx, after, scanPage)
		if err != nil {
			return err
		}
		for _, r := range page {
			seen := map[keyring.KeyID]bool{0: true}
			for _, id := range []keyring.KeyID{r.IdentityKey, r.ValuesKey, r.VerifierKey, r.SelectorKey} {
				if seen[id] {
					continue
				}
				seen[id] = true
				if err := f(r, id); err != nil {
					return err
				}
			}
			after = r.ID
		}
		if len(page) < scanPage {
			return nil
		}
	}
}

func (o *Operations) list(ctx context.Context) (Keys, error) {
	uses := map[keyring.KeyID]int{}
	err := o.using(ctx, func(_ *counterfoil.Record, id keyring.KeyID) error {
		uses[id]++
		return nil
	})
	all := Keys{Fingerprint: o.Keys.Fingerprint(), Source: o.Keys.Source().String(), Keys: []Key{}}
	for _, k := range o.Keys.Keys() {
		all.Keys = append(all.Keys, Key{k.ID.String(), string(k.State), k.Created, uses[k.ID]})
	}
	return all, err
}

func (o *Operations) keys(r *http.Request) (any, error) { return o.list(r.Context()) }

func (o *Operations) key(r *http.Request) (any, error) {
	all, err := o.list(r.Context())
	if err != nil {
		return nil, err
	}
	for _, k := range all.Keys {
		if k.ID == r.PathValue("id") {
			return k, nil
		}
	}
	return nil, noKey(r.PathValue("id"))
}

func (o *Operations) rotateKey(r *http.Request) (any, error) {
	id, err := o.Keys.Rotate(o.now())
	if err != nil {
		return nil, keyFault(err)
	}
	o.event(counterfoil.ReasonRotated, 0)
	return Rotated{id.String()}, nil
}

func (o *Operations) wrapKeys(r *http.Request) (any, error) {
	var in Wrap
	if err := read(r, &in); err != nil {
		return nil, err
	}
	var by keyring.Wrapper
	why := counterfoil.ReasonUnwrapped
	if in.File != "" {
		why = counterfoil.ReasonWrapped
		var err error
		if by, err = keyring.KeyFileWrapper(in.File); err != nil {
			return nil, &refusal{nil, err.Error()}
		}
	}
	if err := o.Keys.Rewrap(by); err != nil {
		return nil, keyFault(err)
	}
	o.event(why, 0)
	return Wrapped{o.Keys.Source().Wrap}, nil
}

// revokeKey ends what the key protects before and after the key is gone: before, because what cannot
// be opened any more is still admitted from a cache; after, because a sign-in may have come between.
func (o *Operations) revokeKey(r *http.Request) (any, error) {
	id, err := keyring.ParseKeyID(r.PathValue("id"))
	if err != nil {
		return nil, noKey(r.PathValue("id"))
	}
	before, err := o.endUsing(r.Context(), id)
	if err != nil {
		return nil, err
	}
	if err := o.Keys.Revoke(o.now(), id); errors.Is(err, keyring.ErrNoKey) {
		return nil, noKey(id.String())
	} else if err != nil {
		return nil, keyFault(err)
	}
	after, err := o.endUsing(r.Context(), id)
	o.event(counterfoil.ReasonRevoked, before+after)
	return Ended{Ended: before + after}, err
}

func (o *Operations) endUsing(ctx context.Context, key keyring.KeyID) (ended int, err error) {
	var last counterfoil.Revocation // when this one is in force, so are those before it
	err = o.using(ctx, func(rec *counterfoil.Record, id keyring.KeyID) error {
		if id != key {
			return nil
		}
		done, err := o.Sessions.Revoke(ctx, counterfoil.ByID(rec.ID), counterfoil.ReasonRevoked)
		if errors.Is(err, counterfoil.ErrNotFound) { // ended meanwhile, or with its parent
			return nil
		}
		if err == nil {
			ended, last = ended+max(0, done.Ended), done
		}
		return err
	})
	if err == nil {
		_, err = last.Wait(ctx)
	}
	return ended, err
}

func (o *Operations) event(why counterfoil.Reason, count int) {
	o.Audit.Record(counterfoil.Event{Kind: counterfoil.EventKeys, Reason: why, Time: o.now(), Count: count})
}

func keyFault(err error) error {
	for _, known := range []error{keyring.ErrNotOurs, keyring.ErrRoots, keyring.ErrNoFile, keyring.ErrUnsafe, keyring.ErrWrapped} {
		if errors.Is(err, known) {
			return &refusal{nil, err.Error()}
		}
	}
	return err
}

func noKey(id string) error {
	return notFound("there is no key %s; `counterfoil key list` shows all", id)
}
