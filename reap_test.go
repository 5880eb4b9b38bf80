package counterfoil_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/sessiontest"
)

// sweptStore takes its time for each of a few batches.
type sweptStore struct {
	counterfoil.Store
	clock   *sessiontest.Clock
	batches int
	began   []time.Duration // when each was asked for
	running int
	at      int // most that ran at once
}

func (s *sweptStore) Reap(context.Context, counterfoil.Reap) (counterfoil.Reaped, error) {
	_, now := s.clock.Now()
	s.began = append(s.began, now)
	s.running++
	s.at = max(s.at, s.running)
	s.clock.Advance(20 * time.Millisecond)
	s.running--
	s.batches--
	return counterfoil.Reaped{Records: 1, More: s.batches > 0}, nil
}

// A sweep rests between batches for four times as long as each took, so that the store is others'
// most of the time, and never runs beside another. P64
func TestSweepLeavesTheStoreToOthers(t *testing.T) {
	s := &sweptStore{batches: 4}
	m, clock := sessiontest.New(t, func(c *counterfoil.Config) {
		s.Store, s.clock = c.Store, c.Clock.(*sessiontest.Clock)
		c.Store = s
	})
	clock.Advance(time.Minute)
	if len(s.began) != 4 || s.at != 1 {
		t.Fatalf("%d batches, %d at once; want 4, one at a time", len(s.began), s.at)
	}
	for i, at := range s.began[1:] {
		if apart := at - s.began[i]; apart != 100*time.Millisecond {
			t.Errorf("batches %v apart, want 100ms", apart)
		}
	}
	if h := m.Health(); h.SweepHeld != "" || h.LastSweep.IsZero() {
		t.Errorf("after the sweep: %+v", h)
	}
	clock.Advance(2 * time.Minute)
	if rest := s.began[4] - s.began[3]; rest < 30*time.Second {
		t.Errorf("the next sweep began %v after the last; %v", rest, slices.Max(s.began))
	}
}
