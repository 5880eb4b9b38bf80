package counterfoil

import (
	"sync"
	"sync/atomic"
	"time"
)

// Stats are counts since the manager began, for metrics. They hold no secret and name nobody.
type Stats struct {
	Cache CacheStats

	// Lag is how long after it was written an end of another node was in force on this one. It is
	// counted where nodes share a store.
	Lag Durations

	// Store is about the calls of the store by this manager, by method: "Load", "Poll" and so on. Only
	// methods that were called are in it.
	Store map[string]StoreStats
}

// CacheStats are about the sessions kept in memory.
type CacheStats struct {
	Hits    uint64 // checks that asked nobody
	Misses  uint64 // checks that had to ask the store, refusals included
	Entries int
	Bytes   int64
	Bound   int64 // of Bytes; 0: nothing is kept
}

// StoreStats are about one method of the store.
type StoreStats struct {
	Took   Durations
	Errors uint64 // calls whose outcome is unknown
}

// Durations is a histogram of how long things took.
type Durations struct {
	Count uint64
	Sum   time.Duration
	Up    []uint64 // how many took at most the bound at the same place in [DurationBounds], not more than those before
}

// DurationBounds are the bounds of every [Durations], rising. What took longer than the last is in
// Count alone.
func DurationBounds() []time.Duration {
	const ms = time.Millisecond
	return []time.Duration{ms / 10, ms / 2, ms, 5 * ms, 10 * ms, 50 * ms, 100 * ms, 500 * ms, time.Second, 5 * time.Second, 10 * time.Second, time.Minute}
}

const durationBounds = 12

// durations counts into a histogram.
type durations struct {
	sum    atomic.Int64
	counts [durationBounds + 1]atomic.Uint64 // the last: over all bounds
}

func (d *durations) add(took time.Duration) {
	i := 0
	for _, bound := range DurationBounds() {
		if took <= bound {
			break
		}
		i++
	}
	d.sum.Add(int64(took))
	d.counts[i].Add(1)
}

func (d *durations) read() (out Durations) {
	out.Sum = time.Duration(d.sum.Load())
	out.Up = make([]uint64, durationBounds)
	for i := range d.counts {
		out.Count += d.counts[i].Load()
		if i < durationBounds {
			out.Up[i] = out.Count
		}
	}
	return out
}

// Stats returns the counts at this moment. It does no I/O.
func (m *Manager) Stats() Stats {
	return Stats{Cache: m.cache.stats(), Lag: m.lag.took.read(), Store: m.metered.read()}
}

// lag measures how long ends of other nodes are on their way.
type lag struct {
	took durations

	mu  sync.Mutex
	own map[OpID]bool // this node's ends that it has not read yet
}

func (l *lag) wrote(op OpID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.own == nil || len(l.own) > 4*pollPage { // some were never read: lost, or behind a gap
		l.own = make(map[OpID]bool)
	}
	l.own[op] = true
}

// applied notes that an end was read from the log and is in force. Those that a store writes by itself
// bear the time that somebody swept by.
func (l *lag) applied(e *Entry, now instant) {
	if e.Op == (OpID{}) {
		return
	}
	l.mu.Lock()
	own := l.own[e.Op]
	delete(l.own, e.Op)
	l.mu.Unlock()
	if !own {
		l.took.add(max(0, time.Duration(now.ns-e.Time.UnixNano())))
	}
}
