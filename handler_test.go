package counterfoil_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/sessiontest"
)

var note = counterfoil.NewKey[string]("note")
var count = counterfoil.NewKey[int]("count")

// site is a small application behind a manager, with a browser before it.
type site struct {
	t     *testing.T
	m     *counterfoil.Manager
	clock *sessiontest.Clock
	h     http.Handler
}

func newSite(t *testing.T, edit ...func(*counterfoil.Config)) *site {
	s := &site{t: t}
	s.m, s.clock = sessiontest.New(t, edit...)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login/{name}", func(w http.ResponseWriter, r *http.Request) {
		err := s.m.FromContext(r.Context()).SignIn(counterfoil.Identity{Subject: r.PathValue("name"), Methods: []string{"pwd"}, Keep: []counterfoil.AnyKey{note}})
		if err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
		}
	})
	mux.HandleFunc("POST /logout", func(w http.ResponseWriter, r *http.Request) {
		if err := s.m.FromContext(r.Context()).SignOut(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("GET /me", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, s.m.FromContext(r.Context()).Subject())
	})
	mux.HandleFunc("POST /note/{text}", func(w http.ResponseWriter, r *http.Request) {
		if err := note.Set(s.m.FromContext(r.Context()), r.PathValue("text")); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("GET /note", func(w http.ResponseWriter, r *http.Request) {
		text, err := note.Get(s.m.FromContext(r.Context()))
		fmt.Fprint(w, text, errText(err))
	})
	mux.HandleFunc("POST /count", func(w http.ResponseWriter, r *http.Request) {
		err := count.Update(s.m.FromContext(r.Context()), func(n int) (int, error) { return n + 1, nil })
		fmt.Fprint(w, errText(err))
	})
	mux.HandleFunc("GET /count", func(w http.ResponseWriter, r *http.Request) {
		n, err := count.Get(s.m.FromContext(r.Context()))
		fmt.Fprint(w, n, errText(err))
	})
	s.h = s.m.Handler(mux)
	return s
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return " " + err.Error()
}

// browser keeps cookies.
type browser struct {
	*site
	cookies string
}

func (s *site) browser() *browser { return &browser{site: s} }

// do sends a request and keeps what the answer sets.
func (b *browser) do(method, path string) *http.Response {
	b.t.Helper()
	r := b.request(method, path)
	w := httptest.NewRecorder()
	b.h.ServeHTTP(w, r)
	b.keep(w.Result())
	return w.Result()
}

func (b *browser) request(method, path string) *http.Request {
	r := httptest.NewRequest(method, path, nil)
	if b.cookies != "" {
		r.Header.Set("Cookie", b.cookies)
	}
	return r
}

func (b *browser) keep(answer *http.Response) {
	next := httptest.NewRequest("GET", "/", nil)
	if b.cookies != "" {
		next.Header.Set("Cookie", b.cookies)
	}
	sessiontest.Follow(b.t, answer, next)
	b.cookies = next.Header.Get("Cookie")
}

func (b *browser) get(path string) string {
	b.t.Helper()
	return body(b.do("GET", path))
}

func body(r *http.Response) string {
	data, _ := io.ReadAll(r.Body)
	return string(data)
}

func (b *browser) wantUser(want string) {
	b.t.Helper()
	if got := b.get("/me"); got != want {
		b.t.Fatalf("signed in as %q, want %q", got, want)
	}
}

// replay sends one request with saved cookie bytes, as a thief would.
func (s *site) replay(cookies string) string {
	s.t.Helper()
	b := &browser{site: s, cookies: cookies}
	return b.get("/me")
}

func TestSignInAndOut(t *testing.T) { // T2, T36, T38, C30, S21, S22, S23
	s := newSite(t)
	b := s.browser()
	b.wantUser("")
	b.do("POST", "/login/alice")
	b.wantUser("alice")
	stolen := b.cookies
	if got := s.replay(stolen); got != "alice" {
		t.Fatalf("the copy shows %q before sign-out", got)
	}
	b.do("POST", "/logout")
	b.wantUser("")
	if b.cookies != "" {
		t.Errorf("sign-out left cookies: %q", b.cookies)
	}
	if got := s.replay(stolen); got != "" {
		t.Errorf("the copy is %q after sign-out", got)
	}
	for range 2 { // S23: twice, without a session
		if r := b.do("POST", "/logout"); r.StatusCode != 200 {
			t.Errorf("sign-out without a session: %d", r.StatusCode)
		}
	}
}

func TestCookieAttributes(t *testing.T) { // T30–T35, S6, S9–S13, P36–P40, T6, T10
	s := newSite(t)
	r := s.browser().do("POST", "/login/alice")
	set := r.Header["Set-Cookie"]
	if len(set) != 1 {
		t.Fatalf("Set-Cookie: %q", set)
	}
	for _, want := range []string{"__Host-Http-session=", "; Path=/", "; HttpOnly", "; Secure", "; SameSite=Lax"} {
		if !strings.Contains(set[0], want) {
			t.Errorf("%q lacks %q", set[0], want)
		}
	}
	for _, not := range []string{"Domain", "Max-Age", "Expires"} {
		if strings.Contains(set[0], not) {
			t.Errorf("%q has %q", set[0], not)
		}
	}
	if c := r.Cookies()[0]; len(c.Value) != 43 {
		t.Errorf("the token has %d characters, want 43", len(c.Value))
	}
	if got := r.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control: %q", got)
	}
}

func TestPersistentCookie(t *testing.T) { // C11, C12, F1, S14
	s := newSite(t, func(c *counterfoil.Config) {
		c.Cookie.Persistent = true
		c.Policy = counterfoil.Policy{Idle: 8 * time.Second, Absolute: 8640 * time.Millisecond}
	})
	if c := s.browser().do("POST", "/login/alice").Cookies()[0]; c.MaxAge != 8 {
		t.Errorf("Max-Age is %d, want 8", c.MaxAge)
	}
}

func TestExpiry(t *testing.T) { // C29, P92, T37, T47, F3, F4, F11, F14, F15, F18, S25, S49, P34
	seldom := func(c *counterfoil.Config) { c.Lease = time.Minute } // fewer polls in all that time
	for _, c := range []struct {
		name  string
		steps []time.Duration // a request after each
		alive bool
	}{
		{"just before idle", []time.Duration{28 * time.Minute}, true},
		{"idle", []time.Duration{31 * time.Minute}, false},
		{"kept alive", []time.Duration{28 * time.Minute, 28 * time.Minute, 28 * time.Minute}, true},
		{"long dead", []time.Duration{15 * 24 * time.Hour}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, seldom)
			b := s.browser()
			b.do("POST", "/login/alice")
			got := ""
			for _, d := range c.steps {
				s.clock.Advance(d)
				got = b.get("/me")
			}
			if (got == "alice") != c.alive {
				t.Errorf("signed in: %q, want alive %v", got, c.alive)
			}
		})
	}
	t.Run("absolute, however active", func(t *testing.T) {
		s := newSite(t, seldom)
		b := s.browser()
		b.do("POST", "/login/alice")
		for range 8*60 - 1 {
			s.clock.Advance(time.Minute)
			b.wantUser("alice")
		}
		saved := b.cookies
		s.clock.Advance(time.Minute)
		b.wantUser("")
		if got := s.replay(saved); got != "" {
			t.Errorf("replay after the end: %q", got)
		}
	})
}

