package counterfoil_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
)

// The counterexamples that naive rotation falls to, each played through the whole way of a request.

// next makes the successor due and takes it, unconfirmed.
func (c *cluster) next(t testing.TB, n *node, token string) string {
	t.Helper()
	c.clock.Advance(rotate + time.Second)
	x := n.get("/me", token)
	if x.body() != "alice" || x.given() == "" {
		t.Fatalf("no successor when due: %d %q", x.w.Code, x.body())
	}
	return x.given()
}

// move goes on to the successor and settles it, so that the former token is retired.
func (c *cluster) move(t testing.TB, n *node, token string) string {
	t.Helper()
	next := c.next(t, n, token)
	wantUser(t, n, next, "alice")
	c.clock.Advance(grace + time.Second)
	wantUser(t, n, next, "alice")
	return next
}

func wantUser(t testing.TB, n *node, token, want string) {
	t.Helper()
	if x := n.get("/me", token); x.w.Code != http.StatusOK || x.body() != want {
		t.Fatalf("%d as %q, want %q", x.w.Code, x.body(), want)
	}
}

// CE1: parallel requests that present the same token when rotation is due must not get different
// successors, of which only the last is known.
func TestCE1(t *testing.T) { // R1, R2.1, G5, G6
	c := newCluster(t, 2)
	v1 := c.nodes[0].signIn(t, "alice")
	wantUser(t, c.nodes[1], v1, "alice")
	c.clock.Advance(rotate + time.Second)
	before := c.writes()
	a := c.nodes[0].get("/slow", v1)
	b := c.nodes[1].get("/slow", v1)
	first, second := a.goOn().given(), b.goOn().given()
	third := c.nodes[0].get("/me", v1).given()
	if first == "" || first != second || first != third {
		t.Fatalf("racers got %q, %q and %q", first, second, third)
	}
	if first == v1 {
		t.Fatal("the successor is the token itself")
	}
	if n := c.writes() - before; n != 0 {
		t.Errorf("offering a successor wrote %d times", n)
	}
	for _, n := range c.nodes {
		wantUser(t, n, first, "alice")
	}
	if got := c.writes() - before; got != 1 {
		t.Errorf("confirming wrote %d times, want once", got)
	}
}

// CE2: a handler that was asked long ago must not put an old token back into the jar with its late
// first byte.
func TestCE2(t *testing.T) { // R2.1, R7, G5
	for _, late := range []string{"no longer current", "no longer current, the next is due", "current, due"} {
		t.Run(late, func(t *testing.T) {
			c := newCluster(t, 1)
			n := c.nodes[0]
			v1 := n.signIn(t, "alice")
			c.clock.Advance(rotate + time.Second)
			report := n.get("/slow", v1) // due when it begins
			if report.at != "handler" {
				t.Fatal("the handler does not run")
			}
			token := v1
			current := late == "current, due"
			for range 3 {
				if !current {
					token = c.move(t, n, token)
				}
			}
			if strings.HasSuffix(late, "the next is due") {
				c.clock.Advance(rotate)
			}
			report.goOn()
			if report.body() != "alice" {
				t.Fatalf("the slow answer is %q", report.body())
			}
			switch set := report.given(); {
			case !current && set != "":
				t.Fatal("the slow answer set a cookie decided on at its start")
			case current && set == "":
				t.Fatal("the slow answer carries no successor though it is due at its first byte")
			}
			wantUser(t, n, token, "alice")
		})
	}
}

// CE3: an answer to the session that sign-in has ended must not wipe the new cookie, which has the
// same name.
func TestCE3(t *testing.T) { // R5, R6, P77, P78, P79, S5, S33, S34, S35
	c := newCluster(t, 2)
	n := c.nodes[0]
	visit := n.begin("POST", "/note/hello", "").w.Result().Cookies()[0]
	if visit.Name != visitCookie {
		t.Fatalf("a visitor's cookie is %q", visit.Name)
	}
	old := visitCookie + "=" + visit.Value
	image := n.begin("GET", "/slow", old) // under way while she signs in
	live := n.begin("POST", "/login/alice", old).given()
	c.clock.Advance(rotate + time.Second)
	report := n.get("/slow", live) // due for rotation, under way while she signs in once more
	newest := n.begin("POST", "/login/alice", sessionCookie+"="+live).given()
	if live == "" || newest == "" || live == newest {
		t.Fatal("sign-in gave no new cookie")
	}
	for _, x := range []*exchange{image.goOn(), report.goOn()} {
		if set := x.w.Header()["Set-Cookie"]; set != nil {
			t.Errorf("an answer that was under way touched the jar: %q", set)
		}
	}
	c.clock.Advance(lease)
	for name, dead := range map[string]string{"visit": old, "former session": sessionCookie + "=" + live} {
		for _, at := range c.nodes {
			x := at.begin("GET", "/me", dead)
			if x.body() != "" {
				t.Errorf("%s still shows %q", name, x.body())
			}
			if set := x.w.Header()["Set-Cookie"]; set != nil {
				t.Errorf("the answer to the %s touched the jar: %q", name, set)
			}
		}
	}
	wantUser(t, n, newest, "alice")
}

