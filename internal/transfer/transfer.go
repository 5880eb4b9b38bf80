// Package transfer moves what a store holds: to another store, into a file, and back.
//
//	report, err := transfer.Copy(ctx, transfer.CopyJob{From: old, To: new, Clock: clock})
//
// Records travel sealed, as they are: no key is needed, and whoever holds the key file before opens
// them after. A store that is being moved, or was, bears a mark; [Usable] reads it, and nothing serves
// on a store that is not.
package transfer

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/account"
)

// Side is one store with what the gateway keeps in it.
type Side struct {
	Sessions counterfoil.Store
	Accounts account.Store
	Name     string // for people: a DSN without its password
}

// Progress is told how far a transfer is: what is being moved and how many of it are done. It may be
// called often. Nil is allowed.
type Progress func(what string, done int)

func (p Progress) tell(what string, done int) {
	if p != nil {
		p(what, done)
	}
}

const (
	pageSize = 500 // records read at once
	workers  = 128 // changes under way at once, so that a store can commit them together
)

// empty reports whether a store holds neither records nor accounts.
func (s Side) empty(ctx context.Context) (bool, error) {
	records, err := s.Sessions.Scan(ctx, counterfoil.ID{}, 1)
	if err != nil || len(records) > 0 {
		return false, err
	}
	for _, err := range s.Accounts.All(ctx) {
		return false, err
	}
	return true, nil
}

// SetMeta sets a small value whatever it was. A nil value removes it.
func SetMeta(ctx context.Context, s counterfoil.Store, key string, value []byte) error {
	for {
		old, err := s.Meta(ctx, key)
		if err != nil || (old == nil) == (value == nil) && slices.Equal(old, value) {
			return err
		}
		if err := s.SwapMeta(ctx, key, old, value); !errors.Is(err, counterfoil.ErrConflict) {
			return err
		}
	}
}

// EndAll ends every session of a store and says how many there were, -1 if that is not known.
func EndAll(ctx context.Context, s counterfoil.Store, c counterfoil.Clock, why counterfoil.Reason) (int, error) {
	done, err := s.Revoke(ctx, counterfoil.Entry{Version: counterfoil.EntryVersion, Kind: counterfoil.EntryEndedAll, Reason: why, Time: wall(c)})
	return done.Count, err
}

// records calls f for each record of a store, page by page.
func records(ctx context.Context, s counterfoil.Store, f func([]*counterfoil.Record) error) error {
	var after counterfoil.ID
	for {
		page, err := s.Scan(ctx, after, pageSize)
		if err != nil {
			return err
		}
		if len(page) > 0 {
			after = page[len(page)-1].ID
			if err := f(page); err != nil {
				return err
			}
		}
		if len(page) < pageSize {
			return nil
		}
	}
}

// position is a moment in a store's history.
type position struct {
	incarnation string
	head        uint64
}

func now(ctx context.Context, s counterfoil.Store) (position, error) {
	page, err := s.Log(ctx, 0, 0)
	if err != nil && !errors.Is(err, counterfoil.ErrGap) {
		return position{}, fmt.Errorf("the store's log cannot be read: %w", err)
	}
	return position{page.Incarnation, page.Head}, nil
}
