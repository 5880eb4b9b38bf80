package counterfoil

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrClock means that the store has seen a later time than the clock shows: either the clock went
// back, or it was once far ahead. [ResetClock] ends every session and begins anew.
var ErrClock = errors.New("counterfoil: the clock is behind the time that the store has seen; set the clock, or reset the session clock, which ends all sessions")

// MetaSessionTime is the key of a store's small value that holds the latest time its managers have
// seen: 8 bytes, milliseconds since 1970.
const MetaSessionTime = "session-time"

// savedTime is when session time was last written to the store.
type savedTime struct {
	mu    sync.Mutex
	ms    int64
	bytes []byte
}

// startClock begins session time no earlier than the store has seen.
func (m *Manager) startClock(ctx context.Context, c Clock, x sighting) (*sessionClock, error) {
	if err := m.checkSkew(x); err != nil {
		return nil, err
	}
	saved, err := m.store.Meta(ctx, MetaSessionTime)
	if err != nil {
		return nil, fmt.Errorf("counterfoil: the store cannot be reached: %w", err)
	}
	var floor time.Time
	if len(saved) == 8 {
		floor = time.UnixMilli(int64(binary.BigEndian.Uint64(saved)))
	}
	if now := x.time(); floor.Sub(now) > jumpLimit {
		return nil, fmt.Errorf("%w (clock %s, store %s)", ErrClock, now.UTC().Format(time.RFC3339), floor.UTC().Format(time.RFC3339))
	}
	m.saved.bytes, m.saved.ms = saved, floor.UnixMilli()
	return newSessionClock(c, x, floor), nil
}

// saveSessionTime writes session time at most once a minute, beside touches: where nobody comes,
// nothing is written.
func (m *Manager) saveSessionTime(ctx context.Context) {
	if !m.saved.mu.TryLock() {
		return // another flush is at it
	}
	defer m.saved.mu.Unlock()
	now := m.clock.now().ms()
	if now < m.saved.ms+time.Minute.Milliseconds() {
		return
	}
	next := binary.BigEndian.AppendUint64(nil, uint64(now))
	err := m.store.SwapMeta(ctx, MetaSessionTime, m.saved.bytes, next)
	if errors.Is(err, ErrConflict) { // another node wrote it
		if seen, err := m.store.Meta(ctx, MetaSessionTime); err == nil && len(seen) == 8 {
			m.saved.bytes, m.saved.ms = seen, int64(binary.BigEndian.Uint64(seen))
		}
		return
	}
	if err == nil {
		m.saved.bytes, m.saved.ms = next, now
	}
}

// ResetClock makes a store forget the latest time it has seen and ends all its sessions, since none
// can be judged any more. It is the way out of [ErrClock] when the clock is right.
func ResetClock(ctx context.Context, s Store, c Clock) (ended int, err error) {
	wall, _ := c.Now()
	op, err := randomOpID(nil, wall)
	if err != nil {
		return 0, err
	}
	done, err := s.Revoke(ctx, Entry{
		Version: EntryVersion, Kind: EntryEndedAll, Op: op, Reason: ReasonClockReset,
		Time: wall.UTC().Truncate(time.Millisecond),
	})
	if err != nil {
		return 0, err
	}
	for {
		saved, err := s.Meta(ctx, MetaSessionTime)
		if err != nil || saved == nil {
			return done.Count, err
		}
		if err := s.SwapMeta(ctx, MetaSessionTime, saved, nil); err != nil && !errors.Is(err, ErrConflict) {
			return done.Count, err
		}
	}
}
