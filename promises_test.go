package counterfoil_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
)

// Cookies that were saved are worth nothing once the server's clock says so; nothing but that clock
// and the sign-in decides.
func TestG3ServerDecidesExpiry(t *testing.T) { // F2, F3, F4, F5, F18, F19, F20, D22, T37, T47
	policy := counterfoil.Policy{
		Idle: time.Hour, Absolute: 6 * time.Hour, AnonymousIdle: 2 * time.Hour, AnonymousAbsolute: 5 * time.Hour,
		Rotate: rotate, Grace: grace,
	}
	for _, k := range []struct {
		kind     string
		idle     time.Duration
		absolute time.Duration
		make     func(*testing.T, *cluster) (cookies string)
	}{
		{"visit", 2 * time.Hour, 5 * time.Hour, func(t *testing.T, c *cluster) string {
			k := c.nodes[0].begin("POST", "/count", "").w.Result().Cookies()[0]
			return k.Name + "=" + k.Value
		}},
		{"session", time.Hour, 6 * time.Hour, func(t *testing.T, c *cluster) string {
			return sessionCookie + "=" + c.nodes[0].signIn(t, "alice")
		}},
		{"rotated session", time.Hour, 6 * time.Hour, func(t *testing.T, c *cluster) string {
			return sessionCookie + "=" + c.move(t, c.nodes[0], c.nodes[0].signIn(t, "alice"))
		}},
	} {
		in := func(c *cluster, cookies string) bool {
			return c.nodes[1].begin("POST", "/count", cookies).w.Code == 200 &&
				len(c.nodes[1].begin("GET", "/count", cookies).body()) > 1
		}
		two := func(t *testing.T) *cluster {
			return newCluster(t, 2, func(cfg *counterfoil.Config) { cfg.Policy = policy })
		}
		t.Run(k.kind+", idle", func(t *testing.T) {
			c := two(t)
			start := c.now()
			cookies := k.make(t, c)
			in(c, cookies)
			if !in(c, cookies) {
				t.Fatal("refused at once")
			}
			c.clock.Advance(k.idle - time.Minute - c.now().Sub(start))
			if !in(c, cookies) {
				t.Fatal("refused before the idle end")
			}
			c.clock.Advance(k.idle)
			if in(c, cookies) {
				t.Error("accepted after the idle end")
			}
		})
		t.Run(k.kind+", absolute", func(t *testing.T) {
			c := two(t)
			start := c.now()
			cookies := k.make(t, c)
			saved := []string{cookies}
			for c.now().Sub(start) < k.absolute-10*time.Minute { // never idle, rotated again and again
				in(c, cookies)
				c.clock.Advance(5 * time.Minute)
				if got := c.nodes[0].begin("GET", "/me", cookies).given(); got != "" {
					cookies = sessionCookie + "=" + got
					saved = append(saved, cookies)
				}
			}
			if k.kind != "visit" && len(saved) < 10 {
				t.Fatalf("only %d generations", len(saved))
			}
			if !in(c, cookies) {
				t.Fatal("refused before the absolute end")
			}
			c.clock.Advance(k.absolute - c.now().Sub(start) + rotate + grace + 3*time.Second) // what making it took
			for i, old := range saved {
				if in(c, old) {
					t.Errorf("generation %d was accepted after the absolute end", i+1)
				}
			}
		})
	}
	t.Run("a thousand saved cookies", func(t *testing.T) {
		c := newCluster(t, 2, func(cfg *counterfoil.Config) { cfg.Policy = policy })
		saved := make([]string, 1000)
		for i := range saved {
			saved[i] = c.nodes[i%2].signIn(t, fmt.Sprint("user", i))
		}
		c.clock.Advance(policy.Absolute)
		for i, token := range saved {
			c.clock.Advance(time.Second) // so many refusals of one source would else be 429
			if w := c.nodes[i%2].at("GET", "/me", token); w.Body.String() != "" || w.Code != 200 {
				t.Fatalf("cookie %d: %d %q", i, w.Code, w.Body)
			}
		}
	})
}

