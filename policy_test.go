package counterfoil_test

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/sessiontest"
	"github.com/counterfoil/counterfoil/store/memory"
)

const day = 24 * time.Hour

// open starts a manager with a configuration that may be faulty.
func open(t interface{ Cleanup(func()) }, edit func(*counterfoil.Config)) (*counterfoil.Manager, error) {
	keys, err := keyring.Generate(time.Unix(0, 0), rand.Reader)
	if err != nil {
		return nil, err
	}
	cfg := counterfoil.Config{
		Store: memory.New(memory.Options{}), Keys: keys,
		Clock: sessiontest.NewClock(time.Unix(2e9, 0)), Logger: slog.New(slog.DiscardHandler),
	}
	edit(&cfg)
	m, err := counterfoil.New(context.Background(), cfg)
	if err == nil {
		t.Cleanup(func() { m.Close(context.Background()) })
	}
	return m, err
}

// No configuration is weaker than the default: it is refused, or what comes of it is as strong.
func TestG7NothingWeak(t *testing.T) { // P14, P15, P17, P100, T35, S32, D2, D3, D10, D11
	refused := map[string]func(*counterfoil.Config){
		"no store":            func(c *counterfoil.Config) { c.Store = nil },
		"no keys":             func(c *counterfoil.Config) { c.Keys = nil },
		"SameSite None":       func(c *counterfoil.Config) { c.Cookie.SameSite = http.SameSiteNoneMode },
		"name without prefix": func(c *counterfoil.Config) { c.Cookie.Name = "session" },
		"__Secure- alone":     func(c *counterfoil.Config) { c.Cookie.Name = "__Secure-session" },
		"name with a space":   func(c *counterfoil.Config) { c.Cookie.Name = "__Host-a b" },
		"name with a newline": func(c *counterfoil.Config) { c.Cookie.Name = "__Host-a\r\nX: y" },
		"one name for both":   func(c *counterfoil.Config) { c.Cookie.Name = "__Host-a"; c.Cookie.VisitName = "__Host-a" },
		"negative idle":       func(c *counterfoil.Config) { c.Policy.Idle = -1 },
		"idle under a second": func(c *counterfoil.Config) { c.Policy.Idle = time.Second - 1 },
		"no absolute end":     func(c *counterfoil.Config) { c.Policy.Absolute = math.MaxInt64 },
		"absolute over AAL1":  func(c *counterfoil.Config) { c.Policy.Absolute = 31 * day },
		"no grace":            func(c *counterfoil.Config) { c.Policy.Grace = 9 * time.Second },
		"rotation too quick":  func(c *counterfoil.Config) { c.Policy.Rotate = time.Minute },
		"negative limit":      func(c *counterfoil.Config) { c.Policy.PerSubject = -1 },
		"lease of a minute+":  func(c *counterfoil.Config) { c.Lease = 61 * time.Second },
		"negative lease":      func(c *counterfoil.Config) { c.Lease = -time.Second },
		"negative values":     func(c *counterfoil.Config) { c.ValueBytes = -1 },
	}
	for name, edit := range refused {
		t.Run(name, func(t *testing.T) {
			if _, err := open(t, edit); err == nil {
				t.Error("taken")
			}
		})
	}
	t.Run("all faults at once", func(t *testing.T) {
		_, err := open(t, func(c *counterfoil.Config) {
			c.Keys, c.Policy.Idle, c.Cookie.SameSite = nil, -1, http.SameSiteNoneMode
		})
		for _, want := range []string{"Keys", "Idle", "SameSite"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v does not name %s", err, want)
			}
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		span := rapid.Custom(func(t *rapid.T) time.Duration {
			return rapid.OneOf(rapid.SampledFrom([]time.Duration{0, 1, -1, time.Second, day, 30 * day, 401 * day, math.MaxInt64, math.MinInt64}), rapid.Map(rapid.Int64(), func(n int64) time.Duration { return time.Duration(n) })).Draw(t, "span")
		})
		var cfg counterfoil.Config
		m, err := open(t, func(c *counterfoil.Config) {
			c.Policy = counterfoil.Policy{
				Idle: span.Draw(t, "idle"), Absolute: span.Draw(t, "absolute"), Rotate: span.Draw(t, "rotate"),
				Grace: span.Draw(t, "grace"), PerSubject: rapid.IntRange(-2, 50).Draw(t, "max"), Why: "tried out",
			}
			c.Cookie.Name = rapid.SampledFrom([]string{"", "x", "__Host-x", "__host-x", "__Host-Http-x"}).Draw(t, "name")
			c.Cookie.SameSite = http.SameSite(rapid.IntRange(0, 6).Draw(t, "same site"))
			c.Cookie.Persistent = rapid.Bool().Draw(t, "persistent")
			cfg = *c
		})
		if err != nil {
			return
		}
		w := httptest.NewRecorder()
		var info counterfoil.Info
		m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s := m.FromContext(r.Context())
			if err := s.SignIn(counterfoil.Identity{Subject: "alice"}); err != nil {
				t.Fatal(err)
			}
			info = s.Info()
		})).ServeHTTP(w, httptest.NewRequest("POST", "/", nil))
		c := w.Result().Cookies()[0]
		if !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" || !strings.HasPrefix(c.Name, "__Host-") ||
			c.SameSite != http.SameSiteLaxMode && c.SameSite != http.SameSiteStrictMode {
			t.Fatalf("a weak cookie: %q of %+v", w.Header()["Set-Cookie"], cfg.Cookie)
		}
		life := info.AbsoluteEnd.Sub(info.Created)
		if life < time.Second || life > 400*day || info.IdleEnd.After(info.AbsoluteEnd) || time.Duration(c.MaxAge)*time.Second > life+time.Second/2 {
			t.Fatalf("a session from %v to %v, idle at %v, Max-Age %d", info.Created, info.AbsoluteEnd, info.IdleEnd, c.MaxAge)
		}
	})
}

