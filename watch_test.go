package counterfoil_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/sessiontest"
)

// timers counts the appointments that a manager holds.
type timers struct {
	counterfoil.Clock
	held atomic.Int64
}

func (c *timers) AfterFunc(d time.Duration, f func()) func() bool {
	c.held.Add(1)
	stop := c.Clock.AfterFunc(d, func() { c.held.Add(-1); f() })
	return func() bool {
		stopped := stop()
		if stopped {
			c.held.Add(-1)
		}
		return stopped
	}
}

// A stream of a session that is in memory asks the store for nothing: a gateway opens one for each answer
// whose length is not known beforehand, which is most of them.
func TestStreamsAskNobody(t *testing.T) { // G6
	loads := 0
	m, clock := sessiontest.New(t, func(c *counterfoil.Config) {
		c.Store = sessiontest.Flaky(c.Store, func(method string) error {
			if method == "Load" {
				loads++
			}
			return nil
		})
	})
	r, _ := signIn(t, m, "alice")
	loads = 0
	during(t, m, r, func(s *counterfoil.Session) {
		done := s.Done()
		clock.Advance(20 * time.Minute)
		if loads > 0 {
			t.Errorf("a stream asked the store %d times", loads)
		}
		clock.Advance(20 * time.Minute)
		select {
		case <-done:
		default:
			t.Error("a stream goes on behind the idle end of its session")
		}
	})
}

// A visitor who opens and closes streams leaves nothing behind, and one stream holds one appointment
// however long it lasts: else memory would grow with every request until the session's end.
func TestStreamsLeaveNothingBehind(t *testing.T) { // P98
	var count *timers
	m, clock := sessiontest.New(t, func(c *counterfoil.Config) {
		count = &timers{Clock: c.Clock}
		c.Clock = count
	})
	token, _ := tokenOf(t, m, "alice")
	stream := func(during func()) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Cookie", "__Host-Http-session="+token)
		m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			m.FromContext(r.Context()).Done()
			during()
		})).ServeHTTP(httptest.NewRecorder(), r)
	}
	clock.Advance(2 * time.Second)
	before := count.held.Load()
	for range 100 {
		stream(func() {})
	}
	if n := count.held.Load(); n != before {
		t.Errorf("100 streams left %d appointments", n-before)
	}
	stream(func() {
		clock.Advance(time.Second) // the first look is over
		stream(func() {})
		for range 3 { // each time the end seems near, and then is not
			stream(func() { clock.Advance(20 * time.Minute) })
		}
		if n := count.held.Load(); n > before+1 {
			t.Errorf("one stream holds %d appointments", n-before)
		}
	})
}

// A node whose log has kept ends from it says that it knows of them only when its streams do. Until it
// can look after them it has its lease, and after two leases nobody waits for it any more.
func TestG2WaitForStreams(t *testing.T) { // R17
	trim := func(p *peers) {
		wall, _ := p.clock.Now()
		if _, err := p.store.Reap(p.t.Context(), counterfoil.Reap{LogBefore: wall.Add(time.Hour)}); err != nil {
			p.t.Fatal(err)
		}
	}
	rename := func(p *peers) { p.links[0].log, p.links[1].log = "!", "!" }
	for _, c := range []struct {
		name        string
		loseLog     func(*peers)
		blind       time.Duration // since the end: how long no stream can be looked after
		least, most time.Duration
		behind      int
	}{
		{"a gap", trim, 0, 0, lease / 2, 0},
		{"a gap, and records are slow to come", trim, lease * 4 / 5, lease * 4 / 5, lease * 15 / 10, 0},
		{"a gap, and records do not come", trim, 10 * lease, 2 * lease, lease * 22 / 10, 1},
		{"another log, and records are slow to come", rename, lease * 4 / 5, lease * 4 / 5, lease * 15 / 10, 0},
		{"another log, and records do not come", rename, 10 * lease, 2 * lease, lease * 22 / 10, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // whoever waits is waited for, however slow the machine is
				p := newPeers(t, lease, lease)
				r, _ := signIn(t, p.nodes[0], "alice")
				done, leave := stream(t, p.nodes[1], r)
				defer leave()
				p.clock.Advance(lease)
				p.links[1].cut = true
				told := func() bool {
					select {
					case <-done:
						return true
					default:
						return false
					}
				}
				w := p.end(func(passed time.Duration) {
					if passed == 0 {
						c.loseLog(p)
						p.links[1].cut, p.links[1].blind = false, true
					}
					if passed >= c.blind {
						p.links[1].blind = false
					}
					if passed > lease/2 && !p.nodes[1].Health().LeaseFresh {
						t.Errorf("after %v it has no lease", passed)
					}
				})
				if told() != (c.behind == 0) {
					t.Errorf("after Wait the stream knows of the end: %v", told())
				}
				if w.Took < c.least || w.Took > c.most || w.Behind != c.behind {
					t.Errorf("it took %+v", w)
				}
				p.links[1].blind = false
				p.clock.Advance(2 * time.Second)
				if !told() {
					t.Error("the stream goes on")
				}
				if w := p.end(nil); w.Took > lease/2 {
					t.Errorf("the next one took %+v", w)
				}
			})
		})
	}
}

