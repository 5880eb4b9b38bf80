package memory

import (
	"bytes"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil"
)

// change collects the log entries of one call, which holds Store.mu from begin to publish.
type change struct {
	s       *Store
	time    time.Time
	entries []counterfoil.Entry
	ended   []counterfoil.ID
	count   int
}

func (s *Store) begin(t time.Time) change { return change{s: s, time: t} }

// append adds an entry and returns its position.
func (c *change) append(e counterfoil.Entry) uint64 {
	e.Version = counterfoil.EntryVersion
	e.Seq = c.s.log.head + uint64(len(c.entries)) + 1
	e.Time = fromMilli(e.Time.UnixMilli())
	c.entries = append(c.entries, cloneEntry(&e))
	return e.Seq
}

// end removes r, if it is there and due says so (nil: it is), and then its descendants. Those that
// covered names (nil: none) need no entry of their own.
func (c *change) end(r *record, why counterfoil.Reason, due, covered func(*state) bool) {
	if !c.s.take(r, due) {
		return
	}
	if covered == nil || !covered(&r.state) {
		c.append(about(r, counterfoil.Entry{Kind: counterfoil.EntryEnded, Reason: why, Time: c.time}))
	}
	c.s.unindex(r)
	c.note(r.id)
	for child := range c.s.children[r.id] {
		c.end(child, counterfoil.ReasonParent, nil, covered)
	}
}

func (c *change) note(id counterfoil.ID) {
	if c.count++; len(c.ended) < counterfoil.MaxEndedListed {
		c.ended = append(c.ended, id)
	}
}

func (c *change) publish() { c.s.log.publish(c.entries) }

// about returns e with the clear fields of the session it is about.
func about(r *record, e counterfoil.Entry) counterfoil.Entry {
	k := r.lineage()
	e.Session, e.Subject, e.Actor, e.Parent, e.Root = r.id, r.subject, k.actor, k.parent, k.root
	return e
}

func cloneEntry(e *counterfoil.Entry) counterfoil.Entry {
	c := *e
	c.Except = slices.Clone(e.Except)
	c.Detail = bytes.Clone(e.Detail)
	return c
}
