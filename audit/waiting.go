package audit

import (
	"sync"

	"github.com/counterfoil/counterfoil"
)

// MaxPending is how many different refusals wait for the next write; more are counted.
const MaxPending = 512

// waiting holds refusals until they are in the file. The zero value is ready.
type waiting struct {
	mu      sync.Mutex
	events  []counterfoil.Event
	index   map[sameness]int
	dropped int
}

// sameness is what two refusals share to be counted together.
type sameness struct {
	kind    counterfoil.EventKind
	reason  counterfoil.Reason
	session counterfoil.ID
	subject string
	ip      string
}

func (w *waiting) add(ev counterfoil.Event) {
	k := sameness{ev.Kind, ev.Reason, ev.Session.ID, ev.Session.Subject, ev.Session.IP}
	if ev.Count == 0 {
		ev.Count = 1
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if i, ok := w.index[k]; ok {
		w.events[i].Count += ev.Count
		return
	}
	if len(w.events) >= MaxPending {
		w.dropped += ev.Count
		return
	}
	if w.index == nil {
		w.index = make(map[sameness]int)
	}
	w.index[k] = len(w.events)
	w.events = append(w.events, ev)
}

// take hands over what waits.
func (w *waiting) take() (events []counterfoil.Event, dropped int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	events, dropped = w.events, w.dropped
	w.events, w.index, w.dropped = nil, nil, 0
	return events, dropped
}

// back returns what could not be written.
func (w *waiting) back(events []counterfoil.Event, dropped int) {
	for _, ev := range events {
		w.add(ev)
	}
	w.mu.Lock()
	w.dropped += dropped
	w.mu.Unlock()
}
