// Package wait waits by an injected clock:
//
//	for !done() {
//		if err := wait.For(ctx, clock, time.Second); err != nil {
//			return err
//		}
//	}
package wait

import (
	"context"
	"time"

	"github.com/counterfoil/counterfoil"
)

// For returns nil when d is over by c, or why ctx ended before that. A d of zero or less is over at once.
func For(ctx context.Context, c counterfoil.Clock, d time.Duration) error {
	over := make(chan struct{})
	stop := c.AfterFunc(d, func() { close(over) })
	defer stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-over:
		return nil
	}
}
