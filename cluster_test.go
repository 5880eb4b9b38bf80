package counterfoil_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/sessiontest"
	"github.com/counterfoil/counterfoil/store/memory"
)

const (
	sessionCookie = "__Host-Http-session"
	visitCookie   = "__Host-Http-visit"

	// The policy under test, short so that many rotations fit into a run.
	grace  = time.Minute
	rotate = 2 * time.Minute
	lease  = 5 * time.Second
)

var errStore = errors.New("the connection to the store broke")

// cluster is several managers on one store, with one clock that the test moves. Exchanges run one at
// a time, each until it ends or waits at a place that the test named, so that a run can be repeated.
type cluster struct {
	clock *sessiontest.Clock
	keys  *keyring.Ring
	store counterfoil.Store
	nodes []*node

	mu      sync.Mutex
	events  []counterfoil.Event
	running *exchange // whose goroutine calls the store; nil: a manager's own work
}

type node struct {
	c     *cluster
	m     *counterfoil.Manager
	h     http.Handler
	calls map[string]int // of the store, by method; under c.mu
	cut   bool           // from the store; under c.mu
}

func newCluster(t testing.TB, nodes int, edit ...func(*counterfoil.Config)) *cluster {
	t.Helper()
	store := memory.New(memory.Options{Shared: true})
	c, err := startCluster(nodes, store, edit...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(c.close(), store.Close()); err != nil {
			t.Error(err)
		}
	})
	return c
}

func startCluster(nodes int, store counterfoil.Store, edit ...func(*counterfoil.Config)) (*cluster, error) {
	start := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	keys, err := keyring.Generate(start, rand.Reader)
	if err != nil {
		return nil, err
	}
	c := &cluster{clock: sessiontest.NewClock(start), keys: keys, store: store}
	for range nodes {
		if err := c.join(edit...); err != nil {
			return nil, errors.Join(err, c.close())
		}
	}
	return c, nil
}

func (c *cluster) join(edit ...func(*counterfoil.Config)) error {
	n := &node{c: c, calls: map[string]int{}}
	cfg := counterfoil.Config{
		Store: sessiontest.Flaky(c.store, n.fault), Keys: c.keys, Clock: c.clock, Lease: lease,
		Policy:  counterfoil.Policy{Idle: 24 * time.Hour, Absolute: 7 * 24 * time.Hour, Rotate: rotate, Grace: grace},
		Observe: c.observe, Logger: slog.New(slog.DiscardHandler),
	}
	for _, f := range edit {
		f(&cfg)
	}
	m, err := counterfoil.New(context.Background(), cfg)
	if err != nil {
		return err
	}
	n.m, n.h = m, m.Handler(n.pages())
	c.nodes = append(c.nodes, n)
	return nil
}

func (c *cluster) close() error {
	var errs []error
	for _, n := range c.nodes {
		n.setCut(false)
		errs = append(errs, n.m.Close(context.Background()))
	}
	return errors.Join(errs...)
}

func (c *cluster) observe(e counterfoil.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events = append(c.events, e)
}

// happened counts events of a kind and reason; "" is any.
func (c *cluster) happened(kind counterfoil.EventKind, why counterfoil.Reason) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.events {
		if e.Kind == kind && (why == "" || e.Reason == why) {
			n++
		}
	}
	return n
}

func (c *cluster) now() time.Time {
	wall, _ := c.clock.Now()
	return wall
}

func (n *node) setCut(cut bool) {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	n.cut = cut
}

// writes counts what changed the store but for touches and the session clock, which any request of
// a user may bring about.
func (c *cluster) writes() (sum int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.nodes {
		sum += n.calls["Create"] + n.calls["Update"] + n.calls["Revoke"]
	}
	return sum
}

// fault stands between a manager and its store.
func (n *node) fault(method string) error {
	n.c.mu.Lock()
	x, cut := n.c.running, n.cut
	n.calls[method]++
	n.c.mu.Unlock()
	if cut {
		return errStore
	}
	if x == nil {
		return nil
	}
	return x.fault(method)
}

