package blob

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil/account"
)

// accounts is the account store in the same journal.
type accounts struct{ s *Store }

// counted are the attempts under one key, in order.
type counted struct {
	At   []time.Time
	Ends time.Time // from then on none of them counts
}

// linkOwner is what a link is for; it has one at most.
type linkOwner struct{ purpose, subject string }

func ownerOf(l account.Link) linkOwner { return linkOwner{l.Purpose, l.Subject} }

// applyAccount is apply for what the gateway itself keeps.
func (s *state) applyAccount(c change) (func(), error) {
	damaged := func(err error) (func(), error) { return nil, fmt.Errorf("%w (accounts: %w)", ErrDamaged, err) }
	switch c.kind {
	case kindAccount:
		var a account.Account
		if err := json.Unmarshal(c.value, &a); err != nil {
			return damaged(err)
		}
		return assign(s.accounts, string(c.key), &a), nil
	case kindAttempt:
		if c.value == nil {
			return discard(s.attempts, string(c.key)), nil
		}
		var a counted
		if err := json.Unmarshal(c.value, &a); err != nil {
			return damaged(err)
		}
		return assign(s.attempts, string(c.key), a), nil
	}
	if len(c.key) != 32 {
		return nil, fmt.Errorf("%w (a link's hash)", ErrDamaged)
	}
	hash := [32]byte(c.key)
	if c.value == nil {
		l, had := s.links[hash]
		if !had {
			return func() {}, nil
		}
		undoLink, undoOwner := discard(s.links, hash), discard(s.linkOf, ownerOf(l))
		return func() { undoOwner(); undoLink() }, nil
	}
	var l account.Link
	if err := json.Unmarshal(c.value, &l); err != nil {
		return damaged(err)
	}
	l.Hash = hash
	undoLink, undoOwner := assign(s.links, hash, l), assign(s.linkOf, ownerOf(l), hash)
	return func() { undoOwner(); undoLink() }, nil
}

// setJSON notes a value of which JSON knows every field.
func (t *tx) setJSON(kind byte, key []byte, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		t.fault = err
		return
	}
	t.set(kind, key, text)
}

func (t *tx) setAccount(a account.Account) {
	a.Created, a.Changed = a.Created.UTC(), a.Changed.UTC()
	t.setJSON(kindAccount, []byte(a.Name), a)
}

// accountChanges are the changes that make the accounts of s.
func (s *state) accountChanges() []change {
	t := tx{s: newState()}
	for _, a := range s.accounts {
		t.setAccount(*a)
	}
	for key, a := range s.attempts {
		t.setJSON(kindAttempt, []byte(key), a)
	}
	for hash, l := range s.links {
		l.Hash = [32]byte{}
		t.setJSON(kindLink, bytes.Clone(hash[:]), l)
	}
	return t.changes
}

// Add implements account.Store.
func (s accounts) Add(ctx context.Context, a *account.Account, onlyFirst bool) error {
	own := *a
	own.Revision = 1
	_, err := ask(ctx, s.s, func(t *tx) (none, error) {
		switch {
		case onlyFirst && len(t.s.accounts) > 0:
			return none{}, account.ErrNotFirst
		case t.s.accounts[own.Name] != nil:
			return none{}, account.ErrExists
		}
		t.setAccount(own)
		return none{}, nil
	})
	if err == nil {
		a.Revision = 1
	}
	return err
}

// Get implements account.Store.
func (s accounts) Get(ctx context.Context, name string) (*account.Account, error) {
	return ask(ctx, s.s, func(t *tx) (*account.Account, error) {
		a := t.s.accounts[name]
		if a == nil {
			return nil, account.ErrNotFound
		}
		own := *a
		return &own, nil
	})
}

// Update implements account.Store.
func (s accounts) Update(ctx context.Context, a *account.Account) error {
	own := *a
	_, err := ask(ctx, s.s, func(t *tx) (none, error) {
		switch old := t.s.accounts[own.Name]; {
		case old == nil:
			return none{}, account.ErrNotFound
		case old.Revision != own.Revision:
			return none{}, account.ErrConflict
		}
		next := own
		next.Revision++
		t.setAccount(next)
		return none{}, nil
	})
	if err == nil {
		a.Revision++
	}
	return err
}

// All implements account.Store.
func (s accounts) All(ctx context.Context) iter.Seq2[*account.Account, error] {
	return yieldAll(ctx, s.s, func(st *state) []*account.Account {
		all := make([]*account.Account, 0, len(st.accounts))
		for _, name := range slices.Sorted(maps.Keys(st.accounts)) {
			own := *st.accounts[name]
			all = append(all, &own)
		}
		return all
	})
}

