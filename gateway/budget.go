package gateway

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/account"
)

// storeTime bounds what one request to a page that signs in waits for the store, however many calls
// it makes. Passwords being checked, and the visitor's own sending, do not count.
const storeTime = 3 * time.Second

// errStoreTime is why a request's context ends when its budget is spent.
var errStoreTime = errors.New("gateway: the store took too long for one request")

// budget is the rest of storeTime of one request. It is spent while it runs.
type budget struct {
	clock counterfoil.Clock
	end   func() // once it is spent

	mu    sync.Mutex
	left  time.Duration
	since time.Duration // by the monotonic clock: when it began to run
	stop  func() bool   // nil: it does not run
}

type budgetKey struct{}

// withBudget gives r a budget that does not run yet. Call over when r is answered.
func (g *Gateway) withBudget(r *http.Request) (_ *http.Request, over func()) {
	ctx, end := context.WithCancelCause(r.Context())
	b := &budget{clock: g.clock, left: storeTime, end: func() {
		g.log.Error("a sign-in was given up", "why", errStoreTime)
		end(errStoreTime)
	}}
	ctx = account.WhileHashing(context.WithValue(ctx, budgetKey{}, b), func() func() {
		if !b.rest() {
			return func() {}
		}
		return b.run
	})
	return r.WithContext(ctx), func() {
		b.rest()
		end(nil)
	}
}

// spend lets the budget of a request run until rest is called; one that has none waits as long as the
// store's calls may take.
func spend(ctx context.Context) (rest func()) {
	b, ok := ctx.Value(budgetKey{}).(*budget)
	if !ok {
		return func() {}
	}
	b.run()
	return func() { b.rest() }
}

func (b *budget) run() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stop == nil {
		_, b.since = b.clock.Now()
		b.stop = b.clock.AfterFunc(b.left, b.end)
	}
}

// rest reports whether the budget ran.
func (b *budget) rest() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stop == nil {
		return false
	}
	_, now := b.clock.Now()
	b.left -= now - b.since
	b.stop()
	b.stop = nil
	return true
}
