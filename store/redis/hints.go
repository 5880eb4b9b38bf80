package redis

import (
	"context"

	"github.com/redis/rueidis"

	"github.com/counterfoil/counterfoil"
)

var _ counterfoil.Hinter = (*Store)(nil)

// Hints implements [counterfoil.Hinter] with a subscription. A user that may not use channels gets
// no hints and sends none, and all else works.
func (s *Store) Hints(ctx context.Context, hint, lost func()) (stop func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, plain(err)
	}
	listening, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.client.Receive(listening, s.client.B().Subscribe().Channel(s.keys[0]+"ended").Build(), // whatever ended it
			func(rueidis.PubSubMessage) { hint() })
		if listening.Err() == nil {
			lost()
		}
	}()
	return func() { cancel(); <-done }, nil
}
