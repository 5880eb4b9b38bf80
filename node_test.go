package counterfoil_test

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/sessiontest"
	"github.com/counterfoil/counterfoil/store/memory"
)

// handClock hands the pauses of a Wait to the test, which lets the time of each pass. What others set
// meanwhile comes along with them: nobody ever waits for the test to take one.
type handClock struct {
	*sessiontest.Clock
	came chan struct{} // there is a pause

	mu      sync.Mutex
	waiting bool
	pauses  []handPause
}

type handPause struct {
	d    time.Duration
	over func()
}

func (c *handClock) AfterFunc(d time.Duration, f func()) func() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.waiting {
		return c.Clock.AfterFunc(d, f)
	}
	c.pauses = append(c.pauses, handPause{d, f})
	select {
	case c.came <- struct{}{}:
	default:
	}
	return func() bool { return true }
}

// hold says whether pauses are held; those that nobody took pass with the clock.
func (c *handClock) hold(waiting bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = waiting
	if !waiting {
		for _, p := range c.pauses {
			c.Clock.AfterFunc(p.d, p.over)
		}
		c.pauses = nil
	}
}

// take returns the pauses that came.
func (c *handClock) take() []handPause {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := c.pauses
	c.pauses = nil
	return list
}

// peers are managers on one store and one clock.
type peers struct {
	t      *testing.T
	clock  *handClock
	store  *memory.Store
	nodes  []*counterfoil.Manager
	links  []*link // to the store, of each
	events [][]counterfoil.Event
}

// link is a store that one manager sees, or does not.
type link struct {
	counterfoil.Store
	cut   bool
	polls []counterfoil.Poll
	skew  func() time.Time // the clock of the store; nil: none
	slow  func()           // while an answer is under way
	log   string           // comes to the name of the log
	blind bool             // it reads no records
	mute  bool             // it confirms no ends
	keeps bool             // it lets no node give up its name
	late  func()           // while a record is under way
	ends  func()           // before an end arrives
}

var errCut = errors.New("cut off")

func (l *link) Poll(ctx context.Context, p counterfoil.Poll) (counterfoil.Page, error) {
	if l.cut || l.keeps && p.Acked > 1<<50 {
		return counterfoil.Page{}, errCut
	}
	l.polls = append(l.polls, p)
	page, err := l.Store.Poll(ctx, p)
	page.Incarnation += l.log
	if l.skew != nil {
		page.Now = l.skew()
	}
	if l.slow != nil {
		l.slow()
	}
	return page, err
}

func (l *link) Load(ctx context.Context, id counterfoil.ID) (*counterfoil.Record, error) {
	if l.cut || l.blind {
		return nil, errCut
	}
	rec, err := l.Store.Load(ctx, id)
	if l.late != nil {
		l.late()
	}
	return rec, err
}

func (l *link) Fence(ctx context.Context, node string) error {
	if l.keeps {
		return errCut
	}
	return l.Store.Fence(ctx, node)
}

func (l *link) Revoke(ctx context.Context, e counterfoil.Entry) (counterfoil.Revoked, error) {
	if l.mute {
		return counterfoil.Revoked{}, errCut
	}
	if l.ends != nil {
		l.ends()
	}
	return l.Store.Revoke(ctx, e)
}

// newPeers starts a manager with each of the leases.
func newPeers(t *testing.T, leases ...time.Duration) *peers {
	t.Helper()
	start := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	p := &peers{t: t, clock: &handClock{Clock: sessiontest.NewClock(start), came: make(chan struct{}, 1)}, store: memory.New(memory.Options{Shared: true})}
	keys, err := keyring.Generate(start, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.store.Close() })
	for i, lease := range leases {
		l := &link{Store: p.store}
		p.links, p.events = append(p.links, l), append(p.events, nil)
		m, err := counterfoil.New(t.Context(), counterfoil.Config{
			Store: l, Keys: keys, Clock: p.clock, Lease: lease, Logger: slog.New(slog.DiscardHandler),
			Observe: func(e counterfoil.Event) { p.events[i] = append(p.events[i], e) },
		})
		if err != nil {
			t.Fatal(err)
		}
		p.nodes = append(p.nodes, m)
		t.Cleanup(func() {
			l.cut = false
			m.Close(context.Background())
		})
	}
	return p
}

