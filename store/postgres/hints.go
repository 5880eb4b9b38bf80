package postgres

import (
	"context"
	"time"

	"github.com/counterfoil/counterfoil"
)

var _ counterfoil.Hinter = (*Store)(nil)

// ended is the channel on which a node tells the others that something has ended. Stores in other
// schemas of the same database hear it too, and poll once more than they need.
const ended = "cf_ended"

// hint tells the others with the commit.
func (t *tx) hint() { t.last.Queue("SELECT pg_notify('" + ended + "', '')") }

// Hints implements counterfoil.Hinter, with a connection of its own beside those of the pool.
func (s *Store) Hints(ctx context.Context, hint, lost func()) (stop func(), err error) {
	pooled, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil, classify(err)
	}
	c := pooled.Hijack()
	closeIt := func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = c.Close(ctx) // nothing is lost with it
	}
	if _, err := c.Exec(ctx, "LISTEN "+ended); err != nil {
		closeIt()
		return nil, classify(err)
	}
	listening, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer closeIt()
		for {
			if _, err := c.WaitForNotification(listening); err != nil {
				if listening.Err() == nil {
					lost()
				}
				return
			}
			hint()
		}
	}()
	return func() { cancel(); <-done }, nil
}
