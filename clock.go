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
// never runs backwards and follows a wall clock that steps forward. Where nodes share a store with a
// clock of its own it is that one instead, see seen, so that all of them agree (R21).
type sessionClock struct {
	Clock
	offset atomic.Int64 // ns: the greatest wall - mono ever seen
	jumped atomic.Int64 // mono ns of the last forward step over jumpLimit
	line   atomic.Pointer[line]
}

// line is the store's time as the monotonic clock carries it on from mono.
type line struct {
	mono time.Duration
	ns   int64
	slow bool // ahead of the store's clock: runs a thousandth slower, rather than back
}

func (l *line) at(mono time.Duration) int64 {
	passed := int64(mono - l.mono)
	if l.slow {
		passed -= passed >> 10
	}
	return l.ns + passed
}

// sighting is one look at the store's clock: it showed store at some moment between sent and got, and
// the wall clock showed wall at got.
type sighting struct {
	store     time.Time // zero: the store has no clock
	sent, got time.Duration
	wall      time.Time
}

// apart is how far the wall clock is ahead of the store's, or behind it (negative), at the least.
func (s sighting) apart() time.Duration {
	most := s.wall.Sub(s.store)
	switch least := most - (s.got - s.sent); {
	case least > 0:
		return least
	case most < 0:
		return most
	}
	return 0
}

// time is by whichever clock decides.
func (s sighting) time() time.Time {
	if s.store.IsZero() {
		return s.wall
	}
	return s.store
}

// seen follows the store's clock. One poll at a time calls it.
func (s *sessionClock) seen(x sighting) {
	now, own := x.store.UnixNano(), s.line.Load().at(x.got) // the store's clock shows now or a little more
	if now-own > int64(jumpLimit) {
		s.jumped.Store(int64(x.got))
	}
	s.line.Store(&line{mono: x.got, ns: max(now, own), slow: own > now+int64(x.got-x.sent)})
}

// jumpLimit is the forward step of the wall clock that is believed for refusing sessions but not,
// for an hour, for deleting them.
const jumpLimit = time.Minute

// newSessionClock begins at floor or later: with the store's clock if it has one, else with the wall.
func newSessionClock(c Clock, x sighting, floor time.Time) *sessionClock {
	s := &sessionClock{Clock: c}
	begin := x.time()
	if floor.After(begin) { // a zero floor, of a new store, has no UnixNano
		begin = floor
	}
	s.offset.Store(begin.UnixNano() - int64(x.got))
	s.jumped.Store(int64(x.got - 2*time.Hour))
	if !x.store.IsZero() {
		s.line.Store(&line{mono: x.got, ns: begin.UnixNano(), slow: begin.After(x.store)})
	}
	return s
}

// instant is one look at the clock.
type instant struct {
	wall int64         // ns since 1970 by the wall clock
	mono time.Duration // by the monotonic clock
	ns   int64         // session time, ns since 1970
}

func (i instant) ms() int64       { return i.ns / int64(time.Millisecond) }
func (i instant) time() time.Time { return msTime(i.ms()) }

func (s *sessionClock) now() instant {
	wall, mono := s.Now()
	w := wall.UnixNano()
	if l := s.line.Load(); l != nil {
		return instant{w, mono, l.at(mono)}
	}
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