// end ends all of alice's sessions at the first node, and waits; each is called before each pause.
func (p *peers) end(each func(passed time.Duration)) counterfoil.Waited {
	p.t.Helper()
	rv, err := p.nodes[0].Revoke(p.t.Context(), counterfoil.AllOf("alice"), counterfoil.ReasonRevoked)
	if err != nil {
		p.t.Fatal(err)
	}
	return p.wait(rv, each)
}

// wait is in a bubble of package synctest, where time passes for those who wait for it when nobody works.
func (p *peers) wait(rv counterfoil.Revocation, each func(passed time.Duration)) (w counterfoil.Waited) {
	p.t.Helper()
	over := make(chan error)
	p.clock.hold(true)
	defer p.clock.hold(false)
	go func() {
		var err error
		w, err = rv.Wait(context.Background())
		over <- err
	}()
	for passed := time.Duration(0); ; {
		select {
		case <-p.clock.came:
			for _, next := range p.clock.take() {
				p.clock.hold(false)
				if each != nil {
					each(passed)
				}
				p.clock.Advance(next.d)
				passed += next.d
				p.clock.hold(true)
				next.over()
			}
		case <-time.After(time.Millisecond): // all wait: Wait's pause came while another one passed
			p.clock.Advance(lease / 100)
			passed += lease / 100
		case err := <-over:
			if err != nil {
				p.t.Fatal(err)
			}
			return w
		}
	}
}

// A revocation is in force as soon as each node has said so, which each does soon after it knows.
func TestWaitForAcknowledgements(t *testing.T) { // R17
	synctest.Test(t, func(t *testing.T) {
		p := newPeers(t, lease, lease, lease)
		r, _ := signIn(t, p.nodes[0], "alice")
		for i, m := range p.nodes {
			if _, v := m.Check(r); v != counterfoil.Valid {
				t.Fatalf("node %d: %v", i, v)
			}
		}
		w := p.end(nil)
		if w.Nodes != 3 || w.Fenced != 0 || w.Took > lease/2 {
			t.Errorf("it took %+v", w)
		}
		for i, m := range p.nodes {
			if _, v := m.Check(r); v != counterfoil.Invalid {
				t.Errorf("node %d: %v after Wait", i, v)
			}
		}
		for i, l := range p.links[1:] { // nobody acknowledges what it has not been told before
			var told uint64
			for _, poll := range l.polls {
				if poll.Acked > told {
					t.Errorf("node %d acknowledged %d, and was told up to %d", i+1, poll.Acked, told)
				}
				page, _ := p.store.Log(t.Context(), poll.Since, 0)
				told = page.Head
			}
		}
		if w := p.end(nil); w.Took > lease/2 {
			t.Errorf("again it took %+v", w)
		}
	})
}

