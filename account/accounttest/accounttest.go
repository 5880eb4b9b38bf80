// Package accounttest proves that an account.Store keeps its contract.
//
//	func TestConformance(t *testing.T) {
//		accounttest.Run(t, accounttest.Config{Open: func(t *testing.T) account.Store { return memaccount.New() }})
//	}
package accounttest

import (
	"context"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/account"
)

// Config says how to make the stores under test.
type Config struct {
	// Open returns an empty store. What must be closed is closed by t.Cleanup.
	Open func(t *testing.T) account.Store
	// Reopen closes a store that Open returned and opens what it kept. nil: it keeps nothing.
	Reopen func(t *testing.T, s account.Store) account.Store
}

// Run runs the suite; each sentence of the contract is a subtest.
func Run(t *testing.T, c Config) {
	for _, group := range []map[string]func(*testing.T, account.Store){accounts, attempts, links, races} {
		for name, test := range group {
			t.Run(name, func(t *testing.T) { test(t, c.Open(t)) })
		}
	}
	if c.Reopen != nil {
		t.Run("everything survives a reopening", func(t *testing.T) { survives(t, c) })
	}
}

// start is the moment at which the tests' clock stands first.
var start = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func someone(name string) *account.Account {
	return &account.Account{
		Name: name, Operator: true, Password: "$argon2id$v=19$m=1,t=1,p=1$c2FsdA$aGFzaA", Epoch: 1,
		Created: start, Changed: start.Add(time.Millisecond),
	}
}

func add(t *testing.T, s account.Store, name string) *account.Account {
	t.Helper()
	a := someone(name)
	if err := s.Add(context.Background(), a, false); err != nil {
		t.Fatalf("Add %s: %v", name, err)
	}
	return a
}

func get(t *testing.T, s account.Store, name string) *account.Account {
	t.Helper()
	a, err := s.Get(context.Background(), name)
	if err != nil {
		t.Fatalf("Get %s: %v", name, err)
	}
	return a
}

// same compares what is stored; times by the instant.
func same(t *testing.T, got, want *account.Account) {
	t.Helper()
	g, w := *got, *want
	if !g.Created.Equal(w.Created) || !g.Changed.Equal(w.Changed) {
		t.Errorf("times %v, %v; want %v, %v", g.Created, g.Changed, w.Created, w.Changed)
	}
	g.Created, g.Changed = w.Created, w.Changed
	if g != w {
		t.Errorf("got %+v, want %+v", g, w)
	}
}

func survives(t *testing.T, c Config) {
	ctx, s := context.Background(), c.Open(t)
	a := add(t, s, "alice")
	a.Disabled = true
	if err := s.Update(ctx, a); err != nil {
		t.Fatal(err)
	}
	l := account.Link{Hash: [32]byte{1}, Purpose: "set-up", Expires: start.Add(time.Hour)}
	if err := s.PutLink(ctx, l); err != nil {
		t.Fatal(err)
	}
	reserve(t, s, "k", start, 1, true)

	s = c.Reopen(t, s)
	same(t, get(t, s, "alice"), a)
	reserve(t, s, "k", start, 1, false)
	if got, err := s.TakeLink(ctx, l.Hash, start); err != nil || got.Purpose != l.Purpose || !got.Expires.Equal(l.Expires) {
		t.Errorf("TakeLink: %+v, %v", got, err)
	}
}
