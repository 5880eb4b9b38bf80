package counterfoil

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

type colour struct{}

// A client that hangs up breaks nothing off; a store that hangs is given up in time.
func TestStoreContext(t *testing.T) {
	m := new(Manager)
	client, hangUp := context.WithCancel(context.WithValue(t.Context(), colour{}, "red"))
	hangUp()

	t.Run("a store that waits for nothing", func(t *testing.T) {
		ctx, cancel := m.storeContext(client)
		if err, red := ctx.Err(), ctx.Value(colour{}); err != nil || red != "red" {
			t.Errorf("%v, %v", err, red)
		}
		cancel()
		if err := ctx.Err(); !errors.Is(err, context.Canceled) {
			t.Errorf("after the call: %v", err)
		}
		<-ctx.Done()
	})
	t.Run("a store that waits", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := m.storeContext(client)
			defer cancel()
			if end, ok := ctx.Deadline(); !ok || time.Until(end) != storeTimeout {
				t.Errorf("it ends %v", end)
			}
			child, stop := context.WithCancel(ctx)
			defer stop()
			if red := child.Value(colour{}); red != "red" {
				t.Errorf("%v", red)
			}
			<-child.Done()
			if err := ctx.Err(); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(child.Err(), context.DeadlineExceeded) {
				t.Errorf("%v, %v", err, child.Err())
			}
		})
	})
	t.Run("a request that has waited long enough", func(t *testing.T) {
		enough := errors.New("enough")
		for name, end := range map[string]func(context.Context) (context.Context, func()){
			"deadline": func(ctx context.Context) (context.Context, func()) {
				ctx, cancel := context.WithTimeout(ctx, time.Millisecond)
				t.Cleanup(cancel)
				return ctx, func() { <-ctx.Done() }
			},
			"cause": func(ctx context.Context) (context.Context, func()) {
				ctx, cancel := context.WithCancelCause(ctx)
				return ctx, func() { cancel(enough) }
			},
		} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					request, over := end(context.Background())
					for _, before := range []bool{true, false} { // whether the store waits already
						ctx, cancel := m.storeContext(request)
						defer cancel()
						if before {
							ctx.Done()
							over()
						}
						synctest.Wait()
						<-ctx.Done()
						if err := ctx.Err(); !errors.Is(err, context.Canceled) {
							t.Errorf("%v", err)
						}
					}
				})
			})
		}
	})
	t.Run("a call that is over", func(t *testing.T) {
		ctx, cancel := m.storeContext(client)
		done := ctx.Done()
		if ctx.Err() != nil {
			t.Error(ctx.Err())
		}
		cancel()
		<-done
		if err := ctx.Err(); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	t.Run("derived contexts take no goroutines", func(t *testing.T) {
		ctx, cancel := m.storeContext(client)
		defer cancel()
		before := runtime.NumGoroutine()
		const n = 100
		for range n {
			_, stop := context.WithCancel(ctx)
			defer stop()
		}
		if more := runtime.NumGoroutine() - before; more >= n {
			t.Errorf("%d goroutines", more)
		}
	})
}
