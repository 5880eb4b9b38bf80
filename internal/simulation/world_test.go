package simulation

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/keyring"
)

// world is one run of a plan: the real managers on simulated machines, network and store.
type world struct {
	*scheduler
	plan     *plan
	machines []*machine
	nodes    []*node // by machine
	lives    int     // nodes that there ever were
	clients  []*client
	db       *database
	oracle   *oracle
	keys     *keyring.Ring
	seen     tally
	liar     func(*machine) counterfoil.Clock
	direct   bool // calls of the store take no time: before the run and after it
	lines    *[]string
	strayed  time.Duration // when a call may last have led to a former primary
	healed   bool          // nothing goes wrong any more
}

// tally is what all runs came to, so that none is empty.
type tally map[string]int

func (t tally) add(other tally) {
	for what, n := range other {
		t[what] += n
	}
}

// node is one life of a manager on a machine.
type node struct {
	w      *world
	number int
	on     *machine
	link   *link
	m      *counterfoil.Manager
	ctx    context.Context
	cancel context.CancelFunc
	dead   bool
	owed   bool // it has yet to notice that the log is another
}

func (m *machine) String() string { return fmt.Sprintf("machine %d", m.name) }

// variant is what is wrong with a world on purpose.
type variant struct {
	store defect
	clock func(*machine) counterfoil.Clock
}

// simulate runs a plan and returns the first promise that was broken, "" if none was.
func simulate(t *testing.T, keys *keyring.Ring, p *plan, v variant, seen tally, lines *[]string) (broken string) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{scheduler: newScheduler(), plan: p, db: newDatabase(v.store), keys: keys, seen: seen, liar: v.clock, direct: true, lines: lines, strayed: -time.Hour}
		w.oracle = &oracle{w: w, sessions: map[counterfoil.ID]*session{}, slack: 200*time.Millisecond + time.Duration(rho*float64(p.end))}
		w.timer = w.earliest
		for i, c := range p.machines {
			m := &machine{s: w.scheduler, name: i, wallRate: c.wallRate, monoRate: c.monoRate, wall: w.began.Add(c.offset), asleep: -1}
			w.machines = append(w.machines, m)
			w.nodes = append(w.nodes, nil)
		}
		for i := range p.clients {
			w.clients = append(w.clients, &client{n: i, subject: fmt.Sprint("user ", i%2)})
		}
		for _, m := range w.machines {
			n := w.newNode(m)
			var err error
			if n.m, err = n.open(); err != nil {
				t.Fatal(err)
			}
			w.nodes[m.name] = n
		}
		w.direct = false
		for _, m := range p.moves {
			w.at(m.at, func() {
				w.trace("move #%d %s node %d client %d for %v (%d)", m.n, kinds[m.kind], m.node, m.who, m.d, m.x)
				w.do(m)
			})
		}
		w.run(p.end)
		w.heal()
		w.run(w.now() + 6*time.Second)
		w.probe()
		w.run(w.now() + 6*time.Second)
		w.oracle.close()
		w.close(t)
		broken = w.oracle.broken
		seen["runs"]++
	})
	return broken
}

func (w *world) tracing() bool { return w.lines != nil && (w.oracle == nil || w.oracle.broken == "") }

func (w *world) trace(format string, args ...any) {
	if w.tracing() {
		*w.lines = append(*w.lines, fmt.Sprintf("%9.4fs  ", w.now().Seconds())+fmt.Sprintf(format, args...))
	}
}

// newNode begins a life of a node on m.
func (w *world) newNode(m *machine) *node {
	w.lives++
	n := &node{w: w, number: w.lives, on: m}
	n.link = &link{w: w, on: m, node: n, count: map[string]uint64{}}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	return n
}

