// Package memaccount keeps accounts in memory, for tests and for a server that shall remember
// nothing.
//
//	accounts, err := account.NewService(account.Config{Store: memaccount.New()})
package memaccount

import (
	"context"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil/account"
)

// Store is an account.Store. It is safe for use by many goroutines; New makes one.
type Store struct {
	mu       sync.Mutex
	accounts map[string]account.Account
	attempts map[string]attempts
	links    map[[32]byte]account.Link
}

// attempts under one key, in the order in which they were reserved.
type attempts struct {
	at   []time.Time
	ends time.Time // the latest moment at which one of them counts
}

var _ account.Store = (*Store)(nil)

// New returns an empty Store.
func New() *Store {
	return &Store{
		accounts: make(map[string]account.Account),
		attempts: make(map[string]attempts),
		links:    make(map[[32]byte]account.Link),
	}
}

// Add implements account.Store.
func (s *Store) Add(ctx context.Context, a *account.Account, onlyFirst bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if onlyFirst && len(s.accounts) > 0 {
		return account.ErrNotFirst
	}
	if _, taken := s.accounts[a.Name]; taken {
		return account.ErrExists
	}
	a.Revision = 1
	s.accounts[a.Name] = *a
	return nil
}

// Get implements account.Store.
func (s *Store) Get(ctx context.Context, name string) (*account.Account, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.accounts[name]
	if !ok {
		return nil, account.ErrNotFound
	}
	return &a, nil
}

// Update implements account.Store.
func (s *Store) Update(ctx context.Context, a *account.Account) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch old, ok := s.accounts[a.Name]; {
	case !ok:
		return account.ErrNotFound
	case old.Revision != a.Revision:
		return account.ErrConflict
	}
	a.Revision++
	s.accounts[a.Name] = *a
	return nil
}

// All implements account.Store.
func (s *Store) All(ctx context.Context) iter.Seq2[*account.Account, error] {
	return func(yield func(*account.Account, error) bool) {
		s.mu.Lock()
		names := slices.Sorted(maps.Keys(s.accounts))
		s.mu.Unlock()
		for _, name := range names {
			if a, err := s.Get(ctx, name); !yield(a, err) || err != nil {
				return
			}
		}
	}
}

// Attempt implements account.Store.
func (s *Store) Attempt(ctx context.Context, key string, now time.Time, window time.Duration, max int) (ok bool, retry time.Time, err error) {
	if err := ctx.Err(); err != nil {
		return false, time.Time{}, err
	}
	if max < 1 {
		return false, now.Add(window), nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.attempts[key]
	a.at = slices.DeleteFunc(a.at, func(t time.Time) bool { return !t.After(now.Add(-window)) })
	if n := len(a.at); n >= max {
		s.attempts[key] = a
		return false, a.at[n-max].Add(window), nil
	}
	a.at = append(a.at, now)
	slices.SortFunc(a.at, time.Time.Compare) // the clock may have been set back
	if end := now.Add(window); end.After(a.ends) {
		a.ends = end
	}
	s.attempts[key] = a
	return true, time.Time{}, nil
}

// Forgive implements account.Store.
func (s *Store) Forgive(ctx context.Context, key string, at time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if at.IsZero() {
		delete(s.attempts, key)
		return nil
	}
	a := s.attempts[key]
	if i := slices.IndexFunc(a.at, at.Equal); i >= 0 {
		a.at = slices.Delete(a.at, i, i+1)
		s.attempts[key] = a
	}
	return nil
}

// Attempts implements account.Store.
func (s *Store) Attempts(ctx context.Context) iter.Seq2[account.Attempt, error] {
	return func(yield func(account.Attempt, error) bool) {
		var all []account.Attempt
		s.mu.Lock()
		for key, a := range s.attempts {
			for _, at := range a.at {
				all = append(all, account.Attempt{Key: key, At: at, Ends: a.ends})
			}
		}
		s.mu.Unlock()
		each(ctx, all, yield)
	}
}

// Links implements account.Store.
func (s *Store) Links(ctx context.Context) iter.Seq2[account.Link, error] {
	return func(yield func(account.Link, error) bool) {
		s.mu.Lock()
		all := slices.Collect(maps.Values(s.links))
		s.mu.Unlock()
		each(ctx, all, yield)
	}
}

// each yields all, or why ctx ended.
func each[T any](ctx context.Context, all []T, yield func(T, error) bool) {
	for _, v := range all {
		if err := ctx.Err(); !yield(v, err) || err != nil {
			return
		}
	}
}

// PutLink implements account.Store.
func (s *Store) PutLink(ctx context.Context, l account.Link) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.links, func(_ [32]byte, old account.Link) bool {
		return old.Purpose == l.Purpose && old.Subject == l.Subject
	})
	s.links[l.Hash] = l
	return nil
}

// TakeLink implements account.Store.
func (s *Store) TakeLink(ctx context.Context, hash [32]byte, now time.Time) (account.Link, error) {
	if err := ctx.Err(); err != nil {
		return account.Link{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l, ok := s.links[hash]
	if !ok || !l.Expires.After(now) {
		return account.Link{}, account.ErrNotFound
	}
	delete(s.links, hash)
	return l, nil
}

// Tidy implements account.Store.
func (s *Store) Tidy(ctx context.Context, now time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.links, func(_ [32]byte, l account.Link) bool { return !l.Expires.After(now) })
	maps.DeleteFunc(s.attempts, func(_ string, a attempts) bool { return !a.ends.After(now) })
	return nil
}
