package counterfoil_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/sessiontest"
)

// polled is a store whose polls can be made to say something else.
type polled struct {
	counterfoil.Store
	poll func(counterfoil.Page, error) (counterfoil.Page, error)
	node []string
}

func (s *polled) Poll(ctx context.Context, p counterfoil.Poll) (counterfoil.Page, error) {
	s.node = append(s.node, p.Node)
	page, err := s.Store.Poll(ctx, p)
	return s.poll(page, err)
}

// What a node has cached is not trusted once the log is not the log it knew.
func TestLogIsNotWhatItWas(t *testing.T) { // R9, R16, R17
	say := map[string]func(counterfoil.Page, error) (counterfoil.Page, error){
		"another incarnation": func(p counterfoil.Page, err error) (counterfoil.Page, error) { p.Incarnation += "!"; return p, err },
		"a shorter log": func(p counterfoil.Page, err error) (counterfoil.Page, error) {
			p.Head, p.Entries = 0, nil
			return p, err
		},
		"a shorter log of another incarnation": func(p counterfoil.Page, _ error) (counterfoil.Page, error) {
			p.Head, p.Entries, p.Incarnation = 0, nil, "other"
			return p, counterfoil.ErrGap
		},
		"a gap": func(p counterfoil.Page, _ error) (counterfoil.Page, error) { return p, counterfoil.ErrGap },
	}
	fenced := false
	say["fenced"] = func(p counterfoil.Page, err error) (counterfoil.Page, error) {
		if fenced = !fenced; fenced {
			return counterfoil.Page{}, counterfoil.ErrFenced
		}
		return p, err
	}
	for name, other := range say {
		t.Run(name, func(t *testing.T) {
			now := func(p counterfoil.Page, err error) (counterfoil.Page, error) { return p, err }
			store := &polled{poll: func(p counterfoil.Page, err error) (counterfoil.Page, error) { return now(p, err) }}
			loads := 0
			var told []counterfoil.EventKind
			m, clock := sessiontest.New(t, func(c *counterfoil.Config) {
				store.Store = sessiontest.Flaky(c.Store, func(method string) error {
					if method == "Load" {
						loads++
					}
					return nil
				})
				c.Store = store
				c.Observe = func(e counterfoil.Event) { told = append(told, e.Kind) }
			})
			r, _ := signIn(t, m, "alice")
			check := func() int {
				before := loads
				if _, v := m.Check(r); v != counterfoil.Valid {
					t.Fatalf("check: %v", v)
				}
				return loads - before
			}
			if n := check(); n != 0 {
				t.Errorf("warm: %d loads", n)
			}
			clock.Advance(2 * time.Second)
			now = other
			clock.Advance(2 * time.Second)
			now = func(p counterfoil.Page, err error) (counterfoil.Page, error) { return p, err }
			if n := check(); n != 1 {
				t.Errorf("after it: %d loads, want 1", n)
			}
			if !slices.Contains(told, counterfoil.EventLog) {
				t.Errorf("nobody was told: %v", told)
			}
			// Under its old name it may be fenced, or have acknowledged positions that the log has yet to give
			// to others' ends.
			if name != "a gap" && !slices.ContainsFunc(store.node, func(n string) bool { return n != store.node[0] }) {
				t.Error("the node goes on under its old name")
			}
		})
	}
}