func (n *node) open() (*counterfoil.Manager, error) {
	w := n.w
	var clock counterfoil.Clock = n.on
	if w.liar != nil {
		clock = w.liar(n.on)
	}
	random := rand.NewChaCha8([32]byte{byte(w.plan.seed), byte(w.plan.seed >> 8), byte(w.plan.seed >> 16), byte(w.plan.seed >> 24), byte(n.number)})
	ctx, cancel := context.WithTimeout(n.ctx, 2*time.Second)
	defer cancel()
	return counterfoil.New(ctx, counterfoil.Config{
		Store: n.link, Keys: w.keys, Policy: w.plan.policy, Lease: w.plan.lease, Skew: time.Minute, Clock: clock, Random: random,
		Observe: n.observe, Logger: slog.New(slog.DiscardHandler),
	})
}

func (n *node) observe(e counterfoil.Event) {
	n.w.mu.Lock()
	defer n.w.mu.Unlock()
	switch {
	case n.dead:
	case e.Kind == counterfoil.EventRefused:
		n.w.trace("%s refuses: %s", n.on, e.Reason)
	case e.Kind == counterfoil.EventLog:
		n.owed = false
		n.w.seen["alarms"]++
	case e.Kind == counterfoil.EventEnded && e.Reason == counterfoil.ReasonReplayed:
		n.w.seen["replays"]++
	}
}

// earliest returns the next of all timers.
func (w *world) earliest() (at time.Duration, fire func()) {
	for _, m := range w.machines {
		if t, due := m.due(); t != nil && (fire == nil || due < at) {
			at, fire = due, func() {
				t.over = true
				w.begin(&task{key: 1<<61 + uint64(m.name)<<32 + uint64(t.n), on: m, what: "timer"}, t.f)
			}
		}
	}
	return at, fire
}

// do makes a move.
func (w *world) do(m move) {
	if w.healed {
		return
	}
	on := w.machines[m.node%len(w.machines)]
	n := w.nodes[on.name]
	switch m.kind {
	case signIn, check, page, signOut, revoke, revokeOf, haunt, open:
		on.reach(func() {
			if n := w.nodes[on.name]; n != nil {
				w.clients[m.who].act(w, m, n)
			}
		})
	case cutOff:
		to, from := m.x%4 != 2, m.x%4 != 1
		on.cut(to, from, +1)
		on.silent = m.x >= 4
		w.after(m.d, func() { on.cut(to, from, -1) })
	case lag:
		on.slow += 500 * time.Millisecond
		w.after(m.d, func() { on.slow -= 500 * time.Millisecond })
	case stop:
		if !on.stopped {
			w.seen["stops"]++
			on.stop()
			w.after(m.d, on.goOn)
		}
	case stopMid:
		if !on.stopped {
			w.seen["stops"]++
			on.stopAt, on.stopFor = m.x, m.d
		}
	case suspend:
		if !on.stopped {
			w.seen["suspensions"]++
			on.suspend()
			w.after(m.d, on.goOn)
		}
	case step:
		w.seen["steps"]++
		switch {
		case m.x == 1:
			w.db.ahead += m.d
		default:
			on.step(m.d)
		}
		if (m.x == 1) == w.plan.clock {
			w.oracle.slack += m.d.Abs() // sessions go by this clock
		}
	case crash:
		if n != nil && n.m != nil {
			w.seen["crashes"]++
			n.crash()
			w.after(m.d, func() { w.start(on) })
		}
	case push:
		for _, ch := range slices.Clone(w.db.channels) {
			if ch.l.on == on {
				ch.deliver()
			}
		}
	case outage:
		w.seen["outages"]++
		w.db.down = true
		w.after(m.d, func() { w.db.down = false })
	case failOver:
		w.failOver(m)
	case trim:
		old := w.began.Add(w.now() - 15*time.Second - w.oracle.slack)
		do := func(s counterfoil.Store) { _, _ = s.Reap(context.Background(), counterfoil.Reap{LogBefore: old}) }
		do(w.db.store)
		w.db.journal = append(w.db.journal, change{w.now(), do})
	}
}

func (m *machine) cut(to, from bool, by int) {
	if to {
		m.cutTo += by
	}
	if from {
		m.cutFrom += by
	}
}