// A node that is silent is waited for as long as its own lease can hold, by the waiter's monotonic
// clock, and then shut out: nobody waits for it again.
func TestWaitForSilentNode(t *testing.T) { // R17
	synctest.Test(t, func(t *testing.T) {
		p := newPeers(t, lease, 3*lease, lease)
		r, _ := signIn(t, p.nodes[0], "alice")
		carol, _ := signIn(t, p.nodes[0], "carol")
		p.nodes[1].Check(r)
		p.nodes[1].Check(carol)
		p.links[1].cut = true
		admits := func() bool { _, v := p.nodes[1].Check(r); return v == counterfoil.Valid }
		w := p.end(func(passed time.Duration) {
			if passed == 0 {
				p.clock.Step(time.Hour) // the wall clock has no say
				p.clock.Step(-time.Hour)
			}
			if admits() && passed > 3*lease {
				t.Errorf("it admits %v after the end", passed)
			}
		})
		if admits() {
			t.Error("it admits after Wait")
		}
		if w.Nodes != 3 || w.Fenced != 1 || w.Took < 3*lease*101/100 || w.Took > 3*lease*111/100 {
			t.Errorf("it took %+v", w)
		}
		if w := p.end(nil); w.Nodes != 2 || w.Took < lease {
			t.Errorf("right after it, when whom one shuts out may have polled a moment before, it took %+v", w)
		}
		if w := p.end(nil); w.Nodes != 2 || w.Took > lease/2 {
			t.Errorf("the next one took %+v", w)
		}

		old := p.links[1].polls[len(p.links[1].polls)-1].Node
		other, _ := signIn(t, p.nodes[0], "bob")
		p.links[1].cut = false
		if _, v := p.nodes[1].Check(other); v != counterfoil.Valid {
			t.Errorf("back again, it says %v", v)
		}
		if now := p.links[1].polls[len(p.links[1].polls)-1].Node; now == old {
			t.Error("it is back under its old name")
		}
		if !slices.ContainsFunc(p.events[1], func(e counterfoil.Event) bool {
			return e.Kind == counterfoil.EventLog && e.Reason == counterfoil.ReasonFenced
		}) {
			t.Error("nobody was told that it had been shut out")
		}
		if n := p.nodes[1].Health().Cached; n != 1 {
			t.Errorf("%d sessions are cached; all but the new one should be gone", n)
		}
	})
}

// An end that took long to arrive counts from when it was acknowledged: until it arrived others polled
// and learned nothing of it.
func TestG2WaitCountsFromTheEnd(t *testing.T) { // R17
	synctest.Test(t, func(t *testing.T) {
		p := newPeers(t, lease, lease)
		r, _ := signIn(t, p.nodes[0], "alice")
		p.nodes[1].Check(r)
		p.links[0].ends = func() {
			p.clock.Advance(2 * lease)
			p.links[1].cut = true
		}
		if w := p.end(nil); w.Took < lease*101/100 {
			t.Errorf("it took %+v", w)
		}
		if _, v := p.nodes[1].Check(r); v == counterfoil.Valid {
			t.Error("it admits after Wait")
		}
	})
}

// A node that another one shut out a moment after it had polled has a lease all the same: it is waited
// for. Found by the simulation: two waits at once, one of which had an old answer in its hand.
func TestG2WaitForNodeThatOthersFenced(t *testing.T) { // R17
	synctest.Test(t, func(t *testing.T) {
		p := newPeers(t, lease, lease)
		r, _ := signIn(t, p.nodes[0], "alice")
		p.nodes[1].Check(r)
		polls := p.links[1].polls
		if err := p.store.Fence(t.Context(), polls[len(polls)-1].Node); err != nil {
			t.Fatal(err)
		}
		p.links[1].cut = true
		if w := p.end(nil); w.Took < lease || w.Took > lease*112/100 || w.Nodes != 1 || w.Fenced != 0 {
			t.Errorf("it took %+v", w)
		}
		if _, v := p.nodes[1].Check(r); v == counterfoil.Valid {
			t.Error("it admits after Wait")
		}
	})
}

// A node that stands still is waited for, and shut out, once: who waits a lease later waits for nobody.
func TestWaitForSilentNodeOnce(t *testing.T) { // R17
	synctest.Test(t, func(t *testing.T) {
		p := newPeers(t, lease, lease)
		p.links[1].cut = true
		if w := p.end(nil); w.Took < lease || w.Nodes != 2 || w.Fenced != 1 {
			t.Errorf("it took %+v", w)
		}
		p.clock.Advance(lease)
		if w := p.end(nil); w.Took > lease/10 || w.Nodes != 1 || w.Fenced != 0 {
			t.Errorf("the second took %+v", w)
		}
	})
}

