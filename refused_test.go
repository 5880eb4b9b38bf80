package counterfoil_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/sessiontest"
)

// Every cookie of ours that is no good is nobody's, and told of with its reason; only one that is no token
// at all is cleared, and a forged one does its session no harm. R2.6, R5
func TestRefusalsAreTold(t *testing.T) {
	for _, c := range []struct {
		name   string
		want   counterfoil.Reason
		policy counterfoil.Policy
		cookie func(m *counterfoil.Manager, clock *sessiontest.Clock, token string, id counterfoil.ID) string
		lives  bool // the session of the token
	}{
		{name: "malformed", want: counterfoil.ReasonMalformed, lives: true,
			cookie: func(_ *counterfoil.Manager, _ *sessiontest.Clock, token string, _ counterfoil.ID) string {
				return token[1:]
			}},
		{name: "of no session", want: counterfoil.ReasonUnknown, lives: true,
			cookie: func(*counterfoil.Manager, *sessiontest.Clock, string, counterfoil.ID) string {
				return strings.Repeat("A", 43)
			}},
		{name: "forged", want: counterfoil.ReasonForged, lives: true,
			cookie: func(_ *counterfoil.Manager, _ *sessiontest.Clock, token string, _ counterfoil.ID) string {
				return token[:22] + swapCase(token[22:42]) + token[42:]
			}},
		{name: "ended", want: counterfoil.ReasonUnknown,
			cookie: func(m *counterfoil.Manager, _ *sessiontest.Clock, token string, id counterfoil.ID) string {
				if _, err := m.Revoke(t.Context(), counterfoil.ByID(id), counterfoil.ReasonRevoked); err != nil {
					t.Error(err)
				}
				return token
			}},
		{name: "idle", want: counterfoil.ReasonIdle,
			cookie: func(_ *counterfoil.Manager, clock *sessiontest.Clock, token string, _ counterfoil.ID) string {
				clock.Advance(30*time.Minute + time.Second)
				return token
			}},
		{name: "at its absolute end", want: counterfoil.ReasonAbsolute, policy: counterfoil.Policy{Idle: 9 * time.Hour},
			cookie: func(_ *counterfoil.Manager, clock *sessiontest.Clock, token string, _ counterfoil.ID) string {
				clock.Advance(8*time.Hour + time.Second)
				return token
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var why []counterfoil.Reason
			m, clock := sessiontest.New(t, func(cfg *counterfoil.Config) {
				cfg.Policy = c.policy
				cfg.Observe = func(e counterfoil.Event) {
					if e.Kind == counterfoil.EventRefused {
						why = append(why, e.Reason)
					}
				}
			})
			token, id := tokenOf(t, m, "alice")
			ask := func(value string) *http.Response {
				r := httptest.NewRequest("GET", "/", nil)
				r.Header.Set("Cookie", "__Host-Http-session="+value)
				return during(t, m, r, func(s *counterfoil.Session) {
					if value != token && s.SignedIn() {
						t.Error("somebody is signed in")
					}
				})
			}
			a := ask(c.cookie(m, clock, token, id))
			if !slices.Equal(why, []counterfoil.Reason{c.want}) {
				t.Errorf("told of %v, want %s", why, c.want)
			}
			set := a.Header["Set-Cookie"]
			if cleared := len(set) == 1 && strings.Contains(set[0], "=; ") && strings.Contains(set[0], "Max-Age=0"); cleared != (c.want == counterfoil.ReasonMalformed) || len(set) > 1 || a.StatusCode != 200 {
				t.Errorf("%d, cookies %q", a.StatusCode, set)
			}
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("Cookie", "__Host-Http-session="+token)
			if _, v := m.Check(r); (v == counterfoil.Valid) != c.lives {
				t.Errorf("the session itself is %v", v)
			}
		})
	}
}

// swapCase makes another text of the same form.
func swapCase(s string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z':
			return c - 'a' + 'A'
		case c >= 'A' && c <= 'Z':
			return c - 'A' + 'a'
		}
		return c
	}, s)
}
