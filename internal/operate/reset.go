package operate

import (
	"context"
	"errors"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/keyring"
)

// ResetKeys ends every session and removes the key file, so that the next start makes keys and roots
// that have nothing in common with the old ones. It returns the file, and how many sessions ended; not
// sure, it says what it would do and does nothing. Keys from outside are refused. The caller holds the
// lock.
func ResetKeys(ctx context.Context, p Place, sure bool) (file string, sessions int, err error) {
	o, done, err := Offline(ctx, p)
	if err != nil {
		return "", 0, err
	}
	if sessions, err = o.endForReset(ctx, sure); err != nil {
		return "", 0, errors.Join(err, done(ctx))
	}
	source := o.Keys.Source()
	err = done(ctx) // before the keys are gone: closing may still write
	if err == nil && sure {
		err = o.Keys.Discard()
	}
	return "the key file " + source.Path, sessions, err
}

func (o *Operations) endForReset(ctx context.Context, sure bool) (sessions int, err error) {
	switch source := o.Keys.Source(); source.Kind {
	case keyring.SourceOwn, keyring.SourceGenerated:
	default:
		return 0, failed("these keys come from outside (%s) and are not removed, nothing was done: change them where they are managed, and then run: counterfoil session end --all --reset-key", source)
	}
	if !sure {
		for _, err := range o.Sessions.All(ctx) {
			if err != nil {
				return 0, err
			}
			sessions++
		}
		return sessions, nil
	}
	ended, err := o.Sessions.Revoke(ctx, counterfoil.Everything(), counterfoil.ReasonRevoked)
	if err == nil {
		_, err = ended.Wait(ctx)
	}
	if err == nil {
		o.event(counterfoil.ReasonRevoked, ended.Ended) // exported now, while the keys can say whose they were
	}
	return ended.Ended, err
}
