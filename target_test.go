package counterfoil_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/sessiontest"
)

// S43: a target that was narrowed to a session which cannot be never widens to all of them.
func TestZeroIDSelectsNothing(t *testing.T) {
	m, _ := sessiontest.New(t)
	ctx := context.Background()
	for range 3 {
		r := httptest.NewRequest("GET", "/", nil)
		sessiontest.SignIn(t, m, r, counterfoil.Identity{Subject: "alice"})
	}
	for name, target := range map[string]counterfoil.Target{
		"of alice":   counterfoil.AllOf("alice").Only(counterfoil.ID{}),
		"of anybody": counterfoil.ByID(counterfoil.ID{}),
	} {
		if _, err := m.Revoke(ctx, target, counterfoil.ReasonRevoked); !errors.Is(err, counterfoil.ErrNotFound) {
			t.Errorf("%s: %v, want ErrNotFound", name, err)
		}
	}
	for info, err := range m.List(ctx, "alice") {
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Revoke(ctx, counterfoil.AllOf("").Only(info.ID), counterfoil.ReasonRevoked); err == nil {
			t.Error("the session of nobody was found to be alice's")
		}
	}
	n := 0
	for range m.List(ctx, "alice") {
		n++
	}
	if n != 3 {
		t.Errorf("%d sessions are left of 3", n)
	}
}

// Narrowing Everything to one session must not end all of them, and ByID names one alone: what
// contradicts itself is refused.
func TestOnlyNarrowsAllOfAlone(t *testing.T) { // S43, G7
	m, _ := sessiontest.New(t)
	_, first := tokenOf(t, m, "alice")
	_, other := tokenOf(t, m, "bob")
	for name, target := range map[string]counterfoil.Target{
		"everything": counterfoil.Everything().Only(first),
		"by ID":      counterfoil.ByID(first).Only(other),
	} {
		if rv, err := m.Revoke(t.Context(), target, counterfoil.ReasonRevoked); err == nil || errors.Is(err, counterfoil.ErrNotFound) {
			t.Errorf("%s: %d ended, %v; want a refusal", name, rv.Ended, err)
		}
	}
	for _, name := range []string{"alice", "bob"} {
		n := 0
		for range m.List(t.Context(), name) {
			n++
		}
		if n != 1 {
			t.Errorf("%s has %d sessions left", name, n)
		}
	}
}
