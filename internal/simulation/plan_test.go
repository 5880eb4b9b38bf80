package simulation

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil"
)

// plan is a whole schedule: what the world is like, and what happens when. It follows from its seed
// alone; moves can be left out, and the others stay what they are.
type plan struct {
	seed     uint64
	lease    time.Duration
	policy   counterfoil.Policy
	net      network
	clock    bool // the store tells the time
	machines []condition
	clients  int
	moves    []move
	end      time.Duration
}

// condition is how a machine's clocks are.
type condition struct {
	wallRate, monoRate float64
	offset             time.Duration
}

// network is how messages travel between nodes and the store.
type network struct {
	base        time.Duration
	late, later float64 // how many take up to 300 ms, and up to 4 s
	lose, twice float64 // how many are lost on either way, and how many arrive a second time
	hints       hinting
}

// hinting is how good the store's hints are.
type hinting struct {
	none              bool
	lose, twice, late float64 // how many are lost, arrive a second time, and up to three leases late
}

func (n *network) travel(d *rand.Rand) time.Duration {
	t := n.base/2 + time.Duration(d.Int64N(int64(n.base)))
	switch x := d.Float64(); {
	case x < n.later:
		t += time.Duration(d.Int64N(int64(4 * time.Second)))
	case x < n.later+n.late:
		t += time.Duration(d.Int64N(int64(300 * time.Millisecond)))
	}
	return t
}

// move is one thing that somebody does or that befalls a machine.
type move struct {
	at   time.Duration
	n    uint64 // its number in the schedule
	kind kind
	node int
	who  int           // which client
	d    time.Duration // how long, or how far
	x    int           // which variant
}

type kind uint8

const (
	signIn kind = iota
	check       // forward-auth: the jar's token, checked
	page        // a page that reads the counter; x 1: and adds to it
	signOut
	revoke   // an operator ends the client's session; x 1: and waits
	revokeOf // all of the client's subject; x 1: and waits
	haunt    // a token of the session that was last to be ended is checked; x: so many generations back
	cutOff   // a machine from the store; x: 0 both ways, 1 what it sends, 2 what it is sent; +4: silently
	lag      // what a machine sends is late
	stop     // a process
	stopMid  // between the x-th reading of the clock and what follows from it
	suspend  // a machine
	step     // a wall clock, by d; x 1: the store's
	crash    // a node, which is started again d later
	outage   // of the store
	failOver // x: 0 nothing lost, 1 as 0, and some machines still reach the former primary, 2 the last changes are lost
	trim     // the log
	open     // a stream, for d
	push     // a hint out of nowhere
	probe    // a check when all is well again
)

var kinds = [...]string{"sign-in", "check", "page", "sign-out", "revoke", "revoke of", "haunt", "cut off", "lag", "stop", "stop mid", "suspend", "step", "crash", "outage", "fail-over", "trim", "stream", "push", "probe"}

func (m move) String() string {
	return fmt.Sprintf("%8.3fs #%d %s node %d client %d for %v (%d)", m.at.Seconds(), m.n, kinds[m.kind], m.node, m.who, m.d, m.x)
}

// planner makes plans.
type planner struct {
	*rand.Rand
	p plan
}

func newPlan(seed uint64, about string) *plan {
	g := &planner{Rand: dice(seed, 1)}
	p := &g.p
	p.seed = seed
	for range 2 + g.IntN(3) {
		c := condition{g.rate(), g.rate(), g.upTo(200*time.Millisecond) - 100*time.Millisecond}
		p.machines = append(p.machines, c)
	}
	p.clients, p.clock = 3, g.oneIn(2)
	p.net = network{base: time.Millisecond + g.upTo(8*time.Millisecond)}
	if g.oneIn(2) {
		p.net.late, p.net.later = g.Float64()*0.2, g.Float64()*0.06
	}
	if g.oneIn(2) {
		p.net.lose, p.net.twice = g.Float64()*0.03, g.Float64()*0.05
	}
	p.net.hints = hinting{none: g.oneIn(3), lose: g.Float64() * 0.6, twice: g.Float64() * 0.4, late: g.Float64() * 0.5}
	if about == "" {
		about = [...]string{"rotation", "expiry", "expiry", "ends"}[min(g.IntN(16), 3)]
	}
	switch about {
	case "rotation":
		g.rotation()
	case "expiry":
		g.expiry()
	default:
		g.ends()
	}
	slices.SortStableFunc(p.moves, func(a, b move) int { return int(a.at - b.at) })
	for i := range p.moves {
		p.moves[i].n = uint64(i + 1)
	}
	return p
}