// A node that polls but whose acknowledgement never comes is not shut out: what it polled for was the
// end itself, or no lease came of it. It is given a second lease to tell its streams.
func TestWaitForNodeThatHearsNothing(t *testing.T) { // R17
	synctest.Test(t, func(t *testing.T) {
		p := newPeers(t, lease, lease)
		r, _ := signIn(t, p.nodes[0], "alice")
		p.nodes[1].Check(r)
		p.links[1].cut = true
		poll := counterfoil.Poll{Node: p.links[1].polls[0].Node} // arrives; its answer does not
		w := p.end(func(time.Duration) {
			if _, err := p.store.Poll(t.Context(), poll); err != nil {
				t.Error(err)
			}
		})
		if w.Fenced != 0 || w.Behind != 1 || w.Took < 2*lease*101/100 || w.Took > 2*lease*107/100 {
			t.Errorf("it took %+v", w)
		}
		if _, v := p.nodes[1].Check(r); v == counterfoil.Valid {
			t.Error("it admits after Wait")
		}
	})
}

// What a node acknowledged of another log says nothing of this one: a server that took over without
// the last changes gives their positions to others. Found by the simulation.
func TestG2WaitOnAnotherLog(t *testing.T) { // R16, R17
	synctest.Test(t, func(t *testing.T) {
		p := newPeers(t, lease, lease)
		r, _ := signIn(t, p.nodes[0], "alice")
		p.nodes[1].Check(r)
		p.links[1].cut = true
		before := counterfoil.Poll{Node: p.links[1].polls[0].Node, Acked: 1000} // it had read that far
		if _, err := p.store.Poll(t.Context(), before); err != nil {
			t.Fatal(err)
		}
		p.links[0].log = "!" // and this node does not know yet that another server has taken over
		w := p.end(nil)
		if _, v := p.nodes[1].Check(r); v == counterfoil.Valid {
			t.Errorf("after %v, when it was over, the other node admits", w.Took)
		}
		if w.Fenced != 1 || w.Took < lease {
			t.Errorf("it took %+v", w)
		}
	})
}

// A node that joined another log gives up the name of before, as soon as the store lets it: nobody waits
// a lease for that name, or calls a node silent that polls.
func TestFormerNameIsGivenUp(t *testing.T) { // R16, R17
	p := newPeers(t, lease, lease)
	signIn(t, p.nodes[0], "alice")
	for _, l := range p.links {
		l.log, l.keeps = "!", true
	}
	p.clock.Advance(lease / 2)
	for _, l := range p.links {
		l.keeps = false
	}
	p.clock.Advance(lease / 2)
	if w := p.end(nil); w.Nodes != 2 || w.Fenced != 0 || w.Behind != 0 || w.Took >= lease {
		t.Errorf("it took %+v", w)
	}
}

// A manager that closes is no node any more: nobody waits for it, and it admits nobody.
func TestClosedNodeLeaves(t *testing.T) { // R17
	synctest.Test(t, func(t *testing.T) {
		p := newPeers(t, lease, lease)
		r, _ := signIn(t, p.nodes[0], "alice")
		p.nodes[1].Check(r)
		if err := p.nodes[1].Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, v := p.nodes[1].Check(r); v != counterfoil.Unknown {
			t.Errorf("after Close it says %v", v)
		}
		// No pause is Wait's own; the clock may move on for the acknowledgement that its poll sets off.
		if w := p.end(nil); w.Nodes != 1 || w.Fenced != 0 || w.Behind != 0 || w.Took > lease/20 {
			t.Errorf("it took %+v", w)
		}
	})
}