// asked is how often the store was asked for anything but the node's own polls.
func (n *node) asked() (sum int) {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	for method, k := range n.calls {
		if !strings.HasSuffix(method, "/answer") && method != "Poll" {
			sum += k
		}
	}
	return sum
}

// Nothing is asked, written or sent unless there is something worth it.
func TestG6Quiet(t *testing.T) { // P20, P21, P41, R6, R7, R12, D23
	c := newCluster(t, 1)
	n := c.nodes[0]
	none := func(name string, x *exchange) {
		t.Helper()
		h := x.w.Header()
		if h["Set-Cookie"] != nil || h["Vary"] != nil {
			t.Errorf("%s: Set-Cookie %q, Vary %q", name, h["Set-Cookie"], h["Vary"])
		}
	}
	before := n.asked()
	none("no cookie", n.begin("GET", "/me", ""))
	none("no cookie, reads a value", n.begin("GET", "/count", ""))
	none("another cookie", n.begin("GET", "/count", "theme=dark; lang=en"))
	none("random token", n.get("/me", strings.Repeat("A", 43)))
	n.get("/me", "../../etc/passwd")
	n.get("/me", strings.Repeat("A", 42))
	n.get("/me", strings.Repeat("A", 4096))
	if got := n.asked() - before; got != 0 {
		t.Errorf("the store was asked %d times for visitors without a session", got)
	}

	token := n.signIn(t, "alice")
	cookie := sessionCookie + "=" + token
	if w := n.begin("POST", "/note/hello", cookie); w.w.Code != 200 {
		t.Fatal(w.w.Code)
	}
	none("warm", n.get("/me", token))
	before = n.asked()
	for range 100 {
		none("warm", n.get("/me", token))
	}
	if got := n.asked() - before; got != 0 {
		t.Errorf("the store was asked %d times by warm requests", got)
	}
	writes := c.writes()
	none("the same value again", n.begin("POST", "/note/hello", cookie))
	n.get("/count", token)
	c.clock.Advance(rotate + time.Second)
	none("for everybody", n.get("/public", token))
	offered := map[string]bool{}
	for range 50 {
		offered[n.get("/me", token).given()] = true
	}
	if got := c.writes() - writes; got != 0 {
		t.Errorf("reads, equal values and offers of a successor wrote %d times", got)
	}
	if len(offered) != 1 || offered[""] {
		t.Errorf("50 requests were offered %d successors", len(offered))
	}
	// Touches: one in the touch interval, and none for nobody.
	touches := n.calls["Touch"]
	for range 60 {
		n.get("/me", token)
		c.clock.Advance(time.Second)
	}
	if got := n.calls["Touch"] - touches; got > 3 {
		t.Errorf("%d touches in a minute", got)
	}
}

