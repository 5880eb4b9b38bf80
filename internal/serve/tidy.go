package serve

import (
	"context"
	"time"

	"github.com/counterfoil/counterfoil/internal/operate"
	"github.com/counterfoil/counterfoil/internal/wait"
)

const (
	tidyEvery   = 10 * time.Minute
	retireEvery = 6 // times that: once an hour
)

// tidy removes what is left over now and then, until the stop: links and attempts of accounts, and
// keys under which nothing is sealed any more.
func (s *server) tidy(o *operate.Operations) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for round := 1; wait.For(ctx, s.Clock, tidyEvery) == nil; round++ {
			if err := s.installation.Accounts.Tidy(ctx); err != nil && ctx.Err() == nil {
				s.Logger.Warn("old links and attempts were not removed", "error", err)
			}
			if round%retireEvery != 0 {
				continue
			}
			gone, err := o.RetireKeys(ctx)
			if err != nil && ctx.Err() == nil {
				s.Logger.Warn("keys that nothing needs were not removed", "error", err)
			}
			for _, id := range gone {
				s.Logger.Info("a key that nothing needs any more was removed", "key", id.String())
			}
		}
	}()
	s.onStop(func(context.Context) error {
		cancel()
		<-done
		return nil
	})
}
