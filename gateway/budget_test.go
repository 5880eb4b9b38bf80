package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/account"
	"github.com/counterfoil/counterfoil/account/memaccount"
	"github.com/counterfoil/counterfoil/gateway"
	"github.com/counterfoil/counterfoil/sessiontest"
)

// tardy takes a while for each call, and hangs in one of them until it is given up.
type tardy struct {
	clock *sessiontest.Clock
	each  time.Duration

	mu    sync.Mutex
	on    bool
	calls int
	hangs int // in which call; 0: in none
	took  time.Duration
	late  bool // a call was not given up
}

const patience = 3 * time.Second // what one sign-in may wait for the store

func (s *tardy) call(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.on {
		return nil
	}
	s.calls++
	takes := s.each
	if s.calls == s.hangs {
		takes = patience
	}
	s.took += takes
	s.clock.Advance(takes)
	if s.took < patience {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(5 * time.Minute):
		s.late = true
		return errors.New("nobody gave up")
	}
}

type tardySessions struct {
	counterfoil.Store
	*tardy
}

func (s tardySessions) Log(ctx context.Context, since uint64, max int) (counterfoil.Page, error) {
	if err := s.call(ctx); err != nil {
		return counterfoil.Page{}, err
	}
	return s.Store.Log(ctx, since, max)
}

func (s tardySessions) Load(ctx context.Context, id counterfoil.ID) (*counterfoil.Record, error) {
	if err := s.call(ctx); err != nil {
		return nil, err
	}
	return s.Store.Load(ctx, id)
}

func (s tardySessions) Create(ctx context.Context, r *counterfoil.Record, c counterfoil.Creation) (counterfoil.Created, error) {
	if err := s.call(ctx); err != nil {
		return counterfoil.Created{}, err
	}
	return s.Store.Create(ctx, r, c)
}

type tardyAccounts struct {
	account.Store
	*tardy
}

func (s tardyAccounts) Attempt(ctx context.Context, key string, now time.Time, window time.Duration, max int) (bool, time.Time, error) {
	if err := s.call(ctx); err != nil {
		return false, time.Time{}, err
	}
	return s.Store.Attempt(ctx, key, now, window, max)
}

func (s tardyAccounts) Get(ctx context.Context, name string) (*account.Account, error) {
	if err := s.call(ctx); err != nil {
		return nil, err
	}
	return s.Store.Get(ctx, name)
}

func (s tardyAccounts) Forgive(ctx context.Context, key string, at time.Time) error {
	if err := s.call(ctx); err != nil {
		return err
	}
	return s.Store.Forgive(ctx, key, at)
}

// A sign-in waits for the store three seconds in all and then says that nobody knows, whichever of its
// calls hangs, also where each call is slow and none hangs. G9
func TestSignInGivesUp(t *testing.T) {
	signIn := func(t *testing.T, each time.Duration, hangs int) (status int, store *tardy) {
		t.Helper()
		store = &tardy{each: each, hangs: hangs}
		var accounts *account.Service
		s := newSite(t, func(c *gateway.Config) {
			store.clock = c.Clock.(*sessiontest.Clock)
			hasher, err := account.NewHasher(account.Params{Memory: 64, Passes: 1, Threads: 1}, 1)
			must(t, err)
			accounts, err = account.NewService(account.Config{Store: tardyAccounts{memaccount.New(), store}, Clock: c.Clock, Hasher: hasher})
			must(t, err)
			c.Accounts, c.Store = accounts, tardySessions{c.Store, store}
		})
		_, err := accounts.Add(t.Context(), alice, alicePassword, true)
		must(t, err)
		b := s.browser()
		store.mu.Lock()
		store.on = true
		store.mu.Unlock()
		a := b.post("/auth/login", "username", alice, "password", alicePassword)
		if a.StatusCode == 503 && (a.Header.Get("Retry-After") == "" || len(a.Header["Set-Cookie"]) > 0) {
			t.Errorf("%v", a.Header)
		}
		if said := strings.Contains(s.logs.String(), "the store took too long"); said != (a.StatusCode == 503) {
			t.Errorf("the log of a sign-in that was answered with %d: %s", a.StatusCode, s.logs)
		}
		store.mu.Lock()
		defer store.mu.Unlock()
		store.on = false
		return a.StatusCode, store
	}
	status, store := signIn(t, 100*time.Millisecond, 0)
	if status != 303 || store.calls < 8 {
		t.Fatalf("a sign-in in time answers %d after %d calls of the store", status, store.calls)
	}
	for hangs := range store.calls {
		t.Run(fmt.Sprintf("call %d hangs", hangs+1), func(t *testing.T) {
			if status, store := signIn(t, 10*time.Millisecond, hangs+1); status != 503 || store.late || store.took >= patience+time.Second {
				t.Errorf("%d after %v", status, store.took)
			}
		})
	}
	t.Run("each is slow", func(t *testing.T) {
		// Those that give back the attempt run at once; here they add up.
		if status, store := signIn(t, 700*time.Millisecond, 0); status != 503 || store.late || store.took >= 3*patience {
			t.Errorf("%d after %v", status, store.took)
		}
	})
}
