package counterfoil_test

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/sessiontest"
)

// during runs f inside one request with these cookies and returns the answer.
func during(t *testing.T, m *counterfoil.Manager, cookies *http.Request, f func(s *counterfoil.Session)) *http.Response {
	t.Helper()
	r := httptest.NewRequest("POST", "/", nil)
	if cookies != nil {
		r.Header = cookies.Header.Clone()
	}
	w := httptest.NewRecorder()
	m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { f(m.FromContext(r.Context())) })).ServeHTTP(w, r)
	return w.Result()
}

// signIn returns a request that carries a new session of the subject.
func signIn(t *testing.T, m *counterfoil.Manager, subject string) (*http.Request, counterfoil.Info) {
	t.Helper()
	r := httptest.NewRequest("GET", "/", nil)
	return r, sessiontest.SignIn(t, m, r, counterfoil.Identity{Subject: subject, Methods: []string{"pwd"}})
}

// A visitor without a session costs nothing and leaves nothing.
func TestVisitorsLeaveNothing(t *testing.T) { // G6, D23, PD2, P20, F10
	calls := map[string]int{}
	m, clock := sessiontest.New(t, func(c *counterfoil.Config) {
		c.Store = sessiontest.Flaky(c.Store, func(method string) error { calls[method]++; return nil })
	})
	clear(calls)
	for range 1000 {
		a := during(t, m, nil, func(s *counterfoil.Session) {
			if text, err := note.Get(s); text != "" || err != nil || s.SignedIn() || !s.ID().IsZero() {
				t.Errorf("%q, %v, %v", text, err, s.ID())
			}
			if err := note.Delete(s); err != nil {
				t.Error(err)
			}
		})
		if len(a.Header["Set-Cookie"]) > 0 || a.Header.Get("Vary") != "" || a.Header.Get("Cache-Control") != "" {
			t.Fatalf("header %v", a.Header)
		}
	}
	if len(calls) > 0 {
		t.Errorf("the store was asked: %v", calls)
	}
	r, _ := signIn(t, m, "alice")
	during(t, m, r, func(s *counterfoil.Session) { note.Set(s, "same") })
	clear(calls)
	during(t, m, r, func(s *counterfoil.Session) {
		if err := note.Set(s, "same"); err != nil {
			t.Error(err)
		}
	})
	clock.Advance(time.Second)
	delete(calls, "Poll")
	delete(calls, "Poll/answer")
	if len(calls) > 0 {
		t.Errorf("what was there already was written again: %v", calls)
	}
}

func TestConditions(t *testing.T) { // T39, S24
	m, clock := sessiontest.New(t)
	r := httptest.NewRequest("GET", "/", nil)
	sessiontest.SignIn(t, m, r, counterfoil.Identity{Subject: "alice", Level: 2})
	nobody := httptest.NewRequest("GET", "/", nil)
	mine := errors.New("mine")
	for _, c := range []struct {
		name string
		r    *http.Request
		cond []counterfoil.Condition
		want error
	}{
		{"signed in", r, nil, nil},
		{"nobody", nobody, nil, counterfoil.ErrNotSignedIn},
		{"fresh", r, []counterfoil.Condition{counterfoil.Fresh(5 * time.Minute)}, nil},
		{"level 2", r, []counterfoil.Condition{counterfoil.Level(2)}, nil},
		{"level 3", r, []counterfoil.Condition{counterfoil.Level(3)}, counterfoil.ErrStepUp},
		{"own", r, []counterfoil.Condition{func(counterfoil.View, time.Time) error { return mine }}, mine},
	} {
		t.Run(c.name, func(t *testing.T) {
			during(t, m, c.r, func(s *counterfoil.Session) {
				if err := s.Meets(c.cond...); !errors.Is(err, c.want) {
					t.Errorf("Meets: %v, want %v", err, c.want)
				}
			})
			for _, wrapped := range []bool{false, true} {
				h := m.Require(c.cond...)(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "passed") }))
				if wrapped {
					h = m.Handler(h)
				}
				w := httptest.NewRecorder()
				h.ServeHTTP(w, c.r)
				want := http.StatusOK
				if c.want != nil {
					want = counterfoil.RefusalStatus(c.want)
				}
				if w.Code != want || (w.Body.String() == "passed") != (c.want == nil) {
					t.Errorf("wrapped %v: %d %q", wrapped, w.Code, w.Body)
				}
			}
		})
	}
	clock.Advance(6 * time.Minute)
	during(t, m, r, func(s *counterfoil.Session) {
		if err := s.Meets(counterfoil.Fresh(5 * time.Minute)); !errors.Is(err, counterfoil.ErrStepUp) {
			t.Errorf("six minutes old: %v", err)
		}
	})
	if err := counterfoil.Fresh(time.Hour)(counterfoil.View{}, time.Unix(0, 0)); !errors.Is(err, counterfoil.ErrStepUp) {
		t.Errorf("nobody is fresh: %v", err)
	}
	if err := new(counterfoil.Session).Meets(); !errors.Is(err, counterfoil.ErrNoHandler) {
		t.Errorf("without Handler: %v", err)
	}
}

