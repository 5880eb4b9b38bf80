package counterfoil

import (
	"context"
	"sync"
)

// Hinter is a [Store] that can say early that something has ended. It proves nothing and renews no
// lease: a node that gets a hint polls before it would have, and what the poll brings counts.
type Hinter interface {
	// Hints calls hint, from a goroutine of its own, soon after Create or Revoke of any node has ended
	// sessions; it may also call it late, more often or not at all. When no more hints can come it
	// calls lost, once. stop ends it and waits until neither is called any more; then lost may never
	// have been called. ctx bounds the call of Hints alone.
	Hints(ctx context.Context, hint, lost func()) (stop func(), err error)
}

// hints is what a manager listens to.
type hints struct {
	mu   sync.Mutex
	stop func() // nil: it does not listen
}

// swap ends what was listened to before. No hint may be waiting for the caller.
func (h *hints) swap(stop func()) {
	h.mu.Lock()
	before := h.stop
	h.stop = stop
	h.mu.Unlock()
	if before != nil {
		before()
	}
}

// listen asks the store for hints, and again a lease later whenever they cannot be had: polls do
// without.
func (m *Manager) listen(from Hinter) {
	ctx, cancel := m.storeContext(context.Background())
	defer cancel()
	m.hints.swap(nil)
	later := func() { m.background.after(m.jitter(m.leaseLength), func() { m.listen(from) }) }
	stop, err := from.Hints(ctx, m.pollSoon, later)
	if err != nil {
		m.log.Debug("the store gives no hints", "error", err)
		later()
		return
	}
	m.hints.swap(stop)
}

// pollSoon polls in a moment. Many hints make one poll.
func (m *Manager) pollSoon() {
	if m.lease.hinted.Swap(true) {
		return
	}
	m.background.after(m.leaseLength/100, func() {
		m.lease.hinted.Store(false)
		m.pollOnce(m.poll)
	})
}
