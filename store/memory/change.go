package memory

import (
	"time"

	"github.com/counterfoil/counterfoil"
)

// change is what one call does, which holds Store.mu from begin to publish.
type change struct {
	s     *Store
	time  time.Time
	seq   uint64 // of the last entry that was written
	ended []counterfoil.ID
	count int
}

func (s *Store) begin(t time.Time) change { return change{s: s, time: t, seq: s.log.head} }

// append adds e, which it completes, to the log and returns its position.
func (c *change) append(e *counterfoil.Entry) uint64 {
	c.seq++
	e.Version, e.Seq = counterfoil.EntryVersion, c.seq
	c.s.log.write(e)
	return c.seq
}

// end removes r, if it is there and due says so (nil: it is), and then its descendants. Those that
// covered names (nil: none) need no entry of their own.
func (c *change) end(r *record, why counterfoil.Reason, due, covered func(*record) bool) {
	if !c.s.take(r, due) {
		return
	}
	if covered == nil || !covered(r) {
		e := counterfoil.Entry{Kind: counterfoil.EntryEnded, Reason: why, Time: c.time}
		about(r, &e)
		c.append(&e)
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

func (c *change) publish() { c.s.log.publish(c.seq) }

// about gives e the clear fields of the session it is about.
func about(r *record, e *counterfoil.Entry) {
	k := r.lineage()
	e.Session, e.Subject, e.Actor, e.Parent, e.Root = r.id, r.subject, k.actor, k.parent, k.root
}
