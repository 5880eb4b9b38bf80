package counterfoil

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// ErrSkew means that this machine's clock and the store's are further apart than [Config.Skew].
var ErrSkew = errors.New("counterfoil: this machine's clock and the store's are too far apart; let NTP set both")

// skew is how far the wall clock is from the store's.
type skew struct {
	allowed time.Duration
	last    atomic.Int64 // ns: the wall clock ahead of the store's when the last poll was answered, or a little less
	high    atomic.Bool
}

// checkSkew notes how far the clocks are apart, and refuses too much.
func (m *Manager) checkSkew(x sighting) error {
	if x.store.IsZero() {
		return nil
	}
	apart := x.apart()
	m.skew.last.Store(int64(x.wall.Sub(x.store)))
	if apart.Abs() <= m.skew.allowed {
		return nil
	}
	than := "ahead of"
	if apart < 0 {
		than = "behind"
	}
	return fmt.Errorf("%w (this one is %v %s the store's, %v is allowed)", ErrSkew, apart.Abs().Round(time.Millisecond), than, m.skew.allowed)
}

// seeClock follows the store's clock if it has one. Sessions are judged by that, so that a wall clock
// which goes astray does no harm to them; but logs, certificates and what else goes by it do suffer,
// and somebody is told.
func (m *Manager) seeClock(x sighting) {
	if x.store.IsZero() || m.clock.line.Load() == nil {
		return
	}
	m.clock.seen(x)
	err := m.checkSkew(x)
	if high := err != nil; m.skew.high.Swap(high) != high {
		if high {
			m.observe(Event{Kind: EventClock, Reason: ReasonSkew, Time: m.clock.now().time()})
			m.log.Warn("the clocks are apart", "why", err)
		} else {
			m.log.Info("the clocks agree again")
		}
	}
}