func TestPresets(t *testing.T) { // D8, S3, F2, D2
	for _, c := range []struct {
		name           string
		policy         counterfoil.Policy
		idle, absolute time.Duration
	}{
		{"zero", counterfoil.Policy{}, 30 * time.Minute, 8 * time.Hour},
		{"AAL1", counterfoil.AAL1(), day, 30 * day},
		{"AAL2", counterfoil.AAL2(), time.Hour, day},
		{"AAL3", counterfoil.AAL3(), 15 * time.Minute, 12 * time.Hour},
		{"30 days", counterfoil.Policy{Idle: 30 * day, Absolute: 30 * day}, 30 * day, 30 * day},
		{"a year, with a reason", counterfoil.Policy{Absolute: 365 * day, Why: "a kiosk that is locked away"}, 30 * time.Minute, 365 * day},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, _ := sessiontest.New(t, func(cfg *counterfoil.Config) { cfg.Policy = c.policy })
			r := httptest.NewRequest("GET", "/", nil)
			i := sessiontest.SignIn(t, m, r, counterfoil.Identity{Subject: "alice"})
			if got := i.IdleEnd.Sub(i.Created); got != c.idle {
				t.Errorf("idle %v, want %v", got, c.idle)
			}
			if got := i.AbsoluteEnd.Sub(i.Created); got != c.absolute {
				t.Errorf("absolute %v, want %v", got, c.absolute)
			}
		})
	}
	t.Run("anonymous", func(t *testing.T) {
		m, _ := sessiontest.New(t)
		during(t, m, nil, func(s *counterfoil.Session) {
			if err := errors.Join(note.Set(s, "kept"), s.Commit()); err != nil {
				t.Fatal(err)
			}
			if i := s.Info(); i.IdleEnd.Sub(i.Created) != 14*day || i.AbsoluteEnd.Sub(i.Created) != 30*day {
				t.Errorf("idle %v, absolute %v", i.IdleEnd.Sub(i.Created), i.AbsoluteEnd.Sub(i.Created))
			}
		})
	})
}

func TestPlainHTTPIsForThisMachine(t *testing.T) { // D10, P16
	m, _ := sessiontest.New(t, func(c *counterfoil.Config) { c.Cookie.Insecure = true })
	r := httptest.NewRequest("GET", "/", nil)
	h := me(m)
	for addr, want := range map[string]int{"127.0.0.1:9": 200, "[::1]:9": 200, "192.0.2.1:9": 403, "10.0.0.1:9": 403} {
		r.RemoteAddr = addr
		r.Header.Set("X-Forwarded-For", "127.0.0.1")
		r.Header.Set("X-Forwarded-Proto", "https")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%s: %d, want %d", addr, w.Code, want)
		}
	}
}

