package sessiontest

import (
	"sync"
	"time"
)

// Clock is a counterfoil.Clock that moves when told, and runs what falls due, in order, before
// Advance returns. Its zero value is not ready; see [NewClock].
type Clock struct {
	mu     sync.Mutex
	wall   time.Time
	mono   time.Duration
	timers []*timer
}

type timer struct {
	at   time.Duration
	f    func()
	over bool
}

// NewClock returns a clock that shows start and stands still.
func NewClock(start time.Time) *Clock { return &Clock{wall: start.Round(0)} }

// Now returns the time that the clock shows.
func (c *Clock) Now() (time.Time, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wall, c.mono
}

// AfterFunc calls f when Advance has moved the clock by d.
func (c *Clock) AfterFunc(d time.Duration, f func()) func() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &timer{at: c.mono + max(d, 0), f: f}
	c.timers = append(c.timers, t)
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		stopped := !t.over
		t.over = true
		return stopped
	}
}

// Advance moves wall and monotonic time together and runs what falls due on the way.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	end := c.mono + d
	c.mu.Unlock()
	for c.runNext(end) {
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.moveTo(end)
}

// Step moves the wall clock alone, as an administrator or NTP does.
func (c *Clock) Step(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall = c.wall.Add(d)
}

func (c *Clock) moveTo(mono time.Duration) {
	c.wall = c.wall.Add(mono - c.mono)
	c.mono = mono
}

// runNext runs the earliest timer due by end.
func (c *Clock) runNext(end time.Duration) bool {
	c.mu.Lock()
	next := -1
	live := c.timers[:0]
	for _, t := range c.timers {
		if t.over {
			continue
		}
		live = append(live, t)
		if t.at <= end && (next < 0 || t.at < live[next].at) {
			next = len(live) - 1
		}
	}
	c.timers = live
	if next < 0 {
		c.mu.Unlock()
		return false
	}
	t := live[next]
	t.over = true
	c.moveTo(max(t.at, c.mono))
	c.mu.Unlock()
	t.f()
	return true
}
