package counterfoil

import (
	"context"
	"sync"
	"time"
)

// Revocation is the receipt of a Revoke.
type Revocation struct {
	Seq   uint64 // position in the log
	Ended int    // sessions ended; -1 if the store cannot say

	m    *Manager
	done time.Duration // monotonic: when the store had acknowledged it
}

// Waited says how a [Revocation] came into force everywhere.
type Waited struct {
	Nodes  int           // nodes that share the store, this one included; -1: the store did not say
	Fenced int           // those of them that were silent for a whole lease, and were shut out
	Behind int           // those that perhaps poll, and had not acknowledged the revocation after two leases
	Took   time.Duration // since the store had acknowledged the revocation
}

// Wait returns when no node can admit the ended sessions any more. Where no other process shares the
// store that is at once. Else it is when each node has acknowledged the end, which it does once its
// open streams know of it ([Session.Done]), or let its lease run out, which takes a little more than
// the longest lease. A node that has not polled meanwhile is fenced: it comes back, if ever, with an
// empty cache, and nobody waits for it again. One that polls but acknowledges nothing, since it gets
// no answers or cannot look after its streams, admits nobody either; it is waited for as long once
// more, and then counted. So all streams of the ended sessions are told on all of these nodes but those
// Fenced or Behind; there, and on nodes that others had shut out before, when they reach the store again.
//
// The revocation stands even if ctx ends the wait, which is the only error there is.
func (r Revocation) Wait(ctx context.Context) (Waited, error) {
	if r.m == nil || !r.m.shared {
		return Waited{Nodes: 1}, ctx.Err()
	}
	w := waiting{r: r}
	most := r.m.leaseLength / 10
	for pause := 10 * time.Millisecond; ; pause = min(pause+pause/2, most) {
		next := w.look(ctx)
		if next <= 0 {
			return w.over(), nil
		}
		if err := r.m.pause(ctx, min(pause, next)); err != nil {
			return Waited{}, err
		}
	}
}

// waiting is the state of one Wait.
type waiting struct {
	r       Revocation
	working map[string]bool // the nodes that were not fenced at the first look; nil: not looked yet
	fenced  int
	behind  int
	polled  bool              // since the revocation: this node knows the log that it is in
	began   time.Duration     // elapsed at the first look
	beats   map[string]uint64 // of the nodes still waited for, as they were then
}

// patience is how long a lease of l can hold by any clock that is right within a hundredth: those
// that were renewed by a poll sent before the revocation was acknowledged are over by then, and a
// poll sent later has brought the revocation.
func patience(l time.Duration) time.Duration { return l + l/100 }

func (w *waiting) elapsed() time.Duration {
	_, mono := w.r.m.clock.Now()
	return mono - w.r.done
}

func (w *waiting) over() Waited {
	nodes := len(w.working)
	if w.working == nil {
		nodes = -1
	}
	return Waited{nodes, w.fenced, w.behind, w.elapsed()}
}

// look asks the store who has acknowledged, and returns how long somebody may still have to be waited
// for; 0: nobody.
func (w *waiting) look(ctx context.Context) time.Duration {
	m := w.r.m
	if !w.polled {
		w.polled = m.pollOnce(m.poll)
	}
	ctx, cancel := m.storeContext(ctx)
	defer cancel()
	all, err := m.store.Nodes(ctx)
	elapsed := w.elapsed()
	if err != nil {
		m.unavailable("nodes", err)
		return patience(maxLease) - elapsed
	}
	first := w.working == nil
	if first {
		w.began, w.working = elapsed, make(map[string]bool, len(all))
		for _, n := range all {
			if !n.Fenced {
				w.working[n.Name] = true
			}
		}
	}
	out := m.shutOut.look(all, w.r.done+elapsed)
	left := time.Duration(0)
	own := m.lease.name()
	waits := make(map[string]uint64, len(w.beats))
	for _, n := range all {
		beat, known := w.beats[n.Name]
		if first {
			beat = n.Beat
		} else if !known {
			continue // it has acknowledged, or joined since: with an empty cache
		}
		acked := n.Acked >= everything || n.Acked >= w.r.Seq && w.polled && logOf(n.Name) == logOf(own)
		if n.Name == own || acked {
			continue
		}
		lease := patience(leaseOf(n.Name))
		over := lease - elapsed
		if n.Fenced {
			over = min(over, lease-out[n.Name])
		}
		switch {
		case over > 0:
		case n.Fenced:
			if w.working[n.Name] {
				w.fenced++ // by another
			}
			continue
		case n.Beat != beat || elapsed < w.began+lease: // it may poll: it has the end, or no lease, but perhaps streams to tell
			if over = 2*lease - elapsed; over <= 0 {
				w.behind++
				continue
			}
		case m.fence(ctx, n.Name):
			w.fenced++
			continue
		default:
			over = patience(maxLease) - elapsed // to fence it again: for its lease nobody waits
		}
		waits[n.Name] = beat
		left = max(left, over)
	}
	w.beats = waits
	return left
}

// shutOut remembers since when this node knows of others that they were fenced. They poll no more,
// but what they polled for a moment before may have given them a lease, whoever fenced them.
type shutOut struct {
	mu    sync.Mutex
	since map[string]time.Duration
}

// look notes who is fenced now, by the monotonic clock, and returns how long each has been for all
// that is known.
func (s *shutOut) look(all []Node, now time.Duration) (known map[string]time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	listed := make(map[string]time.Duration)
	known = make(map[string]time.Duration)
	for _, n := range all {
		if !n.Fenced {
			continue
		}
		since, had := s.since[n.Name]
		if !had {
			since = now
		}
		listed[n.Name], known[n.Name] = since, now-since
	}
	s.since = listed
	return known
}

// note is for a node that was fenced by this one, now: nobody who waits later begins to count then.
func (s *shutOut) note(node string, now time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.since == nil {
		s.since = make(map[string]time.Duration)
	}
	s.since[node] = now
}

// fence shuts out a node that was silent for longer than its lease.
func (m *Manager) fence(ctx context.Context, node string) bool {
	if err := m.store.Fence(ctx, node); err != nil {
		m.unavailable("fence", err)
		return false
	}
	_, now := m.clock.Now()
	m.shutOut.note(node, now)
	m.log.Warn("a node that no longer polls was shut out; it joins again when it is back", "node", node)
	return true
}

// pause waits for d by the manager's clock.
func (m *Manager) pause(ctx context.Context, d time.Duration) error {
	over := make(chan struct{})
	stop := m.clock.AfterFunc(d, func() { close(over) })
	defer stop()
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
