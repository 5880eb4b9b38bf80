package counterfoil

import (
	"context"
	"errors"
	"sync"
	"time"
)

// storeTimeout bounds each call of the store.
const storeTimeout = 5 * time.Second

// storeContext is for one call of the store: it keeps ctx's values, and ends when ctx does for any
// other reason than that the client hung up, which breaks off no change half-way: at its deadline,
// say, or when the request has waited for the store long enough.
func (m *Manager) storeContext(ctx context.Context) (context.Context, context.CancelFunc) {
	c := &storeContext{values: ctx}
	return c, c.cancel
}

// storeContext ends storeTimeout after a store first waits for it. One that never does, in memory,
// is spared the timer, which costs as much as what such a store has to do.
type storeContext struct {
	values context.Context

	mu     sync.Mutex
	timed  context.Context // nil: nobody waits
	stop   func()
	called bool // cancel was
}

func (c *storeContext) start() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timed == nil {
		timed, cancel := context.WithTimeout(context.WithoutCancel(c.values), storeTimeout)
		leave := context.AfterFunc(c.values, func() {
			if !errors.Is(context.Cause(c.values), context.Canceled) {
				cancel()
			}
		})
		c.timed, c.stop = timed, func() {
			leave()
			cancel()
		}
		if c.called {
			c.stop()
		}
	}
	return c.timed
}

func (c *storeContext) cancel() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.called = true
	if c.stop != nil {
		c.stop()
	}
}

func (c *storeContext) Deadline() (time.Time, bool) { return c.start().Deadline() }
func (c *storeContext) Done() <-chan struct{}       { return c.start().Done() }

func (c *storeContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.timed != nil:
		return c.timed.Err()
	case c.called:
		return context.Canceled
	}
	return nil
}

// Value asks the started one, in which package context finds itself: so it needs no goroutine for a
// context that a store derives.
func (c *storeContext) Value(key any) any {
	c.mu.Lock()
	from := c.timed
	c.mu.Unlock()
	if from == nil {
		from = c.values
	}
	return from.Value(key)
}
