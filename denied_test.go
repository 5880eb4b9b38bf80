package counterfoil_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/sessiontest"
)

// A store that can be read but not written, as on a full disk: whoever signed out is refused by this
// node from then on, also after others tried in vain to end the same session.
func TestSignOutWhileStoreCannotWrite(t *testing.T) { // G2, G9
	var full atomic.Bool
	m, clock := sessiontest.New(t, func(c *counterfoil.Config) {
		c.Store = sessiontest.Flaky(c.Store, func(method string) error {
			if full.Load() && method == "Revoke" {
				return errors.New("disk full")
			}
			return nil
		})
	})
	token, id := tokenOf(t, m, "alice")
	serve := func(h http.HandlerFunc) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Cookie", "__Host-Http-session="+token)
		m.Handler(h).ServeHTTP(httptest.NewRecorder(), r)
	}
	full.Store(true)
	serve(func(_ http.ResponseWriter, r *http.Request) {
		if err := m.FromContext(r.Context()).SignOut(); !errors.Is(err, counterfoil.ErrUnavailable) {
			t.Fatalf("sign-out: %v", err)
		}
	})
	if _, err := m.Revoke(t.Context(), counterfoil.ByID(id), counterfoil.ReasonRevoked); !errors.Is(err, counterfoil.ErrUnavailable) {
		t.Fatalf("revoke: %v", err)
	}
	serve(func(_ http.ResponseWriter, r *http.Request) {
		if who := m.FromContext(r.Context()).Subject(); who != "" {
			t.Errorf("the session that was signed out is admitted as %q", who)
		}
	})
	full.Store(false)
	clock.Advance(2 * time.Second)
	if _, err := m.Revoke(t.Context(), counterfoil.ByID(id), counterfoil.ReasonRevoked); !errors.Is(err, counterfoil.ErrNotFound) {
		t.Errorf("the store can be written again, but the session was not ended: %v", err)
	}
}

// Who asks once more, since the sign-out was not confirmed, is not told that it is done before it is: the
// process may be killed, and the next one knows nothing of it. One that stops tries a last time.
func TestSignOutAgain(t *testing.T) { // G1, G2
	var full atomic.Bool
	var store counterfoil.Store
	m, _ := sessiontest.New(t, func(c *counterfoil.Config) {
		store = c.Store
		c.Store = sessiontest.Flaky(c.Store, func(method string) error {
			if full.Load() && method == "Revoke" {
				return errors.New("disk full")
			}
			return nil
		})
	})
	alice, one := signIn(t, m, "alice")
	bob, two := signIn(t, m, "bob")
	signOut := func(r *http.Request) (first, second error) {
		during(t, m, r, func(s *counterfoil.Session) { first, second = s.SignOut(), s.SignOut() })
		return first, second
	}
	full.Store(true)
	for range 2 {
		for _, r := range []*http.Request{alice, bob} {
			first, second := signOut(r)
			if !errors.Is(first, counterfoil.ErrUnavailable) || !errors.Is(second, counterfoil.ErrUnavailable) {
				t.Errorf("it lives in the store, and the sign-out says %v, then %v", first, second)
			}
		}
	}
	full.Store(false)
	if first, second := signOut(alice); first != nil || second != nil {
		t.Errorf("the store can be written again: %v, then %v", first, second)
	}
	if _, err := store.Load(t.Context(), one.ID); !errors.Is(err, counterfoil.ErrNotFound) {
		t.Errorf("it was confirmed, and the record: %v", err)
	}
	if err := m.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := store.Load(t.Context(), two.ID); !errors.Is(err, counterfoil.ErrNotFound) {
		t.Errorf("the manager is closed, and the record: %v", err)
	}
}
