package counterfoil_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/sessiontest"
)

// A sign-in form that was used gives its session again to the same proof alone, for D alone. Whoever
// has seen the form and knows only the password does not get the session of a stronger proof, nor
// does one with the old password that of the new; he gets one of his own, as anybody who signs in.
// Nor is going back to a form of yesterday an error.
func TestUsedFormGivesNoOtherProofsSession(t *testing.T) { // P78, R14, G7
	const nonce = "a-nonce-of-at-least-22-characters"
	first := counterfoil.Identity{Subject: "alice", Methods: []string{"pwd", "otp"}, Level: 2, Epoch: 2, Nonce: nonce}
	m, clock := sessiontest.New(t)
	signIn := func(id counterfoil.Identity) (info counterfoil.Info, token string) {
		w := httptest.NewRecorder()
		m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			s := m.FromContext(r.Context())
			if err := s.SignIn(id); err != nil {
				t.Fatal(err)
			}
			info = s.Info()
		})).ServeHTTP(w, httptest.NewRequest("POST", "/", nil))
		return info, w.Result().Cookies()[0].Value
	}
	info, token := signIn(first)
	if again, same := signIn(first); again.ID != info.ID || same != token {
		t.Error("the same proof and form gave another session")
	}
	for name, change := range map[string]func(*counterfoil.Identity){
		"a weaker proof":      func(id *counterfoil.Identity) { id.Methods, id.Level = []string{"pwd"}, 1 },
		"a lower level":       func(id *counterfoil.Identity) { id.Level = 1 },
		"an older credential": func(id *counterfoil.Identity) { id.Epoch = 1 },
		"a later day":         func(*counterfoil.Identity) { clock.Advance(2 * time.Minute) },
	} {
		id := first
		change(&id)
		other, secret := signIn(id)
		if other.ID == info.ID || secret == token {
			t.Errorf("%s got the session of the first", name)
		}
		if other.Level != id.Level || len(other.Methods) != len(id.Methods) {
			t.Errorf("%s: level %d by %v", name, other.Level, other.Methods)
		}
	}
}