// The order at the limit: longest idle by default, oldest or nobody by policy.
func TestAtLimit(t *testing.T) { // D24, SD10, S39, SD4
	for _, c := range []struct {
		order counterfoil.Overflow
		lives string // of a, b and c when d signs in
	}{
		{counterfoil.EvictIdle, "acd"},   // b was idle longest
		{counterfoil.EvictOldest, "bcd"}, // a is the oldest
		{counterfoil.Deny, "abc"},
	} {
		t.Run(c.order.String(), func(t *testing.T) {
			var told []counterfoil.Reason
			s := newSite(t, func(cfg *counterfoil.Config) {
				cfg.Policy = counterfoil.Policy{PerSubject: 3, AtLimit: c.order}
				cfg.Observe = func(e counterfoil.Event) { told = append(told, e.Reason) }
			})
			browsers := map[string]*browser{}
			for _, name := range []string{"a", "b", "c"} {
				browsers[name] = s.browser()
				browsers[name].do("POST", "/login/alice")
				s.clock.Advance(time.Minute)
			}
			browsers["a"].wantUser("alice")
			browsers["c"].wantUser("alice")
			s.clock.Advance(2 * time.Second)
			browsers["d"] = s.browser()
			browsers["d"].do("POST", "/login/alice")
			lives := ""
			for _, name := range []string{"a", "b", "c", "d"} {
				if browsers[name].get("/me") == "alice" {
					lives += name
				}
			}
			if lives != c.lives {
				t.Errorf("%s live on, want %s", lives, c.lives)
			}
			if c.order != counterfoil.Deny && !slices.Contains(told, counterfoil.ReasonLimit) {
				t.Errorf("nobody was told: %v", told)
			}
		})
	}
}

// Checked first, touched after: a session that is over is not revived by the request that asks.
func TestCheckThenTouch(t *testing.T) { // D14, D15, D22, P32, P34, P52, PD7, F10
	var touches, writes int
	var store counterfoil.Store
	s := newSite(t, func(c *counterfoil.Config) {
		store = c.Store
		c.Store = sessiontest.Flaky(c.Store, func(method string) error {
			switch method {
			case "Touch":
				touches++
			case "Update", "Create":
				writes++
			}
			return nil
		})
		c.Background = func(r *http.Request) bool { return r.Header.Get("X-Poll") != "" }
	})
	b := s.browser()
	b.do("POST", "/login/alice")
	id := func() *counterfoil.Record {
		recs, err := store.Scan(t.Context(), counterfoil.ID{}, 2)
		if err != nil || len(recs) != 1 {
			t.Fatalf("%d records, %v", len(recs), err)
		}
		return recs[0]
	}
	end := id().AbsoluteEnd
	writes = 0
	for range 1000 { // ten seconds of a busy page
		if r := b.do("GET", "/me"); len(r.Header["Set-Cookie"]) > 0 || r.Header.Get("Vary") != "" {
			t.Fatalf("a read answers with %v", r.Header)
		}
		s.clock.Advance(10 * time.Millisecond)
	}
	if touches > 1 || writes > 0 {
		t.Errorf("1000 requests in 10 s: %d touches, %d writes", touches, writes)
	}
	s.clock.Advance(20 * time.Minute)
	b.do("GET", "/me")
	s.clock.Advance(2 * time.Second)
	if wall, _ := s.clock.Now(); wall.Sub(id().Seen) > 32*time.Second {
		t.Errorf("seen at %v, it is %v", id().Seen, wall)
	}
	if !id().AbsoluteEnd.Equal(end) {
		t.Errorf("the absolute end moved from %v to %v", end, id().AbsoluteEnd)
	}
	for range 31 { // a page that polls does not keep the session alive
		s.clock.Advance(time.Minute)
		r := b.request("GET", "/me")
		r.Header.Set("X-Poll", "1")
		w := httptest.NewRecorder()
		b.h.ServeHTTP(w, r)
	}
	b.wantUser("")
	if recs, err := store.Scan(t.Context(), counterfoil.ID{}, 2); err != nil || len(recs) != 0 {
		t.Errorf("the dead session is still there: %d, %v", len(recs), err)
	}
}

// A request that the page makes by itself renews no token: the next that a user makes does. R2.1
func TestBackgroundRenewsNothing(t *testing.T) {
	m, clock := sessiontest.New(t, func(c *counterfoil.Config) {
		c.Background = func(r *http.Request) bool { return r.URL.Path == "/poll" }
	})
	signedIn, _ := signIn(t, m, "alice")
	clock.Advance(20 * time.Minute)
	for path, cookies := range map[string]int{"/poll": 0, "/": 1} {
		r := httptest.NewRequest("GET", path, nil)
		r.Header = signedIn.Header.Clone()
		w := httptest.NewRecorder()
		me(m).ServeHTTP(w, r)
		if got := w.Header()["Set-Cookie"]; w.Body.String() != "alice" || len(got) != cookies {
			t.Errorf("%s: %q, cookies %q; want %d", path, w.Body, got, cookies)
		}
	}
}