// failOver lets another server take over after a while.
func (w *world) failOver(m move) {
	w.db.down = true
	w.after(m.d, func() {
		lost := 0
		if m.x == 2 {
			lost = w.db.since(max(0, w.now()-m.d-400*time.Millisecond))
		}
		if m.x == 1 && !w.healed {
			for _, on := range w.machines {
				on.astray = dice(w.plan.seed, m.n, uint64(on.name)).IntN(2) == 0
			}
			w.strayed = w.now() + 3*w.plan.lease
			w.at(w.strayed, func() {
				for _, on := range w.machines {
					on.astray = false
				}
			})
		}
		for _, ch := range w.db.channels {
			if dice(w.plan.seed, m.n, uint64(ch.l.node.number), 5).IntN(2) == 0 { // else it stays open, and silent
				ch.breaks()
			}
		}
		w.db.failOver(lost)
		w.db.down = false
		w.seen["fail-overs"]++
		for _, n := range w.nodes {
			if n != nil {
				n.owed = n.m != nil
			}
		}
		w.trace("another server has taken over; %d changes were lost", lost)
		if m.x == 2 {
			w.seen["losses"]++
			w.oracle.lost(w.db.former)
		}
	})
}

// crash kills the node's process.
func (n *node) crash() {
	w := n.w
	w.trace("%s killed", n.on)
	n.dead = true
	n.on.goOn()
	n.end()
	w.begin(&task{key: 1<<60 + uint64(n.number), on: n.on, free: true}, func() { _ = n.m.Close(context.Background()) })
	w.nodes[n.on.name] = nil
}

// end lets everything that the node does come to its end.
func (n *node) end() {
	n.cancel()
	n.w.settle()
	for _, c := range slices.Clone(n.link.open) {
		if !c.settled {
			c.settled = true
			c.err, c.out = errReset, nil
			n.w.letOn(c.t, c.ready)
			n.w.settle()
		}
	}
}

// start starts a node, again and again until it comes up.
func (w *world) start(on *machine) {
	if on.stopped {
		w.after(100*time.Millisecond, func() { w.start(on) })
		return
	}
	n := w.newNode(on)
	var m *counterfoil.Manager
	var err error
	t := &task{key: 1<<59 + uint64(n.number), on: on, what: "start"}
	t.then = func() {
		w.trace("%s started: %v", on, err)
		if err != nil {
			n.dead = true
			w.after(300*time.Millisecond, func() { w.start(on) })
			return
		}
		n.m = m
		w.nodes[on.name] = n
	}
	w.begin(t, func() { m, err = n.open() })
}

// heal ends all that is wrong.
func (w *world) heal() {
	w.trace("all is well again")
	for _, m := range w.machines {
		m.goOn()
		w.settle()
		m.cutTo, m.cutFrom, m.slow, m.stopAt, m.astray = -1000, -1000, 0, 0, false
	}
	w.db.down = false
	healthy := *w.plan
	healthy.net = network{base: 2 * time.Millisecond}
	w.plan, w.healed = &healthy, true
}

// probe tries every token on every node.
func (w *world) probe() {
	for _, n := range w.nodes {
		if n == nil {
			continue
		}
		for i, c := range w.clients {
			for j, token := range c.tokens {
				s := w.oracle.sessions[idOf(token)]
				if s.gone == never && token != c.jar {
					continue // perhaps retired: it would end the session
				}
				w.seen["probes"]++
				c.check(w, n, uint64(n.number)<<16+uint64(i)<<8+uint64(j)+1<<40, probe, token)
			}
		}
	}
}

// close ends all nodes; what is under way fails.
func (w *world) close(t *testing.T) {
	w.direct = true
	for _, m := range w.machines {
		m.goOn()
	}
	for _, n := range w.nodes {
		if n == nil {
			continue
		}
		n.end()
		w.settle()
	}
	for _, n := range w.nodes {
		if n != nil {
			w.begin(&task{key: 1<<60 + uint64(n.number), free: true}, func() { _ = n.m.Close(context.Background()) })
		}
	}
	synctest.Wait()
	w.settle()
	if len(w.tasks) > 0 && !t.Failed() {
		var what []string
		for _, t := range w.tasks {
			what = append(what, t.what)
		}
		t.Errorf("seed %d: %d tasks did not end: %s", w.plan.seed, len(w.tasks), strings.Join(what, ", "))
	}
}