// A lease that ran out is renewed by the request that needs it, or the answer is "unknown".
func TestStaleLease(t *testing.T) { // G9, R17, R21, PD8
	fault := error(nil)
	store := &polled{poll: func(p counterfoil.Page, err error) (counterfoil.Page, error) { return p, errors.Join(err, fault) }}
	m, clock := sessiontest.New(t, func(c *counterfoil.Config) { store.Store, c.Store = c.Store, store })
	r, _ := signIn(t, m, "alice")
	verdict := func() counterfoil.Verdict {
		_, v := m.Check(r)
		return v
	}
	fault = errors.New("cut off")
	clock.Advance(4 * time.Second)
	if v := verdict(); v != counterfoil.Valid {
		t.Errorf("4 s after the last poll: %v", v)
	}
	clock.Advance(time.Second)
	if v := verdict(); v != counterfoil.Unknown {
		t.Errorf("over the lease: %v", v)
	}
	if h := m.Health(); h.LeaseFresh || h.LeaseAge < 4*time.Second {
		t.Errorf("health: %+v", h)
	}
	w := httptest.NewRecorder()
	me(m).ServeHTTP(w, r)
	if w.Code != 503 || w.Header().Get("Retry-After") == "" || len(w.Header()["Set-Cookie"]) > 0 {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	fault = nil
	if v := verdict(); v != counterfoil.Valid {
		t.Errorf("the store is back: %v", v)
	}
	for _, step := range []time.Duration{time.Second, -time.Second} { // the two clocks disagree
		clock.Step(step)
		fault = errors.New("cut off")
		if v := verdict(); v != counterfoil.Unknown {
			t.Errorf("the wall clock stepped by %v: %v", step, v)
		}
		fault = nil
		if v := verdict(); v != counterfoil.Valid {
			t.Errorf("after a poll: %v", v)
		}
	}
}

// slowClock is a clock that only the test moves; nothing falls due by it.
type slowClock struct{ passed time.Duration }

func (c *slowClock) Now() (time.Time, time.Duration) {
	return time.Unix(2e9, 0).Add(c.passed), c.passed
}
func (c *slowClock) AfterFunc(time.Duration, func()) func() bool {
	return func() bool { return true }
}

// twoClocks are moved by the test, each by itself.
type twoClocks struct {
	slowClock
	apart time.Duration
}

func (c *twoClocks) Now() (time.Time, time.Duration) {
	wall, mono := c.slowClock.Now()
	return wall.Add(c.apart), mono
}

// A lease holds as long as both clocks say so, and agree.
func TestLeaseByBothClocks(t *testing.T) { // R21
	clock := &twoClocks{}
	m, _ := sessiontest.New(t, func(c *counterfoil.Config) { c.Clock = clock }) // L is 5 s
	for _, c := range []struct {
		mono, wall time.Duration // since the poll
		fresh      bool
	}{
		{0, 0, true},
		{4890 * time.Millisecond, 4890 * time.Millisecond, true},
		{4890 * time.Millisecond, 4910 * time.Millisecond, false},
		{4910 * time.Millisecond, 4890 * time.Millisecond, false},
		{time.Second, 1490 * time.Millisecond, true},
		{time.Second, 1510 * time.Millisecond, false},
		{time.Second, 510 * time.Millisecond, true},
		{time.Second, 490 * time.Millisecond, false},
		{100 * time.Millisecond, -time.Millisecond, false},
		{-time.Millisecond, 100 * time.Millisecond, false},
	} {
		clock.passed, clock.apart = c.mono, c.wall-c.mono
		if fresh := m.Health().LeaseFresh; fresh != c.fresh {
			t.Errorf("after %v by the monotonic clock and %v by the wall clock: fresh is %v", c.mono, c.wall, fresh)
		}
	}
	clock.passed, clock.apart = 0, 0
}

// A lease counts from when its poll was sent: what happened while the answer was under way is not in
// it.
func TestLeaseCountsFromSending(t *testing.T) { // R9, R17
	clock := &slowClock{}
	store := &polled{poll: func(p counterfoil.Page, err error) (counterfoil.Page, error) {
		clock.passed += 3 * time.Second
		return p, err
	}}
	m, _ := sessiontest.New(t, func(c *counterfoil.Config) {
		store.Store, c.Store, c.Clock = c.Store, store, clock
	})
	if h := m.Health(); h.LeaseAge != 3*time.Second || !h.LeaseFresh {
		t.Errorf("after an answer that took 3 s: %+v", h)
	}
	clock.passed += 2 * time.Second
	if h := m.Health(); h.LeaseFresh {
		t.Errorf("5 s after the poll was sent: %+v", h)
	}
}

// A record that was under way for longer than the lease says nothing of now: the log is asked before
// anybody is let in by it.
func TestG2RecordThatCameLate(t *testing.T) { // R17, R21
	for _, c := range []struct {
		name string
		ends bool
		back bool // the store answers again
		want counterfoil.Verdict
	}{
		{"the session has ended", true, true, counterfoil.Invalid},
		{"it lives", false, true, counterfoil.Valid},
		{"nobody can say", true, false, counterfoil.Unknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPeers(t, lease, lease)
			r, _ := signIn(t, p.nodes[0], "alice")
			l := p.links[1]
			l.late = func() {
				l.late, l.cut = nil, true
				if c.ends {
					if _, err := p.nodes[0].Revoke(t.Context(), counterfoil.AllOf("alice"), counterfoil.ReasonRevoked); err != nil {
						t.Error(err)
					}
				}
				p.clock.Advance(2 * lease)
				l.cut = !c.back
			}
			if _, v := p.nodes[1].Check(r); v != c.want {
				t.Errorf("verdict %v, want %v", v, c.want)
			}
		})
	}
}