// Whatever call of the store fails, before or after its effect: 503, or what would have been
// answered anyway. The jar stays as it is, and when the store is back, so is the session.
func TestG9UnknownIsNeitherInNorOut(t *testing.T) { // P18, P19, R10
	type step struct{ method, path string }
	fresh := func(t *testing.T, c *cluster) string { return c.nodes[0].signIn(t, "alice") }
	for _, k := range []struct {
		name  string
		step  step
		token func(*testing.T, *cluster) string
		fails []string
	}{
		{"cold", step{"GET", "/me"}, fresh, []string{"Load"}},
		{"confirm", step{"GET", "/me"}, func(t *testing.T, c *cluster) string {
			return c.next(t, c.nodes[0], fresh(t, c))
		}, []string{"Load", "Update"}},
		{"settle", step{"GET", "/me"}, func(t *testing.T, c *cluster) string {
			next := c.next(t, c.nodes[0], fresh(t, c))
			wantUser(t, c.nodes[0], next, "alice")
			c.clock.Advance(grace + time.Second)
			return next
		}, []string{"Load", "Update"}},
		{"stale lease", step{"GET", "/me"}, func(t *testing.T, c *cluster) string {
			token := fresh(t, c)
			c.nodes[1].setCut(true)
			c.clock.Advance(2 * lease)
			c.nodes[1].setCut(false)
			return token
		}, []string{"Poll", "Load"}},
		{"values", step{"POST", "/note/new"}, fresh, []string{"Load", "Update"}},
		{"update", step{"POST", "/count"}, fresh, []string{"Load", "Update"}},
		{"sign-in", step{"POST", "/login/alice"}, fresh, []string{"Load", "Create"}},
	} {
		for _, method := range k.fails {
			for _, when := range []string{"", "/answer"} {
				t.Run(k.name+", "+method+when, func(t *testing.T) {
					c := newCluster(t, 2)
					token := k.token(t, c)
					x := c.nodes[1].begin(k.step.method, k.step.path, sessionCookie+"="+token, func(x *exchange) { x.broken = method + when })
					if x.w.Code != http.StatusServiceUnavailable {
						t.Errorf("%d %q", x.w.Code, x.body())
					}
					if got := x.w.Header()["Set-Cookie"]; got != nil {
						t.Errorf("the jar was touched: %q", got)
					}
					if k.step.method == "GET" && x.w.Header().Get("Retry-After") == "" {
						t.Error("no Retry-After")
					}
					if k.name == "sign-in" && method+when == "Create/answer" {
						return // the former session has ended; she signs in again
					}
					for _, n := range c.nodes {
						wantUser(t, n, token, "alice")
					}
				})
			}
		}
	}
	t.Run("cut off", func(t *testing.T) {
		c := newCluster(t, 2)
		token := c.nodes[0].signIn(t, "alice")
		n := c.nodes[1]
		wantUser(t, n, token, "alice")
		n.setCut(true)
		wantUser(t, n, token, "alice") // the lease holds
		c.clock.Advance(lease)
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Cookie", sessionCookie+"="+token)
		if v, verdict := n.m.Check(r); verdict != counterfoil.Unknown || v.SignedIn() {
			t.Errorf("Check: %v", verdict)
		}
		w := httptest.NewRecorder()
		n.m.Require()(http.NotFoundHandler()).ServeHTTP(w, r)
		if w.Code != 503 || w.Header().Get("Retry-After") == "" || w.Header()["Set-Cookie"] != nil {
			t.Errorf("Require: %d %v", w.Code, w.Header())
		}
		if x := n.begin("GET", "/me", ""); x.w.Code != 200 {
			t.Errorf("a visitor without a session: %d", x.w.Code)
		}
		n.setCut(false)
		wantUser(t, n, token, "alice")
	})
	t.Run("sign-out", func(t *testing.T) { // the user's own wish: this node keeps it, whatever the store says
		for _, broken := range []string{"Revoke", "Revoke/answer"} {
			c := newCluster(t, 2)
			token := c.nodes[0].signIn(t, "alice")
			x := c.nodes[0].begin("POST", "/logout", sessionCookie+"="+token, func(x *exchange) { x.broken = broken })
			if set := x.w.Result().Cookies(); x.w.Code != 503 || len(set) == 0 || set[0].Name != sessionCookie || set[0].MaxAge >= 0 {
				t.Errorf("%s: %d, cookies %q", broken, x.w.Code, set)
			}
			wantUser(t, c.nodes[0], token, "")
			c.clock.Advance(time.Second + lease) // it goes on trying
			for _, n := range c.nodes {
				wantUser(t, n, token, "")
			}
			if c.live(t, token) {
				t.Errorf("%s: the session lives on", broken)
			}
		}
	})
	t.Run("garbage", func(t *testing.T) { // anonymous, with an event, never a 5xx, even with the store away
		c := newCluster(t, 1)
		c.nodes[0].setCut(true)
		for _, value := range []string{"", "x", strings.Repeat("A", 42), strings.Repeat("A", 43), strings.Repeat("é", 43), strings.Repeat("=", 43)} {
			if x := c.nodes[0].get("/me", value); x.w.Code != 200 || x.body() != "" {
				t.Errorf("%q: %d %q", value, x.w.Code, x.body())
			}
		}
		if got := c.happened(counterfoil.EventRefused, ""); got != 6 {
			t.Errorf("%d events, want 6", got)
		}
	})
}
