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