// pages is the application behind each node.
func (n *node) pages() http.Handler {
	mux := http.NewServeMux()
	session := func(r *http.Request) *counterfoil.Session { return n.m.FromContext(r.Context()) }
	verb := func(path string, act func(*http.Request) error) {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
			switch err := act(r); {
			case errors.Is(err, counterfoil.ErrUnavailable):
				http.Error(w, err.Error(), http.StatusServiceUnavailable)
			case err != nil:
				http.Error(w, err.Error(), http.StatusConflict)
			}
		})
	}
	verb("/login/{name}", func(r *http.Request) error {
		return session(r).SignIn(counterfoil.Identity{Subject: r.PathValue("name")})
	})
	verb("/logout", func(r *http.Request) error { return session(r).SignOut() })
	verb("/note/{text}", func(r *http.Request) error { return note.Set(session(r), r.PathValue("text")) })
	verb("/count", func(r *http.Request) error {
		return count.Update(session(r), func(n int) (int, error) { return n + 1, nil })
	})
	mux.HandleFunc("GET /count", func(w http.ResponseWriter, r *http.Request) {
		got, err := count.Get(session(r))
		if err != nil {
			http.Error(w, err.Error(), counterfoil.RefusalStatus(err))
			return
		}
		io.WriteString(w, strings.Repeat("I", got))
	})
	mux.HandleFunc("GET /me", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, session(r).Subject())
	})
	mux.HandleFunc("GET /slow", func(w http.ResponseWriter, r *http.Request) {
		r.Context().Value(exchangeKey{}).(*exchange).wait("handler")
		io.WriteString(w, session(r).Subject())
	})
	mux.HandleFunc("GET /public", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=60")
		io.WriteString(w, "the same for everybody")
	})
	return mux
}

// exchange is one request and its answer.
type exchange struct {
	n      *node
	r      *http.Request
	w      *httptest.ResponseRecorder
	ended  chan struct{}
	waits  chan string   // where it waits now
	resume chan struct{} // go on
	at     string        // where it waits; "": it has ended
	left   time.Time     // when it ended

	h      http.Handler // nil: the node's pages
	hold   string       // the method of the store, "/answer" behind it or not, at which it waits once
	fail   string       // the one that fails once
	broken string       // the one that always fails
}

type exchangeKey struct{}

// begin sends a request and returns when it has ended or waits.
func (n *node) begin(method, path, cookies string, plan ...func(*exchange)) *exchange {
	x := &exchange{n: n, w: httptest.NewRecorder(), ended: make(chan struct{}), waits: make(chan string), resume: make(chan struct{})}
	x.r = httptest.NewRequest(method, path, nil)
	if cookies != "" {
		x.r.Header.Set("Cookie", cookies)
	}
	x.r = x.r.WithContext(context.WithValue(context.Background(), exchangeKey{}, x))
	for _, f := range plan {
		f(x)
	}
	x.run(func() {
		go func() {
			defer close(x.ended)
			h := n.h
			if x.h != nil {
				h = n.m.Handler(x.h)
			}
			h.ServeHTTP(x.w, x.r)
		}()
	})
	return x
}

// goOn lets a waiting exchange run until it ends or waits again.
func (x *exchange) goOn() *exchange {
	if x.at != "" {
		x.run(func() { x.resume <- struct{}{} })
	}
	return x
}

func (x *exchange) run(start func()) {
	c := x.n.c
	c.mu.Lock()
	c.running = x
	c.mu.Unlock()
	start()
	select {
	case <-x.ended:
		x.at, x.left = "", c.now()
	case x.at = <-x.waits:
	}
	c.mu.Lock()
	c.running = nil
	c.mu.Unlock()
}

// wait stops the exchange until goOn.
func (x *exchange) wait(where string) {
	x.waits <- where
	<-x.resume
}

func (x *exchange) fault(method string) error {
	if method == x.hold {
		x.hold = ""
		x.wait(method)
	}
	if method == x.fail {
		x.fail = ""
		return errStore
	}
	if method == x.broken {
		return errStore
	}
	return nil
}

func (x *exchange) body() string { return x.w.Body.String() }

// given returns the value of our session cookie that the answer sets; "" is none.
func (x *exchange) given() string {
	for _, c := range x.w.Result().Cookies() {
		if c.Name == sessionCookie && c.MaxAge >= 0 {
			return c.Value
		}
	}
	return ""
}

// parallel runs f n times at once.
func parallel(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

// at is a whole exchange that may run beside others.
func (n *node) at(method, path, token string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	if token != "" {
		r.Header.Set("Cookie", sessionCookie+"="+token)
	}
	w := httptest.NewRecorder()
	n.h.ServeHTTP(w, r)
	return w
}

// get is a whole exchange with a session token.
func (n *node) get(path, token string, plan ...func(*exchange)) *exchange {
	return n.begin("GET", path, sessionCookie+"="+token, plan...)
}

func (n *node) signIn(t testing.TB, name string) (token string) {
	t.Helper()
	x := n.begin("POST", "/login/"+name, "")
	if token = x.given(); token == "" {
		t.Fatalf("sign-in: %d %s", x.w.Code, x.body())
	}
	return token
}

// sessionOf names the session of a token, as anyone who holds it can.
func sessionOf(token string) (id counterfoil.ID) {
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(raw) != 32 {
		return id
	}
	sum := sha256.Sum256(raw[:16])
	copy(id[:], sum[:])
	return id
}

func (c *cluster) live(t testing.TB, token string) bool {
	t.Helper()
	_, err := c.store.Load(context.Background(), sessionOf(token))
	if err != nil && !errors.Is(err, counterfoil.ErrNotFound) {
		t.Fatal(err)
	}
	return err == nil
}
