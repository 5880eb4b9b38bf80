package counterfoil_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/sessiontest"
)

// polling is a store whose polls wait, one by one, until they are let go, and then fail or not.
type polling struct {
	counterfoil.Store
	on    atomic.Bool
	sent  atomic.Int32
	goOn  chan error
	limit atomic.Int64 // how long the last poll was ready to wait
}

func (s *polling) Poll(ctx context.Context, p counterfoil.Poll) (counterfoil.Page, error) {
	if !s.on.Load() {
		return s.Store.Poll(ctx, p)
	}
	s.sent.Add(1)
	if end, ok := ctx.Deadline(); ok {
		s.limit.Store(int64(time.Until(end)))
	}
	if err := <-s.goOn; err != nil {
		return counterfoil.Page{}, err
	}
	return s.Store.Poll(ctx, p)
}

// Requests that meet a stale lease share one poll that is sent after they came: a store that does not
// answer is asked twice, not once for each of them, and all are told at once. G9, R17
func TestWaitersShareOnePoll(t *testing.T) {
	for name, c := range map[string]struct {
		first, second error
		polls         int32
		want          counterfoil.Verdict
	}{
		"the first is answered":     {nil, nil, 1, counterfoil.Valid},
		"the second is answered":    {errors.New("cut off"), nil, 2, counterfoil.Valid},
		"neither of them is":        {errors.New("cut off"), errors.New("cut off"), 2, counterfoil.Unknown},
		"the second is not needed ": {nil, errors.New("cut off"), 1, counterfoil.Valid},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &polling{goOn: make(chan error)}
				clock := &slowClock{}
				m, _ := sessiontest.New(t, func(cfg *counterfoil.Config) { store.Store, cfg.Store, cfg.Clock = cfg.Store, store, clock })
				r, _ := signIn(t, m, "alice")
				clock.passed = 10 * time.Second
				store.on.Store(true)
				var waiting sync.WaitGroup
				got := make([]counterfoil.Verdict, 50)
				ask := func(i int) { waiting.Go(func() { _, got[i] = m.Check(r.Clone(context.Background())) }) }
				ask(0)
				synctest.Wait()
				for i := range got[1:] {
					ask(i + 1)
				}
				synctest.Wait()
				for store.goOn <- c.first; ; {
					synctest.Wait()
					select {
					case store.goOn <- c.second:
						continue
					default:
					}
					break
				}
				waiting.Wait()
				if n := store.sent.Load(); n != c.polls {
					t.Errorf("%d polls, want %d", n, c.polls)
				}
				for i, v := range got {
					if i == 0 && c.first != nil {
						continue // the one that sent the first
					}
					if v != c.want {
						t.Fatalf("request %d: %v, want %v", i, v, c.want)
					}
				}
				if limit := time.Duration(store.limit.Load()); limit > 5*time.Second/3 {
					t.Errorf("a poll waits %v, longer than until the next is due", limit)
				}
				store.on.Store(false)
			})
		})
	}
}
