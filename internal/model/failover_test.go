// Package model explores small worlds to their end, to see what the rules of the cluster are for
// before and beside the code that follows them. Here: a store that fails over.
package model

import (
	"strings"
	"testing"
)

// The world: a primary A, its standby B, one node that has a session in its near cache, one end of
// that session, other people's changes, and messages that take as long as they like. B may be promoted
// at any moment; A is then cut off from B but not from the node, and does not know. Every order of
// events is tried, with times in ticks and a lease of two.
const (
	leaseTicks = 2
	logLength  = 3
)

// rules are what keeps a session out after its end. Each can be left out to see what it is for.
type rules struct {
	sync        bool // what a server acknowledges, its standby has
	beat        bool // a poll commits something, so a primary without its standby cannot answer one
	sendTime    bool // the lease counts from when a poll was sent, not from its answer
	incarnation bool // the log's name changes with the server that writes it
	shorter     bool // a log that ends before what the node has read is another log
	voids       bool // forgetting everything voids the reads under way
	sameLog     bool // a read from a server whose log is not the one last polled is not believed
	stopped     bool // A is stopped before B is promoted
}

// server is a log: how long it is, and where the end stands in it.
type server struct{ len, end int8 }

func (s *server) append(end bool) {
	s.len++
	if end {
		s.end = s.len
	}
}

// message is a poll or a read under way. Its zero value: there is none.
type message struct {
	sent, served bool
	age          int8 // ticks since it was sent
	void         bool
	late         bool // a read sent when the session's time was up
	other        bool // what answered was B
	head         int8
	ended        bool // the answer shows the end
}

type state struct {
	a, b     server
	promoted bool
	ack      int8 // ticks since the end was acknowledged; -1: it was not
	lost     bool // what was acknowledged went with A

	cached  bool
	lease   int8 // ticks since the poll that renewed it was sent
	applied int8
	onB     bool // the incarnation known to the node is B's
	poll    message
	read    message
}

// step is one thing that may happen.
type step struct {
	what string
	to   state
	bad  string // the promise that it breaks
}

func (r rules) steps(s state) (all []step) {
	do := func(what string, f func(*state) string) {
		to := s
		bad := f(&to)
		all = append(all, step{what, to, bad})
	}
	ok := func(f func(*state)) func(*state) string { return func(s *state) string { f(s); return "" } }

	do("a tick passes", func(s *state) string {
		for _, age := range []*int8{&s.lease, &s.poll.age} {
			*age = min(*age+1, leaseTicks+1)
		}
		if s.ack >= 0 {
			s.ack = min(s.ack+1, leaseTicks)
		}
		if s.cached && s.fresh() && s.due() {
			return "admitted from the cache after the bound"
		}
		return ""
	})
	if !s.promoted {
		do("B is promoted", ok(func(s *state) {
			s.promoted = true
			s.lost = s.a.end > s.b.len
			s.b.end = 0
			if s.a.end <= s.b.len {
				s.b.end = s.a.end
			}
		}))
	}
	if !r.sync && !s.promoted && s.b.len < s.a.len {
		do("B receives an entry", ok(func(s *state) { s.b.len++ }))
	}
	write := func(name string, on func(*state) *server, end bool) {
		if on(&s).len == logLength || end && on(&s).end > 0 {
			return
		}
		do(name, ok(func(s *state) {
			on(s).append(end)
			if r.sync && !s.promoted {
				s.b = s.a
			}
			if end {
				s.ack, s.lost = 0, s.promoted && on(s) == &s.a
			}
		}))
	}
	a, b := func(s *state) *server { return &s.a }, func(s *state) *server { return &s.b }
	if !s.promoted || !r.sync && !r.stopped { // where commits wait for the standby, A makes none without it
		write("A commits another change", a, false)
		write("A acknowledges the end", a, true)
	}
	if s.promoted {
		write("B commits another change", b, false)
		write("B acknowledges the end", b, true)
	}
	for _, other := range []bool{false, true} {
		name, from := "A", s.a
		if other {
			name, from = "B", s.b
		}
		cutOff := s.promoted && !other
		if other && !s.promoted || cutOff && r.stopped {
			continue
		}
		if s.poll.sent && !s.poll.served && !(cutOff && r.sync && r.beat) {
			do(name+" answers the poll", ok(func(s *state) {
				s.poll.served, s.poll.other, s.poll.head = true, other, from.len
				s.poll.ended = from.end > s.applied
			}))
		}
		if s.read.sent && !s.read.served {
			do(name+" answers the read", ok(func(s *state) {
				s.read.served, s.read.other, s.read.ended = true, other, from.end > 0
			}))
		}
	}
	if !s.poll.sent {
		do("the node sends a poll", ok(func(s *state) { s.poll.sent = true }))
	}
	if s.poll.served {
		do("the poll's answer arrives", ok(r.polled))
	}
	if !s.read.sent && s.fresh() {
		do("the node sends a read", ok(func(s *state) { s.read = message{sent: true, late: s.due()} }))
	}
	if s.read.served {
		do("the read's answer arrives", func(s *state) string { return r.loaded(s) })
	}
	return all
}

