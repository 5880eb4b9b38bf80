package counterfoil_test

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
)

// The five steps of a fixation attack leave the attacker with nothing.
func TestFixation(t *testing.T) { // P2, P92, P77, P78, P79, S5, S33, S34, S35, D23
	c := newCluster(t, 1)
	n := c.nodes[0]
	for name, planted := range map[string]string{
		"the attacker's visit":   visitCookie + "=" + n.begin("POST", "/note/planted", "").w.Result().Cookies()[0].Value,
		"the attacker's session": sessionCookie + "=" + n.signIn(t, "mallory"),
		"one that he made up":    sessionCookie + "=" + strings.Repeat("A", 43),
	} {
		victim := n.begin("POST", "/login/alice", planted)
		given := victim.given()
		if given == "" || strings.Contains(planted, given) {
			t.Fatalf("%s: sign-in gave no new token", name)
		}
		wantUser(t, n, given, "alice")
		for _, path := range []string{"/me", "/count"} {
			if x := n.begin("GET", path, planted); x.w.Code != 200 || x.body() != "" {
				t.Errorf("%s: afterwards %s shows %q", name, path, x.body())
			}
		}
		var text string
		n.begin("GET", "/", sessionCookie+"="+given, func(x *exchange) { x.h = reads(n, &text) })
		if text != "" {
			t.Errorf("%s: its value %q came along", name, text)
		}
	}
}

// A token counts in its cookie alone.
func TestTokenOnlyInItsCookie(t *testing.T) { // S33
	c := newCluster(t, 1)
	n := c.nodes[0]
	token := n.signIn(t, "alice")
	for _, header := range []string{"X-Session-Id", "Authorization", "Session", sessionCookie} {
		r := httptest.NewRequest("GET", "/me", nil)
		r.Header.Set(header, token)
		w := httptest.NewRecorder()
		if n.h.ServeHTTP(w, r); w.Body.String() != "" {
			t.Errorf("taken from the header %s", header)
		}
	}
	for _, path := range []string{"/me?sessionid=", "/me?" + sessionCookie + "=", "/me;" + sessionCookie + "="} {
		if x := n.begin("GET", path+token, ""); strings.Contains(x.body(), "alice") {
			t.Errorf("taken from %s", path)
		}
	}
	for _, name := range []string{visitCookie, "session", "__Host-session", strings.ToLower(sessionCookie), "x" + sessionCookie, sessionCookie + "x"} {
		if x := n.begin("GET", "/me", name+"="+token); x.body() != "" {
			t.Errorf("taken from the cookie %s", name)
		}
	}
}

// What is not exactly a token never reaches the store, and opens nothing.
func TestStrictTokens(t *testing.T) { // P21, P22, P23, P24, P25, D9
	c := newCluster(t, 1)
	n := c.nodes[0]
	token := n.signIn(t, "alice")
	before := n.asked()
	for _, value := range []string{
		token[:42], token[:31], token + "A", token + "=", token + "%00", token + ".", `"` + token + `"`, " x" + token,
		strings.ToUpper(token), strings.ToLower(token), swapLast(token),
		"../" + token[:40], `..\` + token[:40], token[:20] + "/" + token[21:], token[:20] + "+" + token[21:],
		token[:20] + "%2f" + token[23:], ".hidden", "C:" + token[:41], strings.Repeat("A", 4096), token[:42] + "é",
		"123e4567-e89b-12d3-a456-426614174000",
	} {
		if x := n.get("/me", value); x.body() != "" || x.w.Code != 200 {
			t.Errorf("%q: %d %q", value, x.w.Code, x.body())
		}
	}
	if got := n.asked() - before; got != 0 {
		t.Errorf("the store was asked %d times", got)
	}
	wantUser(t, n, token, "alice")
}

// swapLast sets the bits of the last character that stand for nothing.
func swapLast(token string) string {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(digits, token[42])
	return token[:42] + digits[last|1:last|1+1]
}

// Wait returns only when no node can admit what was revoked, one that is cut off from the store
// included.
func TestG2WaitMeansNobody(t *testing.T) { // R17
	for _, cut := range []bool{false, true} {
		c := newCluster(t, 3)
		token := c.nodes[0].signIn(t, "alice")
		for _, n := range c.nodes {
			wantUser(t, n, token, "alice")
		}
		c.nodes[2].setCut(cut)
		done, err := c.nodes[1].m.Revoke(t.Context(), counterfoil.AllOf("alice"), counterfoil.ReasonDisabled)
		if err != nil {
			t.Fatal(err)
		}
		wantUser(t, c.nodes[1], token, "")
		wantUser(t, c.nodes[2], token, "alice") // it does not know yet, and may admit for so long
		start, over := c.now(), make(chan error, 1)
		go func() {
			_, err := done.Wait(context.Background())
			over <- err
		}()
		for waiting := true; waiting; {
			select {
			case err := <-over:
				if err != nil {
					t.Fatal(err)
				}
				waiting = false
			default:
				c.clock.Advance(50 * time.Millisecond)
			}
		}
		if took := c.now().Sub(start); cut && took < lease*98/100 {
			t.Errorf("Wait returned after %v", took)
		}
		for i, n := range c.nodes {
			if x := n.get("/me", token); x.body() == "alice" {
				t.Errorf("node %d admits it after Wait", i)
			}
		}
	}
}
