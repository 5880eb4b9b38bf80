package counterfoil_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
)

// Handlers that were under way while their session changed.

// later makes an exchange wait in its handler before it acts.
func later(n *node, act func(*counterfoil.Session) error) func(*exchange) {
	return func(x *exchange) {
		x.h = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			x.wait("handler")
			if err := act(n.m.FromContext(r.Context())); err != nil {
				http.Error(w, err.Error(), http.StatusConflict)
			}
		})
	}
}

// A sign-out that the store did not take is in force on its node all the same: what was under way
// there does not let the session in again, nor give it a cookie.
func TestG9UnheardSignOutHolds(t *testing.T) {
	for name, act := range map[string]func(*counterfoil.Session) error{
		"writes": func(s *counterfoil.Session) error {
			return count.Update(s, func(n int) (int, error) { return n + 1, nil })
		},
		"sets":      func(s *counterfoil.Session) error { return note.Set(s, "late") },
		"only ends": func(*counterfoil.Session) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 1)
			n := c.nodes[0]
			token := n.signIn(t, "alice")
			cookie := sessionCookie + "=" + token
			c.clock.Advance(rotate + time.Second)
			x := n.begin("POST", "/", cookie, later(n, act))
			out := n.begin("POST", "/logout", cookie, func(x *exchange) { x.broken = "Revoke" })
			if x.at != "handler" || out.w.Code != http.StatusServiceUnavailable {
				t.Fatalf("waits at %q; sign-out %d", x.at, out.w.Code)
			}
			if x.goOn(); x.given() != "" {
				t.Error("the late answer carries a cookie of the session")
			}
			if name != "only ends" && x.w.Code == http.StatusOK {
				t.Error("the late write was acknowledged")
			}
			wantUser(t, n, token, "")
			c.clock.Advance(2 * time.Second)
			c.wantNobody(t, token)
		})
	}
}

func (c *cluster) wantNobody(t *testing.T, token string) {
	t.Helper()
	if c.live(t, token) {
		t.Error("the session lives on")
	}
	for _, n := range c.nodes {
		wantUser(t, n, token, "")
	}
}

// A form that was sent twice signs in once, and both answers are good, also if the second was under
// way before the first had ended the visitor's session.
func TestG5DoubleSubmit(t *testing.T) { // P78, P79
	for _, nonce := range []string{"", "a-nonce-of-at-least-22-characters"} {
		t.Run("nonce "+nonce, func(t *testing.T) {
			c := newCluster(t, 2)
			visit := c.nodes[0].begin("POST", "/note/hello", "").w.Result().Cookies()[0]
			cookie := visitCookie + "=" + visit.Value
			signIn := func(s *counterfoil.Session) error {
				return s.SignIn(counterfoil.Identity{Subject: "alice", Nonce: nonce, Keep: []counterfoil.AnyKey{note}})
			}
			first := c.nodes[0].begin("POST", "/", cookie, later(c.nodes[0], signIn))
			second := c.nodes[1].begin("POST", "/", cookie, later(c.nodes[1], signIn))
			first.goOn()
			second.goOn()
			for _, x := range []*exchange{first, second} {
				if x.w.Code != http.StatusOK || x.given() == "" {
					t.Fatalf("%d %s", x.w.Code, x.body())
				}
				wantUser(t, c.nodes[0], x.given(), "alice")
			}
			if nonce != "" && first.given() != second.given() {
				t.Error("one form, two sessions")
			}
		})
	}
}

// Once a node has read that a session is gone, it lets nobody in by what it had cached of it, though
// its lease would still allow that.
func TestG2FoundGoneIsGone(t *testing.T) { // R10
	c := newCluster(t, 2)
	token := c.nodes[0].signIn(t, "alice")
	c.clock.Advance(rotate + time.Second)
	wantUser(t, c.nodes[1], token, "alice")
	next := c.nodes[0].get("/me", token).given()
	c.nodes[0].begin("POST", "/logout", sessionCookie+"="+token)
	wantUser(t, c.nodes[1], token, "alice") // it cannot know yet
	wantUser(t, c.nodes[1], next, "")       // it has asked
	wantUser(t, c.nodes[1], token, "")
}

// A revocation whose answer was lost is an error, and from then on the node asks the store.
func TestG9UnheardRevocationIsAskedAgain(t *testing.T) {
	for _, target := range []counterfoil.Target{counterfoil.AllOf("alice"), counterfoil.Everything()} {
		c := newCluster(t, 2)
		n := c.nodes[1]
		token := c.nodes[0].signIn(t, "alice")
		wantUser(t, n, token, "alice")
		var err error
		n.begin("POST", "/", "", func(x *exchange) {
			x.broken = "Revoke/answer"
			x.h = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				_, err = n.m.Revoke(r.Context(), target, counterfoil.ReasonDisabled)
			})
		})
		if !errors.Is(err, counterfoil.ErrUnavailable) {
			t.Errorf("%v, want ErrUnavailable", err)
		}
		wantUser(t, n, token, "")
	}
}
