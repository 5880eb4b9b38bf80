package sessiontest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/sessiontest"
)

// The example of the package's comment, as a program would have it among its tests.
func TestCart(t *testing.T) {
	sessions, clock := sessiontest.New(t)
	h := sessions.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, sessions.FromContext(r.Context()).Subject())
	}))
	r := httptest.NewRequest(http.MethodGet, "/cart", nil)
	sessiontest.SignIn(t, sessions, r, counterfoil.Identity{Subject: "alice"})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Body.String() != "alice" {
		t.Errorf("the cart is shown to %q", w.Body)
	}
	clock.Advance(time.Hour)
	w = httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Body.String() != "" {
		t.Errorf("an hour later the cart is still shown to %q", w.Body)
	}
}