// What was tampered with or cannot be read is nobody's, and no fault of the server.
func TestUnreadableRecords(t *testing.T) { // SD2, P92, P1, P30, P49, C14, FD7
	edits := map[string]func(*counterfoil.Record){
		"identity cut":         func(r *counterfoil.Record) { r.Identity = r.Identity[:len(r.Identity)-1] },
		"identity empty":       func(r *counterfoil.Record) { r.Identity = nil },
		"identity flipped":     func(r *counterfoil.Record) { r.Identity[len(r.Identity)/2] ^= 1 },
		"unknown key":          func(r *counterfoil.Record) { r.IdentityKey++ },
		"count":                func(r *counterfoil.Record) { r.IdentityCount++ },
		"another kind":         func(r *counterfoil.Record) { r.Kind = counterfoil.KindClient },
		"another subject":      func(r *counterfoil.Record) { r.Subject[0] ^= 1 },
		"a later absolute end": func(r *counterfoil.Record) { r.AbsoluteEnd = r.AbsoluteEnd.Add(time.Hour) },
		"an earlier creation":  func(r *counterfoil.Record) { r.Created = r.Created.Add(-time.Hour) },
		"another epoch":        func(r *counterfoil.Record) { r.Epoch++ },
		"another version":      func(r *counterfoil.Record) { r.Version = 9 },
		"a verifier key":       func(r *counterfoil.Record) { r.VerifierKey++ },
	}
	for name, edit := range edits {
		t.Run(name, func(t *testing.T) {
			on := false
			var why counterfoil.Reason
			s := newSite(t, func(c *counterfoil.Config) {
				c.Store = tampering{c.Store, func(r *counterfoil.Record) {
					if on {
						edit(r)
					}
				}}
				c.CacheBytes = -1
				c.Observe = func(e counterfoil.Event) {
					if e.Kind == counterfoil.EventRefused {
						why = e.Reason
					}
				}
			})
			b := s.browser()
			b.do("POST", "/login/alice")
			b.wantUser("alice")
			on = true
			r := b.do("GET", "/me")
			if name == "a verifier key" { // clear copy only: the sealed one rules
				if got := body(r); got != "alice" {
					t.Errorf("shown as %q", got)
				}
				return
			}
			if r.StatusCode != 200 || body(r) != "" || len(r.Header["Set-Cookie"]) > 0 || why != counterfoil.ReasonUnreadable {
				t.Errorf("%d, cookies %v, reason %q", r.StatusCode, r.Header["Set-Cookie"], why)
			}
		})
	}
}

// tampering changes records on their way out of the store.
type tampering struct {
	counterfoil.Store
	edit func(*counterfoil.Record)
}

func (s tampering) Load(ctx context.Context, id counterfoil.ID) (*counterfoil.Record, error) {
	rec, err := s.Store.Load(ctx, id)
	if err == nil {
		s.edit(rec)
	}
	return rec, err
}

// Who signs in over a session gets another one; nothing turns a session into somebody else's.
func TestAlwaysANewSession(t *testing.T) { // S2, S4, S16, S17, S18, S24, S26, S30, SD1
	s := newSite(t)
	b := s.browser()
	b.do("POST", "/note/from-a-visitor")
	seen := []string{b.cookies}
	for _, name := range []string{"alice", "alice", "bob"} {
		b.do("POST", "/login/"+name)
		b.wantUser(name)
		for _, old := range seen {
			if got := s.replay(old); got != "" {
				t.Errorf("%s: a former token shows %q", name, got)
			}
		}
		seen = append(seen, b.cookies)
	}
	r := b.request("GET", "/me") // another address and device: still bob's session
	r.RemoteAddr = "198.51.100.77:4"
	r.Header.Set("User-Agent", "another")
	w := httptest.NewRecorder()
	b.h.ServeHTTP(w, r)
	if w.Body.String() != "bob" {
		t.Errorf("from another address: %q", w.Body)
	}
	for info, err := range s.m.List(t.Context(), "bob") {
		if err != nil || info.Subject != "bob" || info.Created.IsZero() || info.Created.Location() != time.UTC || info.IP == "" {
			t.Errorf("%+v, %v", info, err)
		}
	}
	visitor := s.browser()
	visitor.do("POST", "/note/x")
	w = httptest.NewRecorder()
	s.m.Require()(http.NotFoundHandler()).ServeHTTP(w, visitor.request("GET", "/"))
	if w.Code != http.StatusUnauthorized {
		t.Errorf("an anonymous session passes Require: %d", w.Code)
	}
}
