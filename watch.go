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
	doubts uint64              // how often the log may have kept ends from them
	unsure map[*watch]struct{} // those that were not looked at since
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
	if kept := m.cache.get(e.id); kept != nil { // what had ended before the watch stood would be gone from there
		m.recheckAt(w, min(kept.absolute, kept.idleEnd.Load()))
	} else {
		m.recheckAfter(w, 0)
	}
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
	delete(ws.unsure, w)
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

// doubtStreams is called when the log may have kept an end from the streams: each has to be looked at.
func (m *Manager) doubtStreams() {
	ws := &m.watches
	var list []*watch
	ws.mu.Lock()
	ws.doubts++
	ws.unsure = make(map[*watch]struct{})
	for _, of := range ws.byID {
		for w := range of {
			ws.unsure[w] = struct{}{}
			list = append(list, w)
		}
	}
	ws.mu.Unlock()
	apart := min(time.Millisecond, m.leaseLength/3/time.Duration(len(list)+1)) // the store has polls to answer, too
	for i, w := range list {
		m.recheckAfter(w, time.Duration(i)*apart)
	}
}

// told reports whether every stream knows what the log was read of: only then may this node say so.
func (ws *watches) told() bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return len(ws.unsure) == 0
}

func (ws *watches) doubted() uint64 {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return ws.doubts
}

// sure notes that w was looked at after so many doubts, and reports whether it was the last to be.
func (ws *watches) sure(w *watch, doubts uint64) (last bool) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if _, had := ws.unsure[w]; !had || doubts != ws.doubts {
		return false
	}
	delete(ws.unsure, w)
	return len(ws.unsure) == 0
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

// recheck looks at the store, and again as long as that does not answer.
func (m *Manager) recheck(w *watch) {
	doubts := m.watches.doubted()
	if w.ended() == "" && !m.look(w) {
		m.recheckAfter(w, time.Second)
		return
	}
	if m.watches.sure(w, doubts) {
		m.acknowledgeSoon()
	}
}

// look ends w if its session has ended, and reports whether that could be found out.
func (m *Manager) look(w *watch) bool {
	ctx, cancel := m.storeContext(context.Background())
	defer cancel()
	rec, err := m.store.Load(ctx, w.e.id)
	if errors.Is(err, ErrNotFound) {
		w.end(ReasonRevoked)
		return true
	}
	if err != nil {
		return false
	}
	i, err := m.openIdentity(rec)
	if err != nil {
		w.end(ReasonUnreadable)
		return true
	}
	m.toucher.raise(rec)
	now := m.clock.now().ms()
	absolute, idle := m.absoluteEnd(i), m.idleEnd(rec, i)
	switch {
	case now >= absolute:
		w.end(ReasonAbsolute)
	case now >= idle:
		w.end(ReasonIdle)
	default:
		m.recheckAt(w, min(absolute, idle))
	}
	return true
}