// stream opens one on m and returns what it is told by. leave ends it.
func stream(t *testing.T, m *counterfoil.Manager, r *http.Request) (done <-chan struct{}, leave func()) {
	t.Helper()
	open, over, left := make(chan (<-chan struct{})), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(left)
		m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			open <- m.FromContext(r.Context()).Done()
			<-over
		})).ServeHTTP(httptest.NewRecorder(), r.Clone(context.Background()))
	}()
	return <-open, func() { close(over); <-left }
}

// An end that the store may not have heard of ends no stream: the node looks. A sign-out does, since the
// node refuses the session from then on. Found by the simulation: streams of sessions that lived on were
// told that they had ended.
func TestG5UnheardEndAndStreams(t *testing.T) { // G9
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
	done, leave := stream(t, m, r)
	defer leave()
	told := func() bool {
		clock.Advance(time.Second)
		select {
		case <-done:
			return true
		default:
			return false
		}
	}
	fault = errors.New("no answer")
	for _, target := range []counterfoil.Target{counterfoil.AllOf("alice"), counterfoil.Everything()} {
		if _, err := m.Revoke(t.Context(), target, counterfoil.ReasonRevoked); !errors.Is(err, counterfoil.ErrUnavailable) {
			t.Fatal(err)
		}
	}
	if _, v := m.Check(r); v != counterfoil.Valid || told() {
		t.Errorf("the session lives (%v), and its stream was told that it has ended", v)
	}
	during(t, m, r, func(s *counterfoil.Session) { s.SignOut() })
	if !told() {
		t.Error("after a sign-out that the store did not hear the stream goes on")
	}
	fault = nil // or closing fails, with an end that is not written
}

// A stream that begins when its session has just ended is told, too.
func TestG2StreamOfTheEnded(t *testing.T) { // R17
	m, clock := sessiontest.New(t)
	r, _ := signIn(t, m, "alice")
	during(t, m, r, func(s *counterfoil.Session) {
		if _, err := m.Revoke(t.Context(), counterfoil.AllOf("alice"), counterfoil.ReasonRevoked); err != nil {
			t.Fatal(err)
		}
		done := s.Done()
		clock.Advance(time.Second)
		select {
		case <-done:
		default:
			t.Error("the stream goes on")
		}
	})
}

// A look at a stream that was begun before the node learned of a gap says nothing of it.
func TestG2LookOfThePast(t *testing.T) { // R17
	p := newPeers(t, lease, lease)
	r, _ := signIn(t, p.nodes[0], "alice")
	done, leave := stream(t, p.nodes[1], r)
	defer leave()
	l := p.links[1]
	var end counterfoil.Revocation
	l.late = func() { // the record lives in the answer that is under way
		l.late, l.blind = nil, true
		var err error
		if end, err = p.nodes[0].Revoke(t.Context(), counterfoil.AllOf("alice"), counterfoil.ReasonRevoked); err != nil {
			t.Error(err)
		}
		wall, _ := p.clock.Now()
		if _, err := p.store.Reap(t.Context(), counterfoil.Reap{LogBefore: wall.Add(time.Hour)}); err != nil {
			t.Error(err)
		}
		p.clock.Advance(lease / 2) // it polls meanwhile
	}
	if err := p.store.Renew(t.Context()); err != nil { // so that it looks after its streams
		t.Fatal(err)
	}
	p.clock.Advance(lease)
	acknowledged := func() bool {
		all, err := p.store.Nodes(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(all, func(n counterfoil.Node) bool {
			return n.Name == l.polls[len(l.polls)-1].Node && n.Acked >= end.Seq
		})
	}
	if acknowledged() {
		t.Error("the end is acknowledged, and the stream goes on")
	}
	l.blind = false
	p.clock.Advance(lease)
	select {
	case <-done:
	default:
		t.Error("the stream goes on")
	}
	if !acknowledged() {
		t.Error("the end is not acknowledged")
	}
}