// due reports whether the end was acknowledged so long ago that nobody may be admitted.
func (s *state) due() bool   { return s.ack == leaseTicks && !s.lost }
func (s *state) fresh() bool { return s.lease < leaseTicks }

func (r rules) polled(s *state) {
	p := s.poll
	s.poll = message{}
	another := r.incarnation && p.other != s.onB || r.shorter && p.head < s.applied
	if another || p.ended {
		s.cached = false
	}
	if another && r.voids || p.ended && !another {
		s.read.void = s.read.sent
	}
	s.applied, s.onB, s.lease = p.head, p.other, 0
	if r.sendTime {
		s.lease = p.age
	}
}

func (r rules) loaded(s *state) string {
	m := s.read
	s.read = message{}
	if m.void || r.sameLog && m.other != s.onB {
		return ""
	}
	if s.cached = !m.ended; s.cached && m.late && !s.lost {
		return "admitted by a read after the bound"
	}
	return ""
}

// explore visits every state and returns the shortest way to a broken promise, nil if there is none.
func (r rules) explore() (way []string, states int) {
	type arrival struct {
		from state
		what string
	}
	first := state{ack: -1, cached: true}
	came := map[state]arrival{first: {}}
	for queue := []state{first}; len(queue) > 0; queue = queue[1:] {
		for _, next := range r.steps(queue[0]) {
			if _, known := came[next.to]; known && next.bad == "" {
				continue
			}
			if next.bad != "" {
				way = []string{next.what, "→ " + next.bad}
				for at := queue[0]; at != first; at = came[at].from {
					way = append([]string{came[at].what}, way...)
				}
				return way, len(came)
			}
			came[next.to] = arrival{queue[0], next.what}
			queue = append(queue, next.to)
		}
	}
	return nil, len(came)
}

// With all rules no session is admitted longer than the lease after an end that the store kept; without
// any one of them there is a way. R16, R17, R18
func TestFailover(t *testing.T) {
	all := rules{sync: true, beat: true, sendTime: true, incarnation: true, shorter: true, voids: true, sameLog: true}
	stopped := all
	stopped.sync, stopped.stopped = false, true
	without := func(r rules, leave func(*rules)) rules { leave(&r); return r }
	for _, c := range []struct {
		name   string
		rules  rules
		breaks bool
	}{
		{"all rules", all, false},
		{"a poll that commits nothing", without(all, func(r *rules) { r.beat = false }), true},
		{"a lease from the answer on", without(all, func(r *rules) { r.sendTime = false }), true},
		{"reads under way survive", without(all, func(r *rules) { r.voids = false }), true},
		{"reads of a primary that was cut off", without(all, func(r *rules) { r.sameLog = false }), true},
		{"asynchronous replication, A goes on", without(all, func(r *rules) { r.sync = false }), true},
		{"asynchronous replication, A is stopped", stopped, false},
		{"the same, the log keeps its name", without(stopped, func(r *rules) { r.incarnation = false }), true},
		{"the same, a shorter log of another name", without(stopped, func(r *rules) { r.shorter = false }), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			way, states := c.rules.explore()
			t.Logf("%d states\n  %s", states, strings.Join(way, "\n  "))
			if (way != nil) != c.breaks {
				t.Errorf("there is a way to break the promise: %v, want %v", way != nil, c.breaks)
			}
			if way == nil && states < 50_000 {
				t.Errorf("only %d states: the world is too small to show anything", states)
			}
		})
	}
}
