package counterfoil

import (
	"context"
	"sync"
	"time"
)

const (
	reapEvery    = time.Minute
	reapBatch    = 500
	reapRest     = 5 * time.Millisecond // between two batches at least
	reapShare    = 5                    // of this many parts of a sweep's time the store is busy with it for one
	logRetention = 24 * time.Hour
)

// reaper is what is known of the last sweep.
type reaper struct {
	mu   sync.Mutex
	last time.Time
	held string
}

// reapForever sweeps after d, and again when it is time.
func (m *Manager) reapForever(d time.Duration) {
	m.background.after(d, func() { m.reapForever(m.sweep()) })
}

// sweep removes a batch of what has expired and says when to go on. Expiry itself is judged at each
// check; a sweep only frees space, so it leaves the store to others most of the time.
func (m *Manager) sweep() (wait time.Duration) {
	now := m.clock.now()
	held, more := "", false
	if !m.clock.mayDelete(now) {
		held = "the clock jumped ahead; nothing is deleted for an hour"
	} else {
		// No node lets go of a session later than this after its end (R12).
		slack := 2*30*time.Second + 2*m.leaseLength + time.Minute
		ctx, cancel := m.storeContext(context.Background())
		done, err := m.store.Reap(ctx, Reap{
			Before: now.time().Add(-slack), LogBefore: now.time().Add(-logRetention), Max: reapBatch,
		})
		cancel()
		if err != nil {
			m.unavailable("reap", err)
			held = "the store does not answer"
		} else if done.Records > 0 {
			m.log.Debug("expired sessions removed", "count", done.Records)
		}
		more = err == nil && done.More
	}
	m.reaper.mu.Lock()
	defer m.reaper.mu.Unlock()
	m.reaper.held = held
	switch {
	case more:
		took := m.clock.now().mono - now.mono
		return max(reapRest, (reapShare-1)*took)
	case held == "":
		m.reaper.last = now.time()
	}
	return m.jitter(reapEvery)
}

// Health says how the manager is; it holds no secret.
type Health struct {
	LeaseFresh bool
	LeaseAge   time.Duration // since the last good poll was sent
	LastSweep  time.Time     // zero: none yet
	SweepHeld  string        // why nothing is swept, "" if it is
	ClockAhead time.Duration // session time ahead of the clock that it goes by: the store's if that has one, else the wall clock
	Skew       time.Duration // the wall clock ahead of the store's, at the last poll; 0: the store has none
	SkewHigh   bool          // it is more than is allowed
	Cached     int           // sessions in the near cache
}

// Health returns the manager's state at this moment. It does no I/O.
func (m *Manager) Health() Health {
	now := m.clock.now()
	m.reaper.mu.Lock()
	defer m.reaper.mu.Unlock()
	return Health{
		LeaseFresh: m.lease.fresh(now),
		LeaseAge:   now.mono - time.Duration(m.lease.sentMono.Load()),
		LastSweep:  m.reaper.last, SweepHeld: m.reaper.held,
		ClockAhead: time.Duration(now.ns-now.wall) + time.Duration(m.skew.last.Load()),
		Skew:       time.Duration(m.skew.last.Load()), SkewHigh: m.skew.high.Load(),
		Cached: int(m.cache.count.Load()),
	}
}
