package counterfoil_test

import (
	"container/heap"
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store/memory"
	"pgregory.net/rapid"
)

// The model: one honest browser with a jar (parallel requests, lossy and reordered answers, slow
// handlers, crashes that fall back to cookies of up to 30 s ago, sign-ins during traffic), one to
// three nodes whose store fails, and a thief. The code under test is the real one; only time, the
// network and the people are invented. G5, G2, G6, G9.

// span is how long a run lasts.
const span = 40 * time.Minute

// world is what a run may contain.
type world struct {
	crash, slow, faults, cuts bool
	reSignIn                  bool          // sign-ins over a live session, and sign-outs
	thief                     time.Duration // the longest time between two uses of the stolen token; 0: nobody steals
}

// soak reports whether tests are to take the time that they would like to have.
func soak() bool { return os.Getenv("COUNTERFOIL_SOAK") != "" }

func TestG5RotationModel(t *testing.T) { // G2, G5, G6, G9, R1–R3, R5–R7, R9–R12, D22, D23, P18–P20, P32
	checks := 30
	if soak() {
		checks = 2000
	}
	for _, c := range []struct {
		name string
		world
	}{
		{"honest", world{slow: true}},
		{"honest, all that goes wrong", world{slow: true, crash: true, faults: true, cuts: true}},
		{"honest, many sign-ins", world{slow: true, crash: true, reSignIn: true}},
		{"honest, many sign-ins and faults", world{slow: true, faults: true, cuts: true, reSignIn: true}},
		{"waiting thief", world{slow: true, thief: 20 * time.Minute}},
		{"waiting thief and faults", world{slow: true, crash: true, faults: true, cuts: true, thief: 20 * time.Minute}},
		{"polling thief", world{slow: true, thief: 20 * time.Second}},
		{"polling thief and faults", world{faults: true, cuts: true, thief: 20 * time.Second}},
	} {
		t.Run(c.name, func(t *testing.T) {
			setChecks(t, checks)
			var seen tally
			rapid.Check(t, func(rt *rapid.T) { run(rt, c.world, &seen) })
			t.Logf("%+v", seen)
			switch {
			case seen.rotations < checks:
				t.Errorf("only %d rotations: the runs show nothing", seen.rotations)
			case c.faults && seen.unknown < checks:
				t.Errorf("only %d answers of 503: the store does not fail enough", seen.unknown)
			case c.thief > 10*time.Minute && seen.replays < checks/4:
				t.Errorf("only %d replays seen: the thief does not wait long enough", seen.replays)
			}
		})
	}
}

// tally counts what all runs of a world came to, so that none is empty.
type tally struct{ answers, unknown, rotations, replays int }

// setChecks says how many runs there are, unless the command line does.
func setChecks(t *testing.T, n int) {
	f := flag.Lookup("rapid.checks")
	if f == nil {
		t.Fatal("rapid has no flag rapid.checks any more")
	}
	if f.Value.String() != f.DefValue {
		return
	}
	if err := flag.Set(f.Name, strconv.Itoa(n)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := flag.Set(f.Name, f.DefValue); err != nil {
			t.Error(err)
		}
	})
}

// model is one run.
type model struct {
	*rapid.T
	world
	c      *cluster
	dice   *rand.Rand
	end    time.Time
	queue  queue
	turn   int
	client client
	thief  stolen
	oracle oracle
}

type event struct {
	at   time.Time
	turn int
	act  func()
}

// queue is a heap of events by time, then by order of birth.
type queue []event

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return q[i].at.Before(q[j].at) || q[i].at.Equal(q[j].at) && q[i].turn < q[j].turn
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(event)) }
func (q *queue) Pop() any {
	old := *q
	last := old[len(old)-1]
	*q = old[:len(old)-1]
	return last
}

