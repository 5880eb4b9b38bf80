package cluster_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
)

// Connections that stand and say nothing: no call outlasts its caller's patience, none says anything
// about sessions, and with the first connections that work again the store goes on, however many
// dead ones it held. PD8
func TestHalfOpenConnections(t *testing.T) {
	t.Parallel()
	onEveryServer(t, func(t *testing.T, on *backend) {
		way := newProxy(t, on.socket())
		store, err := on.open(on.dsn(way.address()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { store.Close() })
		ask := func(patience time.Duration) (time.Duration, error) {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			start := time.Now()
			_, err := store.Load(ctx, counterfoil.ID{1})
			return time.Since(start), err
		}
		many := func(patience time.Duration) { // as many at once as there may be connections
			var asking sync.WaitGroup
			for range 16 {
				asking.Go(func() {
					if took, err := ask(patience); errors.Is(err, counterfoil.ErrNotFound) != (way.state() == pass) || took > patience+2*time.Second {
						t.Errorf("%v: Load says %v after %v", way.state(), err, took)
					}
				})
			}
			asking.Wait()
		}
		many(patience)
		for range 2 {
			way.set(swallow)
			many(time.Second)
			way.set(pass)
			start := time.Now()
			for tries := 0; ; tries++ {
				_, err := ask(time.Second)
				if errors.Is(err, counterfoil.ErrNotFound) {
					break
				}
				if time.Since(start) > 2*back {
					t.Fatalf("%v after the way is free, Load says %v", time.Since(start), err)
				}
			}
			t.Logf("went on %v after the way was free", time.Since(start))
			many(patience)
		}
	})
}
