package simulation

import (
	"context"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil"
)

// stream is an answer that goes on and on, and is to end with its session.
type stream struct {
	n      *node
	s      *session
	opened time.Duration
	told   time.Duration // when it was told that its session has ended
	left   bool          // the client has gone, or the node
}

// follow keeps the answer open for d, or until the session ends.
func (a *attempt) follow(s *counterfoil.Session, d time.Duration) {
	w := a.n.w
	done, over := s.Done(), make(chan struct{})
	w.after(d, func() { close(over) })
	w.mu.Lock()
	st := w.oracle.opens(a, s.ID())
	w.waits(a.t)
	w.mu.Unlock()
	select {
	case <-done:
	case <-over:
	case <-a.n.ctx.Done():
	}
	w.mu.Lock()
	select {
	case <-done:
		w.oracle.toldOf(st)
	default:
	}
	st.left = true
	w.awake[a.t.on]++
	w.mu.Unlock()
	w.park(a.t)
}

// opens notes a stream.
func (o *oracle) opens(a *attempt, id counterfoil.ID) *stream {
	st := &stream{n: a.n, s: o.sessions[id], opened: o.w.now(), told: never}
	if st.s != nil { // else its creation was lost
		o.streams = append(o.streams, st)
	}
	return st
}

// toldOf judges that a stream ends because its session has. G5
func (o *oracle) toldOf(st *stream) {
	now, s := o.w.now(), st.s
	st.told = now
	if s == nil || st.n.dead || o.w.direct {
		return
	}
	o.w.seen["streams told"]++
	o.w.trace("%s tells a stream of %s that it has ended", st.n.on, s)
	if s.asked > now && !s.limbo && !o.mayBeOver(s, now, st.opened) && !o.strayed(st.opened) {
		o.fail("%s lives, and a stream of it was ended by %s", s, st.n.on)
	}
}

// outside reports whether a node was shut out, as far as the store knows: it is none of those that
// share it.
func (o *oracle) outside(n *node) bool {
	all, _ := o.w.db.store.Nodes(context.Background())
	return slices.ContainsFunc(all, func(x counterfoil.Node) bool { return x.Name == n.link.name && x.Fenced })
}

// untold returns a stream that was there when its session ended, and does not know of that; nil: none.
func (o *oracle) untold(s *session, on *node) *stream {
	for _, st := range o.streams {
		if st.s == s && !st.left && !st.n.dead && (on == nil || st.n == on) && st.opened < s.gone && st.told == never {
			return st
		}
	}
	return nil
}

// polled judges what a node says that it has applied: its streams know of it. R17
func (o *oracle) polled(c *call) {
	p, ok := c.out.(polled)
	if ok {
		c.l.name = p.asked.Node
	}
	names := o.w.db.names
	if _, known := names[p.asked.Node]; ok && !known {
		names[p.asked.Node] = o.w.db.log
	}
	switch {
	case !ok || o.w.direct:
		return
	case names[p.asked.Node] != o.w.db.log: // it acknowledges positions of another log
		return
	case p.asked.Acked > p.Head: // it gives up its name, and says that of any position
		return
	}
	for _, s := range o.order {
		if s.gone < never && s.ended > 0 && s.ended <= p.asked.Acked && o.untold(s, c.l.node) != nil {
			o.fail("%s acknowledges the end of %s, and has not told a stream of it", c.l.on, s)
		}
	}
}