// A wait that begins long after the end, or while the store does not answer, ends too.
func TestWaitLate(t *testing.T) { // R17
	synctest.Test(t, func(t *testing.T) {
		p := newPeers(t, lease, lease)
		r, _ := signIn(t, p.nodes[0], "alice")
		p.nodes[1].Check(r)
		p.links[1].cut = true
		rv, err := p.nodes[0].Revoke(t.Context(), counterfoil.Everything(), counterfoil.ReasonRevoked)
		if err != nil {
			t.Fatal(err)
		}
		p.clock.Advance(3 * lease)
		if w := p.wait(rv, nil); w.Nodes != 2 || w.Behind != 1 || w.Took != 3*lease {
			t.Errorf("it took %+v", w)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		rv, err = p.nodes[0].Revoke(t.Context(), counterfoil.Everything(), counterfoil.ReasonRevoked)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := rv.Wait(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("given up: %v", err)
		}
		p.store.Close()
		if w := p.wait(rv, nil); w.Nodes != -1 || w.Took < time.Minute || w.Took > time.Minute*103/100 {
			t.Errorf("without a store it took %+v", w)
		}
	})
}

// Nodes judge by the store's clock, which their own carry on; a wall clock that goes astray is told
// of, and changes nothing.
func TestNodesAgreeOnTheTime(t *testing.T) { // R21, P97
	p := newPeers(t)
	began, _ := p.clock.Now()
	store := began.Add(3 * time.Second) // the store is a little ahead of this machine
	_, zero := p.clock.Now()
	now := func() time.Time { _, mono := p.clock.Now(); return store.Add(mono - zero) }
	keys, err := keyring.Generate(began, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var told []counterfoil.Event
	l := &link{Store: p.store, skew: now}
	m, err := counterfoil.New(t.Context(), counterfoil.Config{
		Store: l, Keys: keys, Clock: p.clock, Logger: slog.New(slog.DiscardHandler),
		Observe: func(e counterfoil.Event) { told = append(told, e) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close(context.Background())
	r, _ := signIn(t, m, "alice")
	born := func() time.Time {
		for i, err := range m.List(t.Context(), "alice") {
			if err != nil {
				t.Fatal(err)
			}
			return i.Created
		}
		t.Fatal("no session")
		return time.Time{}
	}
	if got := born(); !got.Equal(store) {
		t.Errorf("the session began at %v, by the store it was %v", got, store)
	}
	p.clock.Step(2 * time.Hour) // far over the idle end
	p.clock.Advance(2 * time.Second)
	if _, v := m.Check(r); v != counterfoil.Valid {
		t.Errorf("the wall clock stepped forward: %v", v)
	}
	if h := m.Health(); !h.SkewHigh || h.Skew.Round(time.Second) != 2*time.Hour-3*time.Second {
		t.Errorf("health: %+v", h)
	}
	clocks := 0
	for _, e := range told {
		if e.Kind == counterfoil.EventClock && e.Reason == counterfoil.ReasonSkew {
			clocks++
		}
	}
	if clocks != 1 {
		t.Errorf("it was told %d times that the clocks are apart", clocks)
	}
	p.clock.Step(-2 * time.Hour)
	p.clock.Advance(2 * time.Second)
	if h := m.Health(); h.SkewHigh || h.Skew != -3*time.Second {
		t.Errorf("health when they agree again: %+v", h)
	}
	for range 14 { // by the store's time it ends, though the wall clock stands still
		p.clock.Step(-3 * time.Minute)
		p.clock.Advance(3 * time.Minute)
	}
	if _, v := m.Check(r); v != counterfoil.Invalid {
		t.Errorf("after 42 minutes: %v", v)
	}
}

// The store's clock goes back, or a poll takes its time: session time never does go back.
func TestSessionTimeNeverGoesBack(t *testing.T) { // R21, SD3
	p := newPeers(t)
	began, _ := p.clock.Now()
	_, zero := p.clock.Now()
	off := time.Duration(0)
	l := &link{Store: p.store, skew: func() time.Time { _, mono := p.clock.Now(); return began.Add(mono - zero + off) }}
	keys, err := keyring.Generate(began, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	m, err := counterfoil.New(t.Context(), counterfoil.Config{Store: l, Keys: keys, Clock: p.clock, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close(context.Background())
	ahead := func() time.Duration { h := m.Health(); return h.ClockAhead - h.Skew } // of the wall clock, which stands for real time here
	for _, step := range []struct {
		name      string
		off, slow time.Duration
		least     time.Duration // session time ahead of began + monotonic time, at the end
		most      time.Duration
	}{
		{"forward", 2 * time.Second, 0, 2 * time.Second, 2 * time.Second},
		{"a slow answer", 2 * time.Second, 900 * time.Millisecond, 2 * time.Second, 2 * time.Second},
		{"back: it runs slower", time.Second, 0, 2*time.Second - 20*time.Millisecond, 2*time.Second - time.Millisecond},
		{"forward again", 5 * time.Second, 0, 5 * time.Second, 5 * time.Second},
	} {
		off = step.off
		l.slow = func() { p.clock.Clock.Advance(step.slow) }
		last := time.Duration(-1 << 62)
		for range 100 {
			p.clock.Advance(100 * time.Millisecond)
			_, mono := p.clock.Now()
			if now := mono + ahead(); now < last {
				t.Errorf("%s: session time went back by %v", step.name, last-now)
			} else {
				last = now
			}
		}
		if got := ahead(); got < step.least || got > step.most {
			t.Errorf("%s: session time is ahead by %v, want %v to %v", step.name, got, step.least, step.most)
		}
	}
}

// A machine whose clock is wrong does not join: it is told by how much, and leaves no trace.
func TestStartWithClockApart(t *testing.T) { // R21, FD2
	for _, c := range []struct {
		name  string
		apart time.Duration // the machine's clock ahead of the store's
		delay time.Duration // of the answer
		allow time.Duration
		words string // of the refusal; "": none
	}{
		{"a little ahead", 9 * time.Second, 0, 0, ""},
		{"a little behind", -9 * time.Second, 0, 0, ""},
		{"ahead", 11 * time.Second, 0, 0, "11s ahead of"},
		{"behind", -time.Hour, 0, 0, "1h0m0s behind"},
		{"ahead, and allowed", 50 * time.Second, 0, time.Minute, ""},
		{"strict", time.Second, 0, 500 * time.Millisecond, "1s ahead of"},
		{"perhaps it was the answer that took so long", 12 * time.Second, 4 * time.Second, 0, ""},
		{"behind, and no answer explains it", -12 * time.Second, 4 * time.Second, 0, "12s behind"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPeers(t)
			l := &link{Store: p.store}
			l.skew = func() time.Time { wall, _ := p.clock.Now(); return wall.Add(c.delay - c.apart) }
			l.slow = func() { p.clock.Clock.Advance(c.delay) }
			wall, _ := p.clock.Now()
			keys, err := keyring.Generate(wall, rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			m, err := counterfoil.New(t.Context(), counterfoil.Config{
				Store: l, Keys: keys, Clock: p.clock, Skew: c.allow, Logger: slog.New(slog.DiscardHandler),
			})
			if c.words == "" {
				if err != nil {
					t.Fatal(err)
				}
				m.Close(context.Background())
				return
			}
			if !errors.Is(err, counterfoil.ErrSkew) || !strings.Contains(err.Error(), c.words) {
				t.Errorf("the start says %v", err)
			}
			if all, err := p.store.Nodes(t.Context()); err != nil || slices.ContainsFunc(all, func(n counterfoil.Node) bool { return !n.Fenced }) {
				t.Errorf("it is still a node: %+v, %v", all, err)
			}
		})
	}
}

// "There is no such session" is said of an end that may not be durable yet only when the store has
// confirmed that, like the end itself.
func TestNotThereIsAskedFor(t *testing.T) { // G1
	p := newPeers(t, lease, lease)
	id := counterfoil.ID{7}
	if _, err := p.nodes[0].Revoke(t.Context(), counterfoil.ByID(id), counterfoil.ReasonRevoked); !errors.Is(err, counterfoil.ErrNotFound) {
		t.Errorf("%v, want ErrNotFound", err)
	}
	p.links[0].mute = true
	if _, err := p.nodes[0].Revoke(t.Context(), counterfoil.ByID(id), counterfoil.ReasonRevoked); !errors.Is(err, counterfoil.ErrUnavailable) {
		t.Errorf("%v from a store that confirms nothing, want ErrUnavailable", err)
	}
}
