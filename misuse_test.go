package counterfoil_test

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/sessiontest"
)

// A key that nobody made with NewKey is an error, and spoils nothing that stands beside it.
func TestZeroKey(t *testing.T) {
	m, _ := sessiontest.New(t, func(c *counterfoil.Config) { c.CacheBytes = -1 })
	visitor := httptest.NewRequest("GET", "/", nil)
	var none counterfoil.Key[string]
	answer := during(t, m, visitor, func(s *counterfoil.Session) {
		if err := Theme.Set(s, "dark"); err != nil {
			t.Error(err)
		}
		update := none.Update(s, func(string) (string, error) { return "x", nil })
		if set := none.Set(s, "x"); set == nil || update == nil {
			t.Errorf("Set: %v, Update: %v", set, update)
		}
	})
	sessiontest.Follow(t, answer, visitor)
	during(t, m, visitor, func(s *counterfoil.Session) {
		if got, err := Theme.Get(s); got != "dark" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		if err := s.SignIn(counterfoil.Identity{Subject: "alice", Keep: []counterfoil.AnyKey{Theme, nil}}); err == nil {
			t.Error("a nil key is kept")
		}
	})
}

// What was stored with another type is an error and not half a value.
func TestOtherTypeGivesNothing(t *testing.T) {
	m, _ := sessiontest.New(t)
	during(t, m, nil, func(s *counterfoil.Session) {
		if err := Theme.Set(s, "dark"); err != nil {
			t.Error(err)
		}
		if got, err := counterfoil.NewKey[[]byte]("theme").Get(s); got != nil || err == nil {
			t.Errorf("%q, %v", got, err)
		}
		if err := Count.Set(s, 7); err != nil {
			t.Error(err)
		}
		if got, err := counterfoil.NewKey[string]("count").Get(s); got != "" || err == nil {
			t.Errorf("%q, %v", got, err)
		}
	})
}

// Count and Theme share no name.
var Count = counterfoil.NewKey[int]("count")

// The same middleware twice, as happens where routes are mounted: one session, one cookie.
func TestHandlerTwice(t *testing.T) {
	m, _ := sessiontest.New(t)
	h := m.Handler(m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := m.FromContext(r.Context()).SignIn(counterfoil.Identity{Subject: "alice"}); err != nil {
			t.Error(err)
		}
	})))
	r := httptest.NewRequest("POST", "/", nil)
	r.Header.Set("Cookie", "__Host-Http-session=garbage") // the outer one would clear it
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	next := httptest.NewRequest("GET", "/", nil)
	sessiontest.Follow(t, w.Result(), next)
	if v, _ := m.Check(next); v.Subject() != "alice" || len(w.Header()["Set-Cookie"]) != 1 {
		t.Errorf("%q with %q", v.Subject(), w.Header()["Set-Cookie"])
	}
}

// foreign is the writer of another middleware, as routers have them: no io.StringWriter, no
// io.ReaderFrom.
type foreign struct{ http.ResponseWriter }

var errForeign = errors.New("taken over")

func (foreign) Flush()                                       {}
func (foreign) Hijack() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, errForeign }

// WebSocket packages ask for http.Hijacker itself.
func TestHijackerOfAnotherMiddleware(t *testing.T) {
	m, _ := sessiontest.New(t)
	m.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		hijacker, ok := w.(http.Hijacker)
		if !ok {
			t.Fatal("http.Hijacker is lost")
		}
		if _, _, err := hijacker.Hijack(); !errors.Is(err, errForeign) {
			t.Errorf("%v", err)
		}
	})).ServeHTTP(foreign{httptest.NewRecorder()}, httptest.NewRequest("GET", "/", nil))
}

// Whoever keeps a session for longer than its request is told so, instead of waiting for an end that
// nobody looks for.
func TestDoneAfterTheRequest(t *testing.T) {
	m, _ := sessiontest.New(t)
	r, _ := signIn(t, m, "alice")
	var before <-chan struct{}
	var kept *counterfoil.Session
	during(t, m, r, func(s *counterfoil.Session) {
		before, kept = s.Done(), s
		select {
		case <-before:
			t.Error("closed while the request lasts")
		default:
		}
	})
	<-before
	during(t, m, r, func(s *counterfoil.Session) { kept = s })
	<-kept.Done() // asked for too late
	if err := Theme.Set(kept, "dark"); !errors.Is(err, counterfoil.ErrTooLate) {
		t.Errorf("Set: %v", err)
	}
}

// A function that panics in Update leaves the session usable.
func TestPanicInUpdate(t *testing.T) {
	m, _ := sessiontest.New(t)
	r, _ := signIn(t, m, "alice")
	during(t, m, r, func(s *counterfoil.Session) {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic is swallowed")
				}
			}()
			Count.Update(s, func(int) (int, error) { panic("the program's mistake") })
		}()
		if err := Count.Update(s, func(n int) (int, error) { return n + 1, nil }); err != nil {
			t.Error(err)
		}
	})
}

// An address that is not known, as behind a Unix socket, is empty and no text about it.
func TestUnknownAddress(t *testing.T) {
	var seen []string
	m, _ := sessiontest.New(t, func(c *counterfoil.Config) {
		c.ClientIP = func(*http.Request) netip.Addr { return netip.Addr{} }
		c.Observe = func(e counterfoil.Event) { seen = append(seen, e.Session.IP) }
	})
	r := httptest.NewRequest("GET", "/", nil)
	info := sessiontest.SignIn(t, m, r, counterfoil.Identity{Subject: "alice"})
	bad := httptest.NewRequest("GET", "/", nil)
	bad.Header.Set("Cookie", "__Host-Http-session=garbage")
	m.Check(bad)
	if all := info.IP + strings.Join(seen, ""); all != "" || len(seen) < 2 {
		t.Errorf("%q, %q", info.IP, seen)
	}
}

// A content delivery network has a field of its own, which no cookie goes out beside.
func TestTargetedCacheControl(t *testing.T) {
	m, clock := sessiontest.New(t)
	r, _ := signIn(t, m, "alice")
	clock.Advance(20 * time.Minute) // a new token is due
	for field, sends := range map[string]bool{"max-age=60": false, "no-store": true, "": true} {
		w := httptest.NewRecorder()
		m.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if field != "" {
				w.Header().Set("CDN-Cache-Control", field)
			}
		})).ServeHTTP(w, r)
		if got := len(w.Header()["Set-Cookie"]) > 0; got != sends {
			t.Errorf("%q: %v", field, w.Header())
		}
	}
	w := httptest.NewRecorder()
	m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("CDN-Cache-Control", "max-age=60")
		if err := m.FromContext(r.Context()).SignIn(counterfoil.Identity{Subject: "bob"}); err != nil {
			t.Error(err)
		}
	})).ServeHTTP(w, httptest.NewRequest("POST", "/", nil))
	if w.Header().Get("CDN-Cache-Control") != "" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%v", w.Header())
	}
}
