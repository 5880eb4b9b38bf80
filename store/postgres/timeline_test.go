package postgres_test

import (
	"context"
	"errors"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store/internal/sample"
	"github.com/counterfoil/counterfoil/store/postgres"
	"github.com/counterfoil/counterfoil/store/postgres/postgrestest"
)

// A primary that was cut off goes on answering, with the past. Once a store has spoken with the server
// that took over, it is not believed any more, though connections to both are in the pool. PD8
func TestFormerPrimaryIsNotBelieved(t *testing.T) { // R16, R18
	ctx := context.Background()
	first, err := postgrestest.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := first.Stop(); err != nil {
			t.Error(err)
		}
	}()
	dsn, err := first.Empty(ctx)
	if err != nil {
		t.Fatal(err)
	}
	second, err := first.Standby(filepath.Dir(first.Socket()), "5432")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := second.Stop(); err != nil {
			t.Error(err)
		}
	}()
	here, there := filepath.Dir(first.Socket()), filepath.Dir(second.Socket())
	leadTo := func(hosts string) string {
		return strings.Replace(dsn, url.QueryEscape(here), url.QueryEscape(hosts), 1)
	}
	s := open(t, leadTo(there+","+here))
	r := sample.Session(sample.Subject())
	if _, err := s.Create(ctx, r, sample.SignIn()); err != nil { // the standby takes no writes: this is on the first
		t.Fatal(err)
	}
	if err := first.Set(ctx, map[string]string{"synchronous_standby_names": "standby"}); err != nil { // has it all from now on
		t.Fatal(err)
	}
	if err := s.Touch(ctx, []counterfoil.Touch{{ID: r.ID, Seen: r.Seen, IdleEnd: r.IdleEnd}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Poll(ctx, counterfoil.Poll{Node: "a", Max: 1}); err != nil {
		t.Fatal(err)
	}
	if err := second.Promote(); err != nil {
		t.Fatal(err)
	}
	other := open(t, leadTo(there))
	if done, err := other.Revoke(ctx, sample.SignOut(r.ID)); err != nil || done.Count != 1 {
		t.Fatalf("the end on the second: %+v, %v", done, err)
	}
	if _, err := s.Load(ctx, r.ID); err != nil {
		t.Fatalf("a store that has not spoken with the second: %v; it shows nothing else here", err)
	}
	var met atomic.Bool // it has spoken with the second
	for !met.Load() {
		var wg sync.WaitGroup
		for range 12 { // more at once than there are connections, mostly: new ones lead to the second
			wg.Go(func() {
				if p, err := s.Log(ctx, 0, 1); p.Head > r.Born || errors.Is(err, postgres.ErrFormer) {
					met.Store(true)
				}
			})
		}
		wg.Wait()
	}
	for range 20 {
		if _, err := s.Load(ctx, r.ID); !errors.Is(err, counterfoil.ErrNotFound) && !errors.Is(err, postgres.ErrFormer) {
			t.Fatalf("after that, a session that has ended: %v", err)
		}
	}
	if _, err := s.Load(ctx, r.ID); !errors.Is(err, counterfoil.ErrNotFound) {
		t.Errorf("at last: %v", err)
	}
}
