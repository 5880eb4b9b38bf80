package counterfoil_test

import (
	"maps"
	"net/http"
	"time"
)

// request is one request of the browser or of the thief.
type request struct {
	method, path    string
	session, visit  string // the cookies it carries
	thief           bool
	node            int
	arrived         time.Time
	x               *exchange
	acked, attempts int // of the counter, when it arrived
}

func (q *request) cookies() string {
	out := ""
	if q.session != "" {
		out = sessionCookie + "=" + q.session
	}
	if q.visit != "" {
		if out != "" {
			out += "; "
		}
		out += visitCookie + "=" + q.visit
	}
	return out
}

// client is the honest browser: one jar for all its tabs.
type client struct {
	m         *model
	jar, disk map[string]string
	life      int  // one more after each crash: what was under way is lost
	down      bool // it crashed and was not started again yet
	open      []*exchange
}

// visit begins as a visitor with a value of its own.
func (c *client) visit() {
	c.send("POST", "/note/hello")
	c.send("GET", "/me")
}

// burst is a page with what belongs to it, from several tabs.
func (c *client) burst() {
	m := c.m
	if !c.down {
		for range 1 + m.dice.IntN(5) {
			m.after(m.upTo(500*time.Millisecond), c.request)
		}
	}
	gap := m.upTo(40 * time.Second)
	if m.oneIn(30) {
		gap += m.upTo(10 * time.Minute)
	}
	m.after(gap, c.burst)
}

// request is whatever a tab does next. Somebody who is not signed in signs in sooner or later.
func (c *client) request() {
	m := c.m
	switch {
	case c.jar[sessionCookie] == "" || m.oracle.knownDead(c.jar[sessionCookie]):
		if m.oneIn(3) {
			c.send("POST", "/login/alice")
			return
		}
	case m.reSignIn && m.oneIn(25):
		c.send("POST", "/login/alice")
		c.send("GET", "/me")
		return
	case m.reSignIn && m.oneIn(60):
		c.send("POST", "/logout")
		return
	case m.oneIn(8):
		c.send("POST", "/count")
		return
	}
	switch m.dice.IntN(14) {
	case 0:
		if m.slow {
			c.send("GET", "/slow")
			return
		}
	case 1:
		c.send("GET", "/public")
		return
	case 2:
		c.send("GET", "/count")
		return
	}
	c.send("GET", "/me")
}

// send puts a request with the jar as it is now on its way; one in 25 is lost.
func (c *client) send(method, path string) {
	m := c.m
	q := &request{method: method, path: path, session: c.jar[sessionCookie], visit: c.jar[visitCookie], node: m.anyNode()}
	if m.oneIn(25) {
		return
	}
	life := c.life
	m.after(m.travel(), func() {
		m.serve(q, func(q *request) {
			if m.oneIn(16) {
				return
			}
			m.after(m.travel(), func() {
				if c.life == life {
					c.receive(q)
				}
			})
		})
	})
}

func (c *client) receive(q *request) {
	for _, k := range q.x.w.Result().Cookies() {
		if k.MaxAge < 0 {
			delete(c.jar, k.Name)
		} else {
			c.jar[k.Name] = k.Value
		}
	}
}

// flush writes the jar to disk, as Chromium does.
func (c *client) flush() {
	c.disk = maps.Clone(c.jar)
	c.m.after(30*time.Second, c.flush)
}

// crash loses what was not on disk; after a while the browser is back.
func (c *client) crash() {
	c.life++
	c.jar = maps.Clone(c.disk)
	c.down = true
	c.m.after(c.m.upTo(100*time.Second), func() { c.down = false })
}

// stolen is what the thief has.
type stolen struct{ token string }

// steal copies the jar's token, to be used from time to time.
func (m *model) steal() {
	if m.client.jar[sessionCookie] == "" {
		m.after(time.Minute, m.steal)
		return
	}
	m.thief.token = m.client.jar[sessionCookie]
	m.after(m.upTo(m.world.thief), m.use)
}

func (m *model) use() {
	path := "/me"
	if m.slow && m.oneIn(10) {
		path = "/slow"
	}
	q := &request{method: "GET", path: path, session: m.thief.token, thief: true, node: m.anyNode()}
	m.serve(q, func(q *request) {
		if got := q.x.given(); got != "" {
			m.thief.token = got // he follows what he is given
		}
		if q.x.w.Code == http.StatusServiceUnavailable || q.x.body() == "alice" {
			m.after(m.upTo(m.world.thief), m.use)
		}
	})
}
