package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/programtest"
)

// Connections that stand and say nothing: no call outlasts its caller's patience, none says anything
// about sessions, and as soon as there are connections that work again the store goes on for all
// callers, however many dead ones it held. PD8
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
		many := func(patience time.Duration) (slowest time.Duration, wrong []string) { // as many at once as there may be connections
			var asking sync.WaitGroup
			var mu sync.Mutex
			for range 16 {
				asking.Go(func() {
					took, err := ask(patience)
					mu.Lock()
					defer mu.Unlock()
					if slowest = max(slowest, took); errors.Is(err, counterfoil.ErrNotFound) != (way.state() == pass) {
						wrong = append(wrong, fmt.Sprintf("%v: Load says %v after %v", way.state(), err, took))
					}
				})
			}
			asking.Wait()
			return slowest, wrong
		}
		works := func() time.Duration {
			t.Helper()
			start := time.Now()
			for each := time.Second; ; each += time.Second / 4 { // which may be too short for so many connections at first
				_, wrong := many(each)
				switch took := time.Since(start); {
				case wrong == nil:
					return took
				case took > patience:
					t.Fatalf("%v after the way is free: %v", took, wrong)
				}
			}
		}
		works()
		for range 2 {
			programtest.InTime(t, 2*back, func() time.Duration {
				way.set(swallow)
				programtest.InTime(t, 6*time.Second, func() time.Duration {
					slowest, wrong := many(time.Second)
					if wrong != nil {
						t.Error(wrong)
					}
					return slowest
				})
				way.set(pass)
				took := works()
				t.Logf("went on %v after the way was free", took)
				return took
			})
		}
	})
}
