package counterfoil

import (
	"context"
	"sync"
	"time"
)

// toucher keeps seen-times in memory and writes them in batches (R12).
type toucher struct {
	mu      sync.Mutex
	pending map[ID]Touch
	armed   bool
}

// touch notes that a session was used by a request of its user, at most once in the touch interval.
func (m *Manager) touch(e *entry, now instant) {
	l := m.limits(e.who.kind)
	ms, last := now.ms(), e.touched.Load()
	if ms < last+l.touch.Milliseconds() || !e.touched.CompareAndSwap(last, ms) {
		return
	}
	idle := min(ms+l.idle.Milliseconds(), e.absolute)
	e.seen.Store(ms)
	e.idleEnd.Store(idle)
	t := &m.toucher
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pending[e.id] = Touch{ID: e.id, Seen: msTime(ms), IdleEnd: msTime(idle)}
	if !t.armed {
		t.armed = true
		m.background.after(min(time.Second, l.touch), m.flushTouches)
	}
}

// pendingTouch returns a touch that the store has not seen yet.
func (t *toucher) pendingTouch(id ID) (Touch, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, ok := t.pending[id]
	return p, ok
}

// flushTouches writes what is pending; after a failure it is kept and tried again.
func (m *Manager) flushTouches() {
	t := &m.toucher
	t.mu.Lock()
	batch := make([]Touch, 0, len(t.pending))
	for _, p := range t.pending {
		batch = append(batch, p)
	}
	t.armed = false
	t.mu.Unlock()
	if len(batch) == 0 {
		return
	}
	ctx, cancel := m.storeContext(context.Background())
	defer cancel()
	if err := m.store.Touch(ctx, batch); err != nil {
		m.unavailable("touch", err)
		t.mu.Lock()
		if !t.armed {
			t.armed = true
			m.background.after(time.Second, m.flushTouches)
		}
		t.mu.Unlock()
		return
	}
	t.mu.Lock()
	for _, done := range batch {
		if t.pending[done.ID] == done {
			delete(t.pending, done.ID)
		}
	}
	t.mu.Unlock()
	m.saveSessionTime(ctx)
}