// The near cache keeps to its bytes and loses nobody by it.
func TestCacheIsBounded(t *testing.T) {
	m, _ := sessiontest.New(t, func(c *counterfoil.Config) { c.CacheBytes = 256 << 10 })
	rs := signedIn(t, m, 2000)
	for _, r := range rs {
		if v, verdict := m.Check(r); verdict != counterfoil.Valid || !v.SignedIn() {
			t.Fatal(verdict)
		}
	}
	if n := m.Health().Cached; n < 100 || n > 900 {
		t.Errorf("%d sessions in 256 KiB", n)
	}
	if _, err := m.Revoke(t.Context(), counterfoil.Everything(), counterfoil.ReasonRevoked); err != nil {
		t.Fatal(err)
	}
	if n := m.Health().Cached; n != 0 {
		t.Errorf("%d are cached after the end of all", n)
	}
}

// A sign-out whose outcome is not known denies the session here at once and is tried again.
func TestSignOutUnknown(t *testing.T) { // G2, G9
	fault := error(nil)
	m, clock := sessiontest.New(t, func(c *counterfoil.Config) {
		c.Store = sessiontest.Flaky(c.Store, func(method string) error {
			if method == "Revoke" {
				return fault
			}
			return nil
		})
	})
	r, _ := signIn(t, m, "alice")
	fault = errors.New("no answer")
	a := during(t, m, r, func(s *counterfoil.Session) {
		if err := s.SignOut(); !errors.Is(err, counterfoil.ErrUnavailable) {
			t.Errorf("sign out: %v", err)
		}
	})
	if c := a.Cookies(); len(c) != 1 || c[0].MaxAge >= 0 {
		t.Errorf("the user's own cookie is cleared even so: %v", c)
	}
	if _, v := m.Check(r); v != counterfoil.Invalid {
		t.Errorf("this node says %v", v)
	}
	fault = nil
	clock.Advance(3 * time.Second)
	n := 0
	for range m.List(t.Context(), "alice") {
		n++
	}
	if n != 0 {
		t.Errorf("%d sessions in the store after the retry", n)
	}
	if _, v := m.Check(r); v != counterfoil.Invalid {
		t.Errorf("afterwards: %v", v)
	}
}

// A session that a former primary did not know is asked for again once the node knows of the new one.
// Found by the simulation: the node went on refusing it for a minute.
func TestG9UnknownToFormerPrimary(t *testing.T) { // R16, PD8
	var store *polled
	var forgets *amnesiac
	former := false
	other := ""
	m, clock := sessiontest.New(t, func(c *counterfoil.Config) {
		store = &polled{poll: func(p counterfoil.Page, err error) (counterfoil.Page, error) { p.Incarnation += other; return p, err }}
		forgets = &amnesiac{Store: c.Store, former: &former}
		store.Store = forgets
		c.Store = store
		c.CacheBytes = -1
	})
	r, _ := signIn(t, m, "alice")
	former = true
	if _, v := m.Check(r); v != counterfoil.Invalid {
		t.Fatalf("a session that the store does not know: %v", v)
	}
	former, other = false, " of another server"
	clock.Advance(4 * time.Second)
	if _, v := m.Check(r); v != counterfoil.Valid {
		t.Errorf("when the node knows of the new server: %v", v)
	}
	former, forgets.meanwhile = true, func() {
		former, other = false, " of a third"
		clock.Advance(4 * time.Second)
	}
	if _, v := m.Check(r); v != counterfoil.Valid {
		t.Errorf("when it learns of it before the answer comes: %v", v)
	}
}

// amnesiac is a store that for a while knows no session.
type amnesiac struct {
	counterfoil.Store
	former    *bool
	meanwhile func() // before it answers
}

func (s *amnesiac) Load(ctx context.Context, id counterfoil.ID) (*counterfoil.Record, error) {
	if *s.former {
		if s.meanwhile != nil {
			s.meanwhile()
		}
		return nil, counterfoil.ErrNotFound
	}
	return s.Store.Load(ctx, id)
}
