package gateway_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/gateway"
	"github.com/counterfoil/counterfoil/keyring"
)

// unswept is a store in which nothing can be removed for a while.
type unswept struct {
	counterfoil.Store
	stuck atomic.Bool
}

func (u *unswept) Reap(ctx context.Context, r counterfoil.Reap) (counterfoil.Reaped, error) {
	if u.stuck.Load() {
		return counterfoil.Reaped{}, errors.New("it cannot be written")
	}
	return u.Store.Reap(ctx, r)
}

// P110: each thing without which sign-ins and checks go wrong makes the server unready and is named; when
// it is right again the server is ready.
func TestNotReady(t *testing.T) {
	store := &unswept{}
	var keys *keyring.Ring
	s := newSite(t, func(c *gateway.Config) {
		store.Store, c.Store = c.Store, store
		wall, _ := c.Clock.Now()
		var err error
		keys, _, err = keyring.Resolve(keyring.Options{OwnPath: filepath.Join(t.TempDir(), "data", "keys"), Now: wall})
		must(t, err)
		c.Keys = keys
	})
	expect := func(when string, want ...string) {
		t.Helper()
		status := 200
		if len(want) > 0 {
			status = 503
		}
		var got struct{ Faults map[string]string }
		s.client().get("/readyz").want(t, status).json(t, &got)
		var names []string
		for name := range got.Faults {
			names = append(names, name)
		}
		if !slices.Equal(names, want) {
			t.Errorf("%s: %v, want %v", when, got.Faults, want)
		}
	}
	s.clock.Advance(time.Hour)
	expect("after a sweep")
	store.stuck.Store(true)
	s.clock.Advance(3 * time.Hour)
	expect("nothing removed for three hours", "sweep")
	store.stuck.Store(false)
	s.clock.Advance(time.Hour)
	expect("swept again")
	s.clock.Step(-10 * time.Minute)
	expect("the wall clock goes back", "clock")
	s.clock.Step(10 * time.Minute)
	expect("and forth")
	must(t, keys.Discard())
	expect("the keys are gone", "keys")
}
