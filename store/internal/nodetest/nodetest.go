// Package nodetest tests what a store owes to several nodes that work on it: each sees what the others
// do. The stores' own tests call it.
//
//	func TestTwoNodes(t *testing.T) {
//		clock := sessiontest.NewClock(noon)
//		nodes := nodetest.Managers(t, clock, func() counterfoil.Store { return open(t, dsn) })
//		nodetest.SeeEachOther(t, nodes, clock)
//	}
package nodetest

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/sessiontest"
)

// lease is L of the managers: long enough for a machine that stands still for a while. No test waits
// for its end.
const lease = 20 * time.Second

// Nodes are two managers on one store.
type Nodes [2]*counterfoil.Manager

// Managers makes two with the same keys, each on what open returns, and closes them when the test ends.
func Managers(t *testing.T, clock counterfoil.Clock, open func() counterfoil.Store) (nodes Nodes) {
	t.Helper()
	now, _ := clock.Now()
	keys, err := keyring.Generate(now, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for i := range nodes {
		nodes[i], err = counterfoil.New(context.Background(), counterfoil.Config{
			Store: open(), Keys: keys, Clock: clock, Lease: lease, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := nodes[i].Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	return nodes
}

// SeeEachOther: what one node saves the other reads next, and what one ends the other no longer admits
// once its lease is over. clock is that of the nodes.
func SeeEachOther(t *testing.T, nodes Nodes, clock *sessiontest.Clock) {
	t.Helper()
	note := counterfoil.NewKey[string]("note")
	r := httptest.NewRequest("GET", "/", nil)
	sessiontest.SignIn(t, nodes[0], r, counterfoil.Identity{Subject: "alice"})
	at := func(m *counterfoil.Manager, do func(*counterfoil.Session) error) {
		t.Helper()
		for status := http.StatusServiceUnavailable; status == http.StatusServiceUnavailable && t.Context().Err() == nil; {
			w := httptest.NewRecorder()
			m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if err := do(m.FromContext(r.Context())); errors.Is(err, counterfoil.ErrUnavailable) {
					w.WriteHeader(http.StatusServiceUnavailable) // a busy machine: asked again
				} else if err != nil {
					t.Error(err)
				}
			})).ServeHTTP(w, r)
			status = w.Code
		}
	}
	for i := range 20 {
		text := rand.Text()
		at(nodes[i%2], func(s *counterfoil.Session) error { return note.Set(s, text) })
		at(nodes[(i+1)%2], func(s *counterfoil.Session) error {
			got, err := note.Get(s)
			if err == nil && got != text {
				t.Errorf("the other node reads %q, want %q", got, text)
			}
			return err
		})
	}
	if _, err := nodes[0].Revoke(context.Background(), counterfoil.AllOf("alice"), counterfoil.ReasonRevoked); err != nil {
		t.Fatal(err)
	}
	clock.Advance(lease)
	at(nodes[1], func(s *counterfoil.Session) error {
		if s.SignedIn() {
			t.Error("the other node admits a session that was ended a lease ago")
		}
		return nil
	})
}

// Wait: an end is in force as soon as both nodes have acknowledged it, and a node that left is not
// waited for. It closes the second node.
func Wait(t *testing.T, nodes Nodes) {
	t.Helper()
	r := httptest.NewRequest("GET", "/", nil)
	sessiontest.SignIn(t, nodes[0], r, counterfoil.Identity{Subject: "alice"})
	if _, v := nodes[1].Check(r); v != counterfoil.Valid {
		t.Fatalf("before: %v", v)
	}
	wait := func() counterfoil.Waited {
		t.Helper()
		rv, err := nodes[0].Revoke(context.Background(), counterfoil.AllOf("alice"), counterfoil.ReasonRevoked)
		if err != nil {
			t.Fatal(err)
		}
		w, err := rv.Wait(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	if w := wait(); w.Nodes != 2 || w.Fenced != 0 || w.Took >= lease {
		t.Errorf("it took %+v", w)
	}
	if _, v := nodes[1].Check(r); v != counterfoil.Invalid {
		t.Errorf("after it: %v", v)
	}
	if err := nodes[1].Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if w := wait(); w.Nodes != 1 {
		t.Errorf("without the other node it took %+v", w)
	}
}
