package simulation

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil"
)

const cookie = "__Host-Http-session"

// client is one honest browser: its cookie is what the last answer that arrived made it.
type client struct {
	n       int
	subject string
	jar     string
	last    counterfoil.ID // the session that was last to be ended
	tokens  []string       // all it ever had
}

// attempt is one request, from its arrival at the node to its answer.
type attempt struct {
	t       *task
	c       *client
	n       *node
	token   string
	arrived time.Duration
	verdict counterfoil.Verdict
	code    int
	given   string // the token that the answer sets
	cleared bool
	terms   int // of the store, when it arrived
	kind    kind

	target counterfoil.ID // what a revoke is of
	losses int            // of the store, when it arrived
	least  int            // additions to the counter that were acknowledged when it arrived
	got    int
	read   bool
	adds   bool
	added  bool
	waited bool
	silent int                              // nodes that did not acknowledge what was waited for
	ended  map[counterfoil.ID]time.Duration // what a revocation has ended, or found ended, and when that was
	endErr error
}

var counter = counterfoil.NewKey[int]("counter")

func (a *attempt) request() *http.Request {
	r := &http.Request{
		Method: "GET", URL: &url.URL{Path: "/"}, Header: http.Header{}, RemoteAddr: "192.0.2.1:1",
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	if a.token != "" {
		r.Header.Set("Cookie", cookie+"="+a.token)
	}
	return r.WithContext(context.WithValue(a.n.ctx, taskKey{}, a.t))
}

// begin starts an attempt of a client.
func (c *client) begin(w *world, n *node, key uint64, k kind, token string, adds bool, f func(*attempt)) {
	a := &attempt{
		t: &task{key: key, on: n.on, what: kinds[k]}, c: c, n: n, token: token, arrived: w.now(), terms: w.db.terms,
		kind: k, adds: adds, target: c.last, losses: w.oracle.losses,
	}
	a.t.attempt = a
	a.t.then = func() {
		w.oracle.leaves(a)
		if !n.dead && !w.direct {
			w.oracle.judge(a)
		}
	}
	w.oracle.arrives(a)
	w.begin(a.t, func() { f(a) })
}

func (c *client) check(w *world, n *node, key uint64, k kind, token string) {
	c.begin(w, n, key, k, token, false, func(a *attempt) {
		_, a.verdict = n.m.Check(a.request())
	})
}

// act does what a move says.
func (c *client) act(w *world, m move, n *node) {
	switch m.kind {
	case check:
		c.check(w, n, m.n, check, c.jar)
	case haunt:
		if token := c.former(m.x); token != "" {
			c.check(w, n, m.n, haunt, token)
		}
	case signIn:
		c.aim()
		c.begin(w, n, m.n, signIn, c.jar, false, func(a *attempt) {
			a.handle(func(s *counterfoil.Session) error {
				return s.SignIn(counterfoil.Identity{Subject: c.subject})
			})
		})
	case signOut:
		if c.jar == "" {
			return
		}
		c.aim()
		c.begin(w, n, m.n, signOut, c.jar, false, func(a *attempt) {
			a.handle(func(s *counterfoil.Session) error {
				a.endErr = s.SignOut()
				return a.endErr
			})
		})
	case page:
		c.begin(w, n, m.n, page, c.jar, m.x == 1, func(a *attempt) { a.handle(a.count) })
	case revoke, revokeOf:
		if c.jar == "" {
			return
		}
		c.aim()
		target := counterfoil.ByID(c.last)
		if m.kind == revokeOf {
			target = counterfoil.AllOf(c.subject)
		}
		c.begin(w, n, m.n, m.kind, "", false, func(a *attempt) {
			ctx := context.WithValue(n.ctx, taskKey{}, a.t)
			var rv counterfoil.Revocation
			if rv, a.endErr = n.m.Revoke(ctx, target, counterfoil.ReasonRevoked); a.endErr != nil {
				return
			}
			w.mu.Lock()
			w.oracle.acknowledged(a)
			w.mu.Unlock()
			if m.x == 1 {
				done, err := rv.Wait(ctx)
				a.waited, a.silent = err == nil, done.Fenced+done.Behind
			}
		})
	case open:
		c.begin(w, n, m.n, open, c.jar, false, func(a *attempt) {
			a.handle(func(s *counterfoil.Session) error {
				if s.SignedIn() {
					a.follow(s, m.d)
				}
				return nil
			})
		})
	}
}

// aim notes the session that is about to end.
func (c *client) aim() {
	if c.jar != "" {
		c.last = idOf(c.jar)
	}
}

// former returns the last token of the session that was last to be ended, or one of the jar's
// session so many generations back.
func (c *client) former(back int) string {
	id := c.last
	if back > 0 {
		id = idOf(c.jar)
	}
	for _, token := range slices.Backward(c.tokens) {
		if idOf(token) != id {
			continue
		}
		if back == 0 {
			return token
		}
		back--
	}
	return ""
}

// receive does what the answer asks for.
func (c *client) receive(a *attempt) {
	if a.cleared {
		c.jar = ""
	}
	if a.given != "" {
		c.jar = a.given
		if !slices.Contains(c.tokens, a.given) {
			c.tokens = append(c.tokens, a.given)
		}
	}
}

// handle takes the request all the way through Handler.
func (a *attempt) handle(act func(*counterfoil.Session) error) {
	rec := httptest.NewRecorder()
	a.verdict = counterfoil.Unknown
	m := a.n.m
	m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := m.FromContext(r.Context())
		a.verdict = counterfoil.Invalid
		if s.SignedIn() {
			a.verdict = counterfoil.Valid
		}
		if err := act(s); err != nil {
			http.Error(w, "no", counterfoil.RefusalStatus(err))
		}
	})).ServeHTTP(rec, a.request())
	a.code = rec.Code
	for _, c := range rec.Result().Cookies() {
		if c.Name == cookie {
			a.cleared = c.MaxAge < 0
			if !a.cleared {
				a.given = c.Value
			}
		}
	}
}

// count reads the session's counter, and adds to it if that is asked for.
func (a *attempt) count(s *counterfoil.Session) error {
	if !s.SignedIn() {
		return nil
	}
	var err error
	if a.got, err = counter.Get(s); err != nil {
		return err
	}
	a.read = true
	if !a.adds {
		return nil
	}
	err = counter.Update(s, func(n int) (int, error) { return n + 1, nil })
	a.added = err == nil
	return err
}

// idOf names the session of a token, as anyone who holds it can.
func idOf(token string) (id counterfoil.ID) {
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(raw) != 32 {
		return id
	}
	sum := sha256.Sum256(raw[:16])
	copy(id[:], sum[:])
	return id
}