// yieldAll yields what read finds at one moment.
func yieldAll[T any](ctx context.Context, s *Store, read func(*state) []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		all, err := ask(ctx, s, func(t *tx) ([]T, error) { return read(t.s), nil })
		if err != nil {
			var zero T
			yield(zero, err)
			return
		}
		for _, v := range all {
			if !yield(v, nil) {
				return
			}
		}
	}
}

// Attempt implements account.Store.
func (s accounts) Attempt(ctx context.Context, key string, now time.Time, window time.Duration, max int) (bool, time.Time, error) {
	if max < 1 {
		return false, now.Add(window), ctx.Err()
	}
	retry, err := ask(ctx, s.s, func(t *tx) (time.Time, error) {
		old := t.s.attempts[key]
		var kept []time.Time
		for _, at := range old.At {
			if at.After(now.Add(-window)) {
				kept = append(kept, at)
			}
		}
		if len(kept) >= max {
			return kept[len(kept)-max].Add(window), nil
		}
		next := counted{At: append(kept, now.UTC()), Ends: now.Add(window).UTC()}
		slices.SortFunc(next.At, time.Time.Compare)
		if old.Ends.After(next.Ends) {
			next.Ends = old.Ends
		}
		t.setJSON(kindAttempt, []byte(key), next)
		return time.Time{}, nil
	})
	return err == nil && retry.IsZero(), retry, err
}

// Forgive implements account.Store.
func (s accounts) Forgive(ctx context.Context, key string, at time.Time) error {
	_, err := ask(ctx, s.s, func(t *tx) (none, error) {
		old, known := t.s.attempts[key]
		i := slices.IndexFunc(old.At, at.Equal)
		switch {
		case !known || i < 0 && !at.IsZero():
		case at.IsZero() || len(old.At) == 1:
			t.set(kindAttempt, []byte(key), nil)
		default:
			t.setJSON(kindAttempt, []byte(key), counted{slices.Delete(slices.Clone(old.At), i, i+1), old.Ends})
		}
		return none{}, nil
	})
	return err
}

// Attempts implements account.Store.
func (s accounts) Attempts(ctx context.Context) iter.Seq2[account.Attempt, error] {
	return yieldAll(ctx, s.s, func(st *state) (all []account.Attempt) {
		for key, a := range st.attempts {
			for _, at := range a.At {
				all = append(all, account.Attempt{Key: key, At: at, Ends: a.Ends})
			}
		}
		return all
	})
}

// PutLink implements account.Store.
func (s accounts) PutLink(ctx context.Context, l account.Link) error {
	_, err := ask(ctx, s.s, func(t *tx) (none, error) {
		older, had := t.s.linkOf[ownerOf(l)]
		if had {
			t.set(kindLink, older[:], nil)
		}
		if _, had := t.s.links[l.Hash]; had {
			t.set(kindLink, l.Hash[:], nil)
		}
		kept := l
		kept.Hash, kept.Expires = [32]byte{}, l.Expires.UTC()
		t.setJSON(kindLink, l.Hash[:], kept)
		return none{}, nil
	})
	return err
}

// TakeLink implements account.Store.
func (s accounts) TakeLink(ctx context.Context, hash [32]byte, now time.Time) (account.Link, error) {
	return ask(ctx, s.s, func(t *tx) (account.Link, error) {
		l, had := t.s.links[hash]
		if !had || !l.Expires.After(now) {
			return account.Link{}, account.ErrNotFound
		}
		t.set(kindLink, hash[:], nil)
		return l, nil
	})
}

// Links implements account.Store.
func (s accounts) Links(ctx context.Context) iter.Seq2[account.Link, error] {
	return yieldAll(ctx, s.s, func(st *state) []account.Link { return slices.Collect(maps.Values(st.links)) })
}

// tidyPiece bounds what one call of Tidy removes in one object.
const tidyPiece = 1000

// Tidy implements account.Store.
func (s accounts) Tidy(ctx context.Context, now time.Time) error {
	for {
		n, err := ask(ctx, s.s, func(t *tx) (n int, _ error) {
			for hash, l := range t.s.links {
				if n < tidyPiece && !l.Expires.After(now) {
					t.set(kindLink, hash[:], nil)
					n++
				}
			}
			for key, a := range t.s.attempts {
				if n < tidyPiece && !a.Ends.After(now) {
					t.set(kindAttempt, []byte(key), nil)
					n++
				}
			}
			return n, nil
		})
		if err != nil || n < tidyPiece {
			return err
		}
	}
}