func (g *planner) rate() float64                      { return 1 - rho + 2*rho*g.Float64() }
func (g *planner) oneIn(n int) bool                   { return g.IntN(n) == 0 }
func (g *planner) upTo(d time.Duration) time.Duration { return time.Duration(g.Int64N(int64(d) + 1)) }
func (g *planner) node() int                          { return g.IntN(len(g.p.machines)) }
func (g *planner) part(d time.Duration, of float64) time.Duration {
	return time.Duration(float64(d) * of)
}

func (g *planner) add(at time.Duration, k kind, node, who int, d time.Duration, x int) {
	g.p.moves = append(g.p.moves, move{at: at, kind: k, node: node, who: who, d: d, x: x})
}

// ends are scenes in which a session that is warm on all nodes ends while something is wrong, and is
// tried everywhere around the bound.
func (g *planner) ends() {
	p := &g.p
	p.lease = time.Duration(1+g.IntN(2)) * time.Second
	if g.oneIn(3) {
		p.policy.PerSubject = 1 + g.IntN(2)
	}
	p.policy.Idle, p.policy.Absolute = 30*time.Minute, 8*time.Hour
	p.end = 4*time.Second + g.upTo(5*time.Second)
	for who := range p.clients {
		for at := g.upTo(2 * time.Second); at < p.end-2*p.lease; {
			at = g.scene(at, who) + g.upTo(time.Second)
		}
	}
	g.store()
}

// scene begins at a time and ends at the one that it returns.
func (g *planner) scene(at time.Duration, who int) time.Duration {
	p := &g.p
	L := p.lease
	g.add(at, signIn, g.node(), who, 0, 0)
	at += 100*time.Millisecond + g.upTo(300*time.Millisecond)
	end := at + L/2 + g.upTo(L)
	for node := range p.machines {
		for range 1 + g.IntN(3) {
			g.add(at+g.upTo(end-at), check, node, who, 0, 0)
		}
	}
	for range g.IntN(4) {
		g.add(at+g.upTo(end-at), page, g.node(), who, 0, g.IntN(2))
	}
	for range g.IntN(3) {
		g.add(at+g.upTo(end-at), open, g.node(), who, L+g.upTo(3*L), 0)
	}
	for range g.IntN(3) {
		g.trouble(end)
	}
	for range g.IntN(4) {
		g.add(end+g.upTo(2*L), push, g.node(), 0, 0, 0)
	}
	wait := g.IntN(2)
	switch g.IntN(6) {
	case 0:
		g.add(end, signOut, g.node(), who, 0, 0)
	case 1:
		g.add(end, signIn, g.node(), who, 0, 0)
	case 2:
		g.add(end, revokeOf, g.node(), who, 0, wait)
	default:
		g.add(end, revoke, g.node(), who, 0, wait)
	}
	for node := range p.machines {
		for range 3 {
			g.add(end+g.upTo(L), haunt, node, who, 0, 0)
		}
		for range 3 {
			g.add(end+g.part(L, 0.85+0.3*g.Float64()), haunt, node, who, 0, 0)
		}
		g.add(end+L+g.upTo(2*L), haunt, node, who, 0, 0)
	}
	for range g.IntN(3) {
		g.add(end+g.upTo(L), page, g.node(), who, 0, g.IntN(2))
	}
	return end + L
}

// trouble befalls a machine around an end.
func (g *planner) trouble(end time.Duration) {
	L := g.p.lease
	node := g.node()
	at := max(0, end-g.upTo(L)+L/8)
	d := L/4 + g.upTo(2*L)
	steps := g.p.machines[node].monoRate > 1 // a machine's clocks go wrong in one way only
	switch g.IntN(12) {
	case 0, 1, 2, 3:
		g.add(at, cutOff, node, 0, d, g.IntN(3)+4*g.IntN(2))
	case 4:
		g.add(at, lag, node, 0, d, 0)
	case 5:
		g.add(at, stop, node, 0, d, 0)
	case 6:
		g.add(at, stopMid, node, 0, d, 1+g.IntN(6))
	case 7, 8, 9:
		if !steps {
			g.add(at, suspend, node, 0, d, 0)
			break
		}
		g.add(at, cutOff, node, 0, d, g.IntN(3)+4*g.IntN(2))
		g.add(end+g.upTo(L), step, node, 0, g.upTo(6*time.Second)-4*time.Second, 0)
	case 10:
		g.add(at, crash, node, 0, g.upTo(2*L), 0)
	case 11:
		g.add(at, cutOff, node, 0, d, 4)
		g.add(end+g.upTo(L), stopMid, node, 0, d, 1+g.IntN(3))
	}
}

