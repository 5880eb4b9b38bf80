package simulation

import (
	"time"
)

// rho is how much faster or slower than true time a machine's clocks run at most (R17).
const rho = 0.01

// machine is what a node runs on: two clocks, a process that can be stopped, and a cable. It outlives
// the node.
type machine struct {
	s    *scheduler
	name int

	wallRate, monoRate float64
	wall               time.Time     // at true time 0, steps included
	slept              time.Duration // true time that the monotonic clock has missed
	asleep             time.Duration // true time since when it misses time; -1: it does not

	stopped  bool
	stopAt   int           // the number of clock readings after which it is stopped
	stopFor  time.Duration // for so long
	timers   []*timer
	nextTime int

	cutTo, cutFrom int           // how many faults keep its messages from the store, and the answers from it
	silent         bool          // what is cut is lost without a word; else the connection breaks
	slow           time.Duration // that much later arrives what it sends
	astray         bool          // some calls still lead to a former primary
	held           []func()      // answers that have arrived for a process that is stopped
}

type timer struct {
	at   time.Duration // by the monotonic clock
	n    int
	f    func()
	over bool
}

// wallAt and monoAt are what its clocks show at a true time.
func (m *machine) wallAt(t time.Duration) time.Time {
	return m.wall.Add(time.Duration(float64(t) * m.wallRate))
}

func (m *machine) monoAt(t time.Duration) time.Duration {
	if m.asleep >= 0 {
		t = m.asleep
	}
	return time.Duration(float64(t-m.slept)*m.monoRate) + time.Hour
}

// Now implements counterfoil.Clock. The process may be stopped right behind it, with the time that it
// has read in its hand.
func (m *machine) Now() (time.Time, time.Duration) {
	m.s.yield(m)
	m.s.mu.Lock()
	t := m.s.now()
	wall, mono := m.wallAt(t), m.monoAt(t)
	stops := false
	if m.stopAt > 0 && m.s.running != nil && m.s.running.on == m && !m.s.running.free {
		if m.stopAt--; m.stopAt == 0 {
			m.stopped, stops = true, true
		}
	}
	me := m.s.running
	m.s.mu.Unlock()
	if stops {
		m.s.after(m.stopFor, m.goOn)
		m.s.park(me)
	}
	return wall, mono
}

// AfterFunc implements counterfoil.Clock.
func (m *machine) AfterFunc(d time.Duration, f func()) func() bool {
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	m.nextTime++
	t := &timer{at: m.monoAt(m.s.now()) + max(d, 0), n: m.nextTime, f: f}
	m.timers = append(m.timers, t)
	return func() bool {
		m.s.mu.Lock()
		defer m.s.mu.Unlock()
		was := !t.over
		t.over = true
		return was
	}
}

// due returns the machine's earliest timer and when it is due, nil if there is none or it is stopped.
func (m *machine) due() (*timer, time.Duration) {
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	if m.stopped || m.asleep >= 0 {
		return nil, 0
	}
	var first *timer
	live := m.timers[:0]
	for _, t := range m.timers {
		if t.over {
			continue
		}
		live = append(live, t)
		if first == nil || t.at < first.at {
			first = t
		}
	}
	m.timers = live
	if first == nil {
		return nil, 0
	}
	now := m.s.now()
	left := float64(first.at-m.monoAt(now)) / m.monoRate
	return first, now + max(0, time.Duration(left)+1)
}

// stop stops the process; its clocks go on.
func (m *machine) stop() {
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	m.stopped = true
}

// suspend stops the machine; its monotonic clock misses the time.
func (m *machine) suspend() {
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	m.stopped = true
	if m.asleep < 0 {
		m.asleep = m.s.now()
	}
}

// goOn ends both.
func (m *machine) goOn() {
	m.s.mu.Lock()
	m.stopped = false
	if m.asleep >= 0 {
		m.slept += m.s.now() - m.asleep
		m.asleep = -1
	}
	held := m.held
	m.held = nil
	m.s.mu.Unlock()
	m.s.settle() // those that were stopped half-way first
	for _, arrive := range held {
		arrive()
		m.s.settle()
	}
}

// step sets the wall clock.
func (m *machine) step(d time.Duration) {
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	m.wall = m.wall.Add(d)
}

// reach runs act when the process is there to see it.
func (m *machine) reach(act func()) {
	m.s.mu.Lock()
	if m.stopped {
		m.held = append(m.held, act)
		m.s.mu.Unlock()
		return
	}
	m.s.mu.Unlock()
	act()
}
