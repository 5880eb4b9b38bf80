package blob_test

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/sessiontest"
)

// managers returns two on one place, each on a store of its own.
func managers(t *testing.T, clock counterfoil.Clock, wrap func(counterfoil.Store) counterfoil.Store) (nodes [2]*counterfoil.Manager) {
	t.Helper()
	now, _ := clock.Now()
	keys, err := keyring.Generate(now, nil)
	if err != nil {
		t.Fatal(err)
	}
	dsn := "file://" + filepath.Join(t.TempDir(), "store")
	for i := range nodes {
		nodes[i], err = counterfoil.New(context.Background(), counterfoil.Config{
			Store: wrap(open(t, dsn)), Keys: keys, Clock: clock, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = nodes[i].Close(context.Background()) })
	}
	return nodes
}

// Two managers on one folder see each other's values, and what one ends the other no longer admits
// once its lease is over. G2
func TestTwoManagers(t *testing.T) {
	clock := sessiontest.NewClock(start)
	nodes := managers(t, clock, func(s counterfoil.Store) counterfoil.Store { return s })
	note := counterfoil.NewKey[string]("note")
	r := httptest.NewRequest("GET", "/", nil)
	sessiontest.SignIn(t, nodes[0], r, counterfoil.Identity{Subject: "alice"})
	at := func(m *counterfoil.Manager, do func(*counterfoil.Session)) {
		m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { do(m.FromContext(r.Context())) })).
			ServeHTTP(httptest.NewRecorder(), r)
	}
	for i := range 50 {
		text := rand.Text()
		at(nodes[i%2], func(s *counterfoil.Session) {
			if err := note.Set(s, text); err != nil {
				t.Error(err)
			}
		})
		at(nodes[(i+1)%2], func(s *counterfoil.Session) {
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

// With a store whose calls fail half of the time, before or after they took effect, a check never
// lets in whom an acknowledged end shut out, and never calls a live session invalid. G9
func TestManagerOnFaultyStore(t *testing.T) {
	var broken atomic.Bool
	lost := errors.New("the connection is lost")
	nodes := managers(t, counterfoil.SystemClock(), func(s counterfoil.Store) counterfoil.Store {
		return sessiontest.Flaky(s, func(string) error {
			if broken.Load() && mathrand.IntN(2) == 0 {
				return lost
			}
			return nil
		})
	})
	for range 30 {
		stays, goes := httptest.NewRequest("GET", "/", nil), httptest.NewRequest("GET", "/", nil)
		sessiontest.SignIn(t, nodes[0], stays, counterfoil.Identity{Subject: "alice"})
		sessiontest.SignIn(t, nodes[0], goes, counterfoil.Identity{Subject: "bob"})
		broken.Store(true)
		for ended := false; !ended; {
			_, err := nodes[0].Revoke(context.Background(), counterfoil.AllOf("bob"), counterfoil.ReasonRevoked)
			ended = err == nil
		}
		for range 10 {
			if _, verdict := nodes[0].Check(goes); verdict == counterfoil.Valid {
				t.Fatal("a session whose end was acknowledged is let in")
			}
			if _, verdict := nodes[1].Check(stays); verdict == counterfoil.Invalid {
				t.Fatal("a live session is called invalid")
			}
		}
		broken.Store(false)
	}
}