// CE4: a browser writes its cookies to disk every 30 s; after a crash it comes back with the token
// from before the last rotation.
func TestCE4(t *testing.T) { // R2.3, G5
	c := newCluster(t, 2)
	onDisk := c.nodes[0].signIn(t, "alice")
	inMemory := c.next(t, c.nodes[0], onDisk)
	wantUser(t, c.nodes[0], inMemory, "alice") // confirmed; then the crash
	c.clock.Advance(29 * time.Second)
	for range 200 { // for hours, at any node
		for _, n := range c.nodes {
			x := n.get("/me", onDisk)
			if x.body() != "alice" {
				t.Fatalf("thrown out at %v: %d", c.now(), x.w.Code)
			}
			if x.given() != "" {
				t.Fatal("a client that fell back was handed a successor")
			}
		}
		c.clock.Advance(time.Minute)
	}
	if c.happened(counterfoil.EventStalled, "") == 0 {
		t.Error("nobody was told that the client stays behind")
	}
	if c.happened(counterfoil.EventEnded, "") != 0 {
		t.Error("something ended")
	}
}

// CE5: a node that knows nothing of a rotation elsewhere must learn of it within the lease, and see
// the replay.
func TestCE5(t *testing.T) { // R9, R10, G5
	c := newCluster(t, 2)
	one, two := c.nodes[0], c.nodes[1]
	v1 := one.signIn(t, "alice")
	wantUser(t, two, v1, "alice") // cached there
	v2 := c.next(t, one, v1)
	wantUser(t, two, v1, "alice") // and kept warm
	wantUser(t, one, v2, "alice")
	c.clock.Advance(grace - lease)
	wantUser(t, two, v1, "alice") // still good: not settled
	c.clock.Advance(lease + time.Second)
	wantUser(t, one, v2, "alice") // settles
	c.clock.Advance(lease)        // the other node has read the log by now
	wantUser(t, two, v1, "")
	if c.happened(counterfoil.EventEnded, counterfoil.ReasonReplayed) != 1 {
		t.Error("the replay was not seen")
	}
	c.clock.Advance(lease)
	wantUser(t, one, v2, "") // both copies are dead, everywhere
}

// CE6: however old a stolen token is, it is recognised, and its use ends the session.
func TestCE6(t *testing.T) { // R1, R2.5, G5, S8
	c := newCluster(t, 1)
	n := c.nodes[0]
	stolen := n.signIn(t, "alice")
	token := stolen
	for range 40 {
		token = c.move(t, n, token)
	}
	wantUser(t, n, token, "alice")
	wantUser(t, n, stolen, "")
	if c.happened(counterfoil.EventEnded, counterfoil.ReasonReplayed) != 1 {
		t.Error("the theft went unnoticed")
	}
	if c.happened(counterfoil.EventRefused, counterfoil.ReasonForged) != 0 {
		t.Error("an issued token passed for a forgery")
	}
	if c.live(t, token) {
		t.Error("the session lives on")
	}
}

// CE7: a thief who presents the former token within the grace gets in, but never the successor.
func TestCE7(t *testing.T) { // R2.3, G5
	c := newCluster(t, 2)
	v1 := c.nodes[0].signIn(t, "alice")
	v2 := c.next(t, c.nodes[0], v1)
	wantUser(t, c.nodes[0], v2, "alice")
	c.clock.Advance(lease) // any node may trust what it knew for so long
	for range 60 {
		for _, n := range c.nodes {
			x := n.get("/me", v1)
			if x.given() != "" {
				t.Fatal("the thief was handed a successor")
			}
			if x.body() != "alice" {
				t.Fatalf("refused within the grace: %d", x.w.Code)
			}
		}
		c.clock.Advance(10 * time.Second) // far beyond grace and interval: the owner is away
	}
	wantUser(t, c.nodes[1], v2, "alice") // the owner is back, and settles
	wantUser(t, c.nodes[1], v1, "")
	if c.happened(counterfoil.EventEnded, counterfoil.ReasonReplayed) != 1 {
		t.Error("the theft went unnoticed")
	}
}
