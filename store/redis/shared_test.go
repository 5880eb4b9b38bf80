package redis_test

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/sessiontest"
)

// Two managers with a client each on one server see each other's values, and what one ends the other
// no longer admits once its lease is over. G2
func TestTwoManagers(t *testing.T) {
	on, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	now, _ := counterfoil.SystemClock().Now() // about what the server's shows
	clock := sessiontest.NewClock(now)
	keys, err := keyring.Generate(now, nil)
	if err != nil {
		t.Fatal(err)
	}
	note := counterfoil.NewKey[string]("note")
	prefix := rand.Text()
	var nodes [2]*counterfoil.Manager
	for i := range nodes {
		nodes[i], err = counterfoil.New(context.Background(), counterfoil.Config{
			Store: open(t, on.DSN(), prefix), Keys: keys, Clock: clock, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = nodes[i].Close(context.Background()) })
	}
	r := httptest.NewRequest("GET", "/", nil)
	sessiontest.SignIn(t, nodes[0], r, counterfoil.Identity{Subject: "alice"})
	at := func(m *counterfoil.Manager, do func(*counterfoil.Session)) {
		m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { do(m.FromContext(r.Context())) })).
			ServeHTTP(httptest.NewRecorder(), r)
	}
	for range 50 {
		text := rand.Text()
		at(nodes[0], func(s *counterfoil.Session) {
			if err := note.Set(s, text); err != nil {
				t.Error(err)
			}
		})
		at(nodes[1], func(s *counterfoil.Session) {
			if got, err := note.Get(s); got != text || err != nil {
				t.Errorf("the other manager reads %q, %v; want %q", got, err, text)
			}
		})
	}
	if _, err := nodes[0].Revoke(context.Background(), counterfoil.AllOf("alice"), counterfoil.ReasonRevoked); err != nil {
		t.Fatal(err)
	}
	clock.Advance(5 * time.Second)
	at(nodes[1], func(s *counterfoil.Session) {
		if s.SignedIn() {
			t.Error("the other manager admits a session that was ended a lease ago")
		}
	})
}

// A revocation is in force as soon as the other node has acknowledged it, and a node that left is not
// waited for. R17, G2
func TestWaitForTheOtherNode(t *testing.T) {
	on, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	prefix := rand.Text()
	keys, err := keyring.Generate(start, nil)
	if err != nil {
		t.Fatal(err)
	}
	var nodes [2]*counterfoil.Manager
	for i := range nodes {
		nodes[i], err = counterfoil.New(context.Background(), counterfoil.Config{
			Store: open(t, on.DSN(), prefix), Keys: keys, Lease: 3 * time.Second, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = nodes[i].Close(context.Background()) })
	}
	r := httptest.NewRequest("GET", "/", nil)
	sessiontest.SignIn(t, nodes[0], r, counterfoil.Identity{Subject: "alice"})
	if _, v := nodes[1].Check(r); v != counterfoil.Valid {
		t.Fatalf("before: %v", v)
	}
	wait := func() counterfoil.Waited {
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
	if w := wait(); w.Nodes != 2 || w.Fenced != 0 || w.Took > 2900*time.Millisecond {
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