func run(rt *rapid.T, w world, seen *tally) {
	store := memory.New(memory.Options{Shared: true})
	dice := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0))
	c, err := startCluster(1+dice.IntN(3), store)
	if err != nil {
		rt.Fatal(err)
	}
	defer func() {
		if err := errors.Join(c.close(), store.Close()); err != nil {
			rt.Error(err)
		}
	}()
	m := &model{T: rt, world: w, c: c, dice: dice, end: c.now().Add(span)}
	m.oracle = oracle{m: m, seen: seen, sessions: map[counterfoil.ID]*known{}}
	m.client = client{m: m, jar: map[string]string{}, disk: map[string]string{}}
	m.after(0, m.client.visit)
	m.after(time.Second, m.client.burst)
	m.after(30*time.Second, m.client.flush)
	if w.crash {
		for range 3 {
			m.after(m.upTo(span), m.client.crash)
		}
	}
	if w.cuts {
		for range 3 {
			m.after(m.upTo(span), m.cut)
		}
	}
	if w.thief > 0 {
		m.after(m.upTo(25*time.Minute), m.steal)
	}
	for len(m.queue) > 0 {
		e := heap.Pop(&m.queue).(event)
		if e.at.After(m.end) {
			break
		}
		c.clock.Advance(e.at.Sub(c.now()))
		e.act()
	}
	m.oracle.sum()
	for _, x := range m.client.open { // handlers that still wait
		for x.at != "" {
			x.goOn()
		}
	}
}

func (m *model) after(d time.Duration, act func()) {
	m.turn++
	heap.Push(&m.queue, event{m.c.now().Add(d), m.turn, act})
}

// oneIn is true once in n times.
func (m *model) oneIn(n int) bool { return m.dice.IntN(n) == 0 }

func (m *model) upTo(d time.Duration) time.Duration {
	return time.Duration(m.dice.Int64N(d.Milliseconds()+1)) * time.Millisecond
}

func (m *model) oneOf(names ...string) string { return names[m.dice.IntN(len(names))] }

// travel is how long a message takes one way.
func (m *model) travel() time.Duration {
	d := 20*time.Millisecond + m.upTo(300*time.Millisecond)
	if m.oneIn(20) {
		d += m.upTo(15 * time.Second)
	}
	return d
}

func (m *model) anyNode() int { return m.dice.IntN(len(m.c.nodes)) }

// cut takes one node off the store for a while.
func (m *model) cut() {
	n := m.c.nodes[m.anyNode()]
	n.setCut(true)
	m.after(m.upTo(20*time.Second), func() { n.setCut(false) })
}

// serve takes a request that has arrived at a node through it, with the faults that this run has in
// store, and calls answered when the answer leaves.
func (m *model) serve(q *request, answered func(*request)) {
	var plan []func(*exchange)
	if m.faults && m.oneIn(15) {
		method := m.oneOf(
			"Load", "Load/answer", "Update", "Update/answer", "Create", "Create/answer",
			"Revoke", "Revoke/answer", "Poll", "Poll/answer",
		)
		plan = append(plan, func(x *exchange) { x.fail = method })
	}
	if m.faults && m.oneIn(8) {
		method := m.oneOf(
			"Update", "Update/answer", "Create", "Create/answer", "Revoke", "Revoke/answer",
		)
		plan = append(plan, func(x *exchange) { x.hold = method })
	}
	if q.thief {
		plan = append(plan, func(x *exchange) { x.r.RemoteAddr = "198.51.100.7:1" })
	}
	q.arrived = m.c.now()
	m.oracle.arrives(q)
	q.x = m.c.nodes[q.node].begin(q.method, q.path, q.cookies(), plan...)
	m.client.open = append(m.client.open, q.x)
	m.finish(q, answered)
}

// finish waits for a handler or a store that takes its time.
func (m *model) finish(q *request, answered func(*request)) {
	if q.x.at == "" {
		m.oracle.answers(q)
		answered(q)
		return
	}
	d := m.upTo(3 * time.Second)
	if q.x.at == "handler" {
		d = m.upTo(10 * time.Minute)
	}
	m.after(d, func() {
		q.x.goOn()
		m.finish(q, answered)
	})
}