// What a view says by itself is what its Info says.
func TestView(t *testing.T) {
	m, _ := sessiontest.New(t)
	for _, id := range []counterfoil.Identity{
		{Subject: "a"},
		{Subject: strings.Repeat("s", 255), Methods: []string{"pwd"}, Level: 2},
		{Subject: "carol", Methods: []string{"pwd", "otp", strings.Repeat("m", 32)}, Level: 3},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		sessiontest.SignIn(t, m, r, id)
		v, verdict := m.Check(r)
		if info := v.Info(); verdict != counterfoil.Valid || v.ID() != info.ID || v.Subject() != id.Subject || info.Subject != id.Subject ||
			!slices.Equal(v.Methods(), id.Methods) || !slices.Equal(info.Methods, id.Methods) || v.Level() != info.Level || v.Level() != max(id.Level, 1) {
			t.Errorf("%+v: %v, by %v at level %d; in short %+v", id, v.Subject(), v.Methods(), v.Level(), info)
		}
	}
	if v := (counterfoil.View{}); v.Methods() != nil || v.Level() != 0 || v.Subject() != "" || !v.ID().IsZero() || v.Revision() != 0 {
		t.Error("the view of nobody says something")
	}
}

func TestListAndRevoke(t *testing.T) { // S40–S43, SD8, S47, T22
	m, _ := sessiontest.New(t)
	a1, i1 := signIn(t, m, "alice")
	a2, i2 := signIn(t, m, "alice")
	a3, i3 := signIn(t, m, "alice")
	b, ib := signIn(t, m, "bob")
	list := func(subject string) (ids []counterfoil.ID) {
		for info, err := range m.List(t.Context(), subject) {
			if err != nil || info.Subject != subject || info.Created.IsZero() || info.IP == "" || !slices.Equal(info.Methods, []string{"pwd"}) {
				t.Errorf("%+v, %v", info, err)
			}
			ids = append(ids, info.ID)
		}
		return ids
	}
	if got := list("alice"); len(got) != 3 || !slices.Contains(got, i1.ID) || slices.Contains(got, ib.ID) {
		t.Errorf("alice's: %v", got)
	}
	all := 0
	for _, err := range m.All(t.Context()) {
		if err != nil {
			t.Error(err)
		}
		all++
	}
	if all != 4 {
		t.Errorf("%d in all", all)
	}
	revoke := func(target counterfoil.Target) (int, error) {
		rv, err := m.Revoke(t.Context(), target, counterfoil.ReasonRevoked)
		if err == nil {
			if _, err := rv.Wait(t.Context()); err != nil {
				t.Error(err)
			}
		}
		return rv.Ended, err
	}
	valid := func(r *http.Request) bool {
		_, v := m.Check(r)
		return v == counterfoil.Valid
	}
	if _, err := revoke(counterfoil.AllOf("alice").Only(ib.ID)); !errors.Is(err, counterfoil.ErrNotFound) || !valid(b) {
		t.Errorf("bob's session by alice: %v, lives: %v", err, valid(b))
	}
	if n, err := revoke(counterfoil.AllOf("alice").Only(i1.ID)); n != 1 || err != nil || valid(a1) {
		t.Errorf("own: %d, %v, lives: %v", n, err, valid(a1))
	}
	if _, err := revoke(counterfoil.ByID(i1.ID)); !errors.Is(err, counterfoil.ErrNotFound) {
		t.Errorf("twice: %v", err)
	}
	if n, err := revoke(counterfoil.AllOf("alice").Except(i2.ID)); n != 1 || err != nil || !valid(a2) || valid(a3) {
		t.Errorf("others: %d, %v", n, err)
	}
	if n, err := revoke(counterfoil.ByID(i2.ID)); n != 1 || err != nil || valid(a2) {
		t.Errorf("by an operator: %d, %v", n, err)
	}
	if n, err := revoke(counterfoil.Everything()); n != 1 || err != nil || valid(b) {
		t.Errorf("everything: %d, %v", n, err)
	}
	_ = i3
	for _, bad := range []counterfoil.Target{
		{}, counterfoil.Everything().Except(i1.ID), counterfoil.ByID(i1.ID).Before(3),
		counterfoil.AllOf("a").Except(make([]counterfoil.ID, counterfoil.MaxExcept+1)...),
	} {
		if _, err := revoke(bad); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}

func TestConfirm(t *testing.T) { // R21
	gone := errors.New("gone")
	var fault, cut error
	var store counterfoil.Store
	m, clock := sessiontest.New(t, func(c *counterfoil.Config) {
		store = c.Store
		c.Store = sessiontest.Flaky(c.Store, func(method string) error {
			switch method {
			case "Load":
				return fault
			case "Poll":
				return cut
			}
			return nil
		})
	})
	r, info := signIn(t, m, "alice")
	during(t, m, r, func(s *counterfoil.Session) {
		if err := s.Confirm(t.Context()); err != nil {
			t.Errorf("alive: %v", err)
		}
		fault = gone
		if err := s.Confirm(t.Context()); !errors.Is(err, counterfoil.ErrUnavailable) {
			t.Errorf("no store: %v", err)
		}
		fault = nil
		if _, err := store.Revoke(t.Context(), counterfoil.Entry{Kind: counterfoil.EntryEnded, Session: info.ID, Op: counterfoil.OpID{1}}); err != nil {
			t.Fatal(err) // elsewhere, so that this node does not know yet
		}
		if err := s.Confirm(t.Context()); !errors.Is(err, counterfoil.ErrEnded) {
			t.Errorf("ended elsewhere: %v", err)
		}
	})
	during(t, m, nil, func(s *counterfoil.Session) {
		if err := s.Confirm(t.Context()); !errors.Is(err, counterfoil.ErrEnded) {
			t.Errorf("nobody: %v", err)
		}
	})
	r, _ = signIn(t, m, "bob")
	during(t, m, r, func(s *counterfoil.Session) {
		cut = gone // reads are answered, by who may have been taken over from: nothing proves the log
		clock.Advance(6 * time.Second)
		if err := s.Confirm(t.Context()); !errors.Is(err, counterfoil.ErrUnavailable) {
			t.Errorf("a store that cannot renew the lease: %v", err)
		}
		cut = nil
		if err := s.Confirm(t.Context()); err != nil {
			t.Errorf("it can again: %v", err)
		}
		clock.Advance(9 * time.Hour)
		if err := s.Confirm(t.Context()); !errors.Is(err, counterfoil.ErrEnded) {
			t.Errorf("expired under way: %v", err)
		}
	})
}

// Two different cookies of our name: nobody, with an event, and a page may tell; equal ones count once.
func TestAmbiguousCookies(t *testing.T) { // FD5, R7
	var why []counterfoil.Reason
	m, _ := sessiontest.New(t, func(c *counterfoil.Config) {
		c.Observe = func(e counterfoil.Event) { why = append(why, e.Reason) }
	})
	r, _ := signIn(t, m, "alice")
	mine := r.Header.Get("Cookie")
	_, other, _ := strings.Cut(mine, "=")
	for _, c := range []struct {
		name, header string
		ambiguous    bool
		subject      string
	}{
		{"once", mine, false, "alice"},
		{"twice the same", mine + "; " + mine, false, "alice"},
		{"another after", mine + "; __Host-Http-session=" + other[1:] + "A", true, ""},
		{"another before", "__Host-Http-session=x; " + mine, true, ""},
		{"a longer name", mine + "; __Host-Http-session2=x", false, "alice"},
	} {
		t.Run(c.name, func(t *testing.T) {
			why = nil
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("Cookie", c.header)
			w := httptest.NewRecorder()
			m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if got := counterfoil.Ambiguous(r.Context()); got != c.ambiguous {
					t.Errorf("ambiguous: %v", got)
				}
				if got := m.FromContext(r.Context()).Subject(); got != c.subject {
					t.Errorf("subject %q", got)
				}
			})).ServeHTTP(w, r)
			if len(w.Header()["Set-Cookie"]) > 0 {
				t.Errorf("the jar was touched: %v", w.Header())
			}
			if told := slices.Contains(why, counterfoil.ReasonAmbiguous); told != c.ambiguous {
				t.Errorf("told: %v", why)
			}
		})
	}
}

