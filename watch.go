package counterfoil

import (
	"context"
	"errors"
	"sync"
	"time"
)

// watches are the streams that want to know when their session ends.
type watches struct {
	mu     sync.Mutex
	closed bool
	byID   map[ID]map[*watch]struct{}
}

// watch is one stream's.
type watch struct {
	e    *entry
	done chan struct{}

	mu    sync.Mutex
	cause Reason
	next  func()        // takes back the next look at the store; nil: none is due
	at    time.Duration // when it is due, by the monotonic clock
	over  bool          // the stream has ended: no more looks
}

func (w *watch) end(why Reason) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cause == "" {
		w.cause = why
		close(w.done)
	}
}

// release ends the looks at the store.
func (w *watch) release() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	if w.next != nil {
		w.next()
	}
}

func (w *watch) ended() Reason {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cause
}

// watch begins to watch e until release is called.
func (m *Manager) watch(e *entry) (w *watch, release func()) {
	w = &watch{e: e, done: make(chan struct{})}
	ws := &m.watches
	ws.mu.Lock()
	if ws.byID[e.id] == nil {
		ws.byID[e.id] = make(map[*watch]struct{})
	}
	ws.byID[e.id][w] = struct{}{}
	closed := ws.closed
	ws.mu.Unlock()
	if closed {
		w.end(ReasonUnknown)
	}
	m.recheckAfter(w, 0) // what ended before the watch stood
	return w, func() {
		ws.remove(w)
		w.release()
	}
}

func (ws *watches) remove(w *watch) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	delete(ws.byID[w.e.id], w)
	if len(ws.byID[w.e.id]) == 0 {
		delete(ws.byID, w.e.id)
	}
}

// end ends the streams of what e ends. What hangs on a session that ended has an entry of its own.
func (ws *watches) end(e *Entry) {
	if e.Kind == EntryEnded {
		ws.mu.Lock()
		defer ws.mu.Unlock()
		for w := range ws.byID[e.Session] {
			if w.e.endedBy(e) {
				w.end(e.Reason)
			}
		}
		return
	}
	for _, w := range ws.all() {
		if w.e.endedBy(e) {
			w.end(e.Reason)
		}
	}
}

// all returns every watch there is.
func (ws *watches) all() (list []*watch) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for _, of := range ws.byID {
		for w := range of {
			list = append(list, w)
		}
	}
	return list
}

func (ws *watches) close() {
	ws.mu.Lock()
	ws.closed = true
	ws.mu.Unlock()
	for _, w := range ws.all() {
		w.end(ReasonUnknown)
	}
}

// recheckAt looks at the store when the session's time may be up.
func (m *Manager) recheckAt(w *watch, ms int64) {
	wait := time.Duration(max(ms-m.clock.now().ms(), 0)) * time.Millisecond
	m.recheckAfter(w, max(wait, 10*time.Millisecond))
}

// recheckAfter looks at the store after d, or when it is to be done anyway if that is sooner.
func (m *Manager) recheckAfter(w *watch, d time.Duration) {
	at := m.clock.now().mono + d
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over || w.next != nil && w.at <= at {
		return
	}
	if w.next != nil {
		w.next()
	}
	w.at = at
	w.next = m.background.after(d, func() {
		w.mu.Lock()
		w.next = nil
		w.mu.Unlock()
		m.recheck(w)
	})
}

func (m *Manager) recheck(w *watch) {
	if w.ended() != "" {
		return
	}
	ctx, cancel := m.storeContext(context.Background())
	defer cancel()
	rec, err := m.store.Load(ctx, w.e.id)
	if errors.Is(err, ErrNotFound) {
		w.end(ReasonRevoked)
		return
	}
	now := m.clock.now().ms()
	if err != nil {
		m.recheckAt(w, now+1000)
		return
	}
	i, err := m.openIdentity(rec)
	if err != nil {
		w.end(ReasonUnreadable)
		return
	}
	m.toucher.raise(rec)
	absolute, idle := m.absoluteEnd(i), m.idleEnd(rec, i)
	switch {
	case now >= absolute:
		w.end(ReasonAbsolute)
	case now >= idle:
		w.end(ReasonIdle)
	default:
		m.recheckAt(w, min(absolute, idle))
	}
}
