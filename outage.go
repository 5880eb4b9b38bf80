package counterfoil

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// outages lets an outage of the store be told once a second, not once a request.
type outages struct {
	mu   sync.Mutex
	last time.Duration
	told bool
}

// unanswered tells of a call whose outcome is not known, and returns what a verb says of it: whatever is
// answered with 503 has its reason in the log. A caller who went away is no outage.
func (m *Manager) unanswered(doing string, err error) error {
	if !errors.Is(err, context.Canceled) {
		m.unavailable(doing, err)
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

func (m *Manager) unavailable(doing string, err error) {
	now := m.clock.now()
	m.outages.mu.Lock()
	quiet := m.outages.told && now.mono-m.outages.last < time.Second
	if !quiet {
		m.outages.last, m.outages.told = now.mono, true
	}
	m.outages.mu.Unlock()
	if quiet {
		return
	}
	m.log.Error("the session store does not answer", "doing", doing, "error", err)
	m.observe(Event{Kind: EventUnavailable, Time: now.time()})
}

// errTooSlow is told when each answer comes when the lease that it was to renew is over.
var errTooSlow = errors.New("its answers take longer than the lease; give the nodes a longer one, or the store more room")
