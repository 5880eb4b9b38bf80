package counterfoil

import (
	"context"
	"maps"
	"slices"
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
	l := m.limits(e.kind)
	ms, last := now.ms(), e.touched.Load()
	if ms < last+l.touch.Milliseconds() || !e.touched.CompareAndSwap(last, ms) {
		return
	}
	idle := min(ms+l.idle.Milliseconds(), e.absolute)
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

// raise makes rec, just read, show a touch that the store has not seen yet. Others may have touched
// it since.
func (t *toucher) raise(rec *Record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, ok := t.pending[rec.ID]
	if ok && p.Seen.After(rec.Seen) {
		rec.Seen = p.Seen
	}
	if ok && p.IdleEnd.After(rec.IdleEnd) {
		rec.IdleEnd = p.IdleEnd
	}
}

// flushTouches writes what is pending; after a failure the rest is kept and tried again.
func (m *Manager) flushTouches() {
	t := &m.toucher
	t.mu.Lock()
	t.armed = false
	t.mu.Unlock()
	if err := m.writeTouches(context.Background()); err != nil {
		m.unavailable("touch", err)
		t.mu.Lock()
		defer t.mu.Unlock()
		if !t.armed {
			t.armed = true
			m.background.after(time.Second, m.flushTouches)
		}
		return
	}
	ctx, cancel := m.storeContext(context.Background())
	defer cancel()
	m.saveSessionTime(ctx)
}

// touchBatch is how many touches go into one call of the store: after an outage there may be more
// than it can take in the time of a call.
const touchBatch = 1000

// writeTouches writes what is pending, and forgets what is written.
func (m *Manager) writeTouches(ctx context.Context) error {
	t := &m.toucher
	t.mu.Lock()
	all := slices.Collect(maps.Values(t.pending))
	t.mu.Unlock()
	for batch := range slices.Chunk(all, touchBatch) {
		ctx, cancel := context.WithTimeout(ctx, storeTimeout)
		err := m.store.Touch(ctx, batch)
		cancel()
		if err != nil {
			return err
		}
		t.mu.Lock()
		for _, done := range batch {
			if t.pending[done.ID] == done {
				delete(t.pending, done.ID)
			}
		}
		if len(t.pending) == 0 {
			t.pending = make(map[ID]Touch) // a map keeps the room of its busiest moment
		}
		t.mu.Unlock()
	}
	return nil
}