func TestValues(t *testing.T) {
	s := newSite(t)
	b := s.browser()
	if b.get("/note"); b.cookies != "" {
		t.Fatalf("a read made a session: %q", b.cookies)
	}
	b.do("POST", "/note/hello")
	if !strings.HasPrefix(b.cookies, "__Host-Http-visit=") {
		t.Fatalf("cookies: %q", b.cookies)
	}
	if got := b.get("/note"); got != "hello" {
		t.Fatalf("note: %q", got)
	}
	visit := b.cookies
	b.do("POST", "/login/alice")
	if strings.Contains(b.cookies, "visit") {
		t.Errorf("sign-in left the visit cookie: %q", b.cookies)
	}
	if got := b.get("/note"); got != "hello" {
		t.Errorf("kept note: %q", got)
	}
	if got := (&browser{site: s, cookies: visit}).get("/note"); got != "" {
		t.Errorf("the visit lives on with %q", got)
	}
	b.do("POST", "/count")
	b.do("POST", "/count")
	if got := b.get("/count"); got != "2" {
		t.Errorf("count: %q", got)
	}
}

func TestRotation(t *testing.T) { // R1–R3, P103
	s := newSite(t)
	b := s.browser()
	b.do("POST", "/login/alice")
	first := b.cookies
	s.clock.Advance(16 * time.Minute)
	b.wantUser("alice")
	second := b.cookies
	if second == first {
		t.Fatal("no rotation when due")
	}
	b.wantUser("alice") // confirms
	if got := s.replay(first); got != "alice" {
		t.Errorf("within the grace the former one shows %q", got)
	}
	s.clock.Advance(61 * time.Second)
	b.wantUser("alice") // settles
	if got := s.replay(first); got != "" {
		t.Errorf("retired token shows %q", got)
	}
	if got := s.replay(second); got != "" {
		t.Errorf("after a replay the session lives on: %q", got)
	}
}

func TestLateChange(t *testing.T) {
	m, _ := sessiontest.New(t)
	h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "begun")
		s := m.FromContext(r.Context())
		if err := s.SignIn(counterfoil.Identity{Subject: "alice"}); !errors.Is(err, counterfoil.ErrTooLate) {
			t.Errorf("SignIn: %v", err)
		}
		if err := note.Set(s, "x"); !errors.Is(err, counterfoil.ErrTooLate) {
			t.Errorf("Set: %v", err)
		}
	}))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
}