// Nothing that can be printed of a session or an event holds its token.
func TestSecretsAreNotPrinted(t *testing.T) { // CD14, D26, SD6, SD11
	var log strings.Builder
	var events []counterfoil.Event
	var store counterfoil.Store
	m, _ := sessiontest.New(t, func(c *counterfoil.Config) {
		store = c.Store
		c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		c.Observe = func(e counterfoil.Event) { events = append(events, e) }
	})
	r, info := signIn(t, m, "alice")
	_, tok, _ := strings.Cut(r.Header.Get("Cookie"), "=")
	during(t, m, r, func(s *counterfoil.Session) {
		v := s.View()
		text, err := json.Marshal([]any{s.Info(), events, info.ID, v, v.Revision(), v.Level(), v.ID(), v.Info()})
		if err != nil {
			t.Error(err)
		}
		log.Write(text)
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "session", s.Info(), "view", v, "id", s.ID())
	})
	recs, err := store.Scan(t.Context(), counterfoil.ID{}, 10)
	if err != nil || len(recs) != 1 {
		t.Fatal(len(recs), err)
	}
	kept, err := json.Marshal(recs)
	if err != nil {
		t.Fatal(err)
	}
	all := log.String() + string(kept)
	for _, part := range []string{tok, tok[:21], tok[22:]} {
		if strings.Contains(all, part) {
			t.Errorf("a part of the token is in %s", all)
		}
	}
	if strings.Contains(string(kept), "alice") {
		t.Error("the store sees who it is")
	}
	if id, err := counterfoil.ParseID(info.ID.String()); err != nil || id != info.ID {
		t.Errorf("%v, %v", id, err)
	}
	var back counterfoil.ID
	if err := back.UnmarshalText([]byte("no ID")); err == nil {
		t.Error("an ID was made of nothing")
	}
}