// store is what befalls the store.
func (g *planner) store() {
	if g.oneIn(4) {
		g.add(g.upTo(g.p.end), outage, 0, 0, g.upTo(3*time.Second), 0)
	}
	if g.oneIn(6) {
		g.add(g.upTo(g.p.end), step, 0, 0, g.upTo(5*time.Second), 1)
	}
	if g.oneIn(3) {
		for range 1 + g.IntN(2) {
			g.add(g.upTo(g.p.end), failOver, 0, 0, g.upTo(time.Second), g.IntN(3))
		}
	}
}

// expiry leaves sessions alone until they end by themselves.
func (g *planner) expiry() {
	p := &g.p
	p.lease = time.Second
	p.policy.Idle, p.policy.Absolute = 20*time.Second, time.Hour
	p.end = 35 * time.Second
	if g.oneIn(2) {
		p.policy.Absolute = 15 * time.Second
		p.end = 22 * time.Second
	}
	for who := range p.clients {
		at := g.upTo(3 * time.Second)
		g.add(at, signIn, g.node(), who, 0, 0)
		for range 10 {
			g.add(at+500*time.Millisecond+g.upTo(12*time.Second), check, g.node(), who, 0, 0)
		}
		for range 6 {
			g.add(at+10*time.Second+g.upTo(10*time.Second), page, g.node(), who, 0, g.IntN(2))
		}
		for range 8 {
			g.add(at+14*time.Second+g.upTo(p.end-14*time.Second), check, g.node(), who, 0, 0)
		}
	}
	for range g.IntN(3) {
		g.trouble(g.upTo(p.end))
	}
	g.store()
}

// rotation renews tokens, and brings a retired one back.
func (g *planner) rotation() {
	p := &g.p
	p.lease = 5 * time.Second
	p.policy.Idle, p.policy.Absolute = 30*time.Minute, 8*time.Hour
	p.policy.Grace, p.policy.Rotate = time.Minute, 2*time.Minute
	p.end = 210 * time.Second
	for who := range p.clients {
		at := g.upTo(3 * time.Second)
		g.add(at, signIn, g.node(), who, 0, 0)
		for range 8 {
			g.add(at+time.Second+g.upTo(110*time.Second), page, g.node(), who, 0, g.IntN(2))
		}
		rotated := at + 123*time.Second
		for range 8 {
			g.add(rotated+g.upTo(20*time.Second), page, g.node(), who, 0, g.IntN(2))
		}
		for node := range p.machines {
			g.add(rotated+g.upTo(20*time.Second), haunt, node, who, 0, 1) // not retired yet
		}
		settled := rotated + 66*time.Second
		for range 3 {
			g.add(settled-g.upTo(5*time.Second), page, g.node(), who, 0, 0)
		}
		for range 6 {
			g.add(settled+g.upTo(10*time.Second), haunt, g.node(), who, 0, 1)
		}
	}
	for range g.IntN(4) {
		g.trouble(120*time.Second + g.upTo(80*time.Second))
	}
	for range g.IntN(3) {
		g.add(60*time.Second+g.upTo(140*time.Second), trim, 0, 0, 0, 0)
	}
	g.gap()
	g.store()
}

// gap cuts a node off for longer than the log reaches back, while a session ends that it has streams of.
func (g *planner) gap() {
	who, node := g.p.clients, g.node()
	g.p.clients++
	cut := 12*time.Second + g.upTo(20*time.Second)
	g.add(cut-10*time.Second, signIn, g.node(), who, 0, 0)
	for range 1 + g.IntN(3) {
		g.add(cut-g.upTo(5*time.Second), open, node, who, 40*time.Second+g.upTo(20*time.Second), 0)
	}
	g.add(cut, cutOff, node, 0, 25*time.Second+g.upTo(8*time.Second), 4*g.IntN(2))
	g.add(cut+g.upTo(5*time.Second), revoke, g.node(), who, 0, 0)
	g.add(cut+23*time.Second, trim, 0, 0, 0, 0)
	g.add(cut+24*time.Second+g.upTo(8*time.Second), revokeOf, g.node(), who, 0, 1)
}
