package counterfoil

import (
	"sync/atomic"
	"time"
)

// A Clock tells the time and runs what falls due. Tests and simulations put in their own; its
// methods are called by many goroutines at once.
type Clock interface {
	// Now returns the wall clock's time and, read at the same moment, the time since some fixed
	// instant by a clock that is never set. They may drift apart; a [Manager] believes neither alone.
	Now() (wall time.Time, mono time.Duration)

	// AfterFunc calls f once after d, unless stop is called first; stop reports whether it was.
	AfterFunc(d time.Duration, f func()) (stop func() bool)
}

// SystemClock returns the machine's clock.
func SystemClock() Clock { return systemClock{start: time.Now()} }

type systemClock struct{ start time.Time }

func (c systemClock) Now() (time.Time, time.Duration) {
	t := time.Now() // the one place that asks the machine for the time
	return t, t.Sub(c.start)
}

func (c systemClock) AfterFunc(d time.Duration, f func()) func() bool {
	return time.AfterFunc(d, f).Stop
}

// sessionClock turns a Clock into session time: max(wall, last + monotonic elapsed), so that it
// never runs backwards and follows a wall clock that steps forward.
type sessionClock struct {
	Clock
	offset atomic.Int64 // ns: the greatest wall - mono ever seen
	jumped atomic.Int64 // mono ns of the last forward step over jumpLimit
}

// jumpLimit is the forward step of the wall clock that is believed for refusing sessions but not,
// for an hour, for deleting them.
const jumpLimit = time.Minute

func newSessionClock(c Clock, floor time.Time) *sessionClock {
	s := &sessionClock{Clock: c}
	wall, mono := c.Now()
	if floor.After(wall) { // a zero floor, of a new store, has no UnixNano
		wall = floor
	}
	s.offset.Store(wall.UnixNano() - int64(mono))
	s.jumped.Store(int64(mono - 2*time.Hour))
	return s
}

// instant is one look at the clock.
type instant struct {
	wall int64         // ns since 1970 by the wall clock
	mono time.Duration // by the monotonic clock
	ns   int64         // session time, ns since 1970
}

func (i instant) ms() int64       { return i.ns / int64(time.Millisecond) }
func (i instant) time() time.Time { return time.Unix(0, i.ns).UTC().Truncate(time.Millisecond) }

func (s *sessionClock) now() instant {
	wall, mono := s.Now()
	w := wall.UnixNano()
	for {
		old := s.offset.Load()
		raised := w - int64(mono)
		if raised <= old {
			return instant{w, mono, int64(mono) + old}
		}
		if s.offset.CompareAndSwap(old, raised) {
			if raised-old > int64(jumpLimit) {
				s.jumped.Store(int64(mono))
			}
			return instant{w, mono, w}
		}
	}
}

// mayDelete reports whether the time is trusted enough to remove what has expired by it.
func (s *sessionClock) mayDelete(now instant) bool {
	return int64(now.mono)-s.jumped.Load() >= int64(time.Hour)
}
