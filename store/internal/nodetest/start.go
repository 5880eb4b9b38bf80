package nodetest

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/sessiontest"
	"github.com/counterfoil/counterfoil/store/internal/sample"
)

// StartAtOnce: nodes that start at once where there is no store yet make one, with one log, in which all
// find each other's sessions.
func StartAtOnce(t *testing.T, open func() (counterfoil.Store, error)) {
	t.Helper()
	const nodes = 6
	ctx, clock := context.Background(), counterfoil.SystemClock()
	now, _ := clock.Now()
	keys, err := keyring.Generate(now, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	together := func(do func(i int) error) {
		t.Helper()
		var starting sync.WaitGroup
		errs := make([]error, nodes)
		for i := range errs {
			starting.Go(func() { errs[i] = do(i) })
		}
		starting.Wait()
		for i, err := range errs {
			if err != nil {
				t.Fatalf("node %d: %v", i, err)
			}
		}
	}
	var stores [nodes]counterfoil.Store
	t.Cleanup(func() {
		for _, s := range stores {
			if s != nil {
				s.Close()
			}
		}
	})
	together(func(i int) (err error) {
		stores[i], err = open()
		return err
	})
	incarnations := map[string]bool{}
	for i, s := range stores {
		if _, err := s.Create(ctx, sample.Session(sample.Subject()), sample.SignIn()); err != nil {
			t.Error(err)
		}
		p, err := s.Log(ctx, 0, 0)
		if err != nil || p.Head != uint64(i+1) {
			t.Errorf("node %d: head %d, %v", i, p.Head, err)
		}
		incarnations[p.Incarnation] = true
	}
	if len(incarnations) != 1 {
		t.Errorf("incarnations %v, want one", incarnations)
	}
	var managers [nodes]*counterfoil.Manager
	t.Cleanup(func() { // before the stores
		for _, m := range managers {
			if m != nil {
				m.Close(ctx)
			}
		}
	})
	together(func(i int) (err error) {
		managers[i], err = counterfoil.New(ctx, counterfoil.Config{Store: stores[i], Keys: keys, Clock: clock, Lease: lease, Logger: slog.New(slog.DiscardHandler)})
		return err
	})
	r := httptest.NewRequest("GET", "/", nil)
	sessiontest.SignIn(t, managers[0], r, counterfoil.Identity{Subject: "alice"})
	for i, m := range managers {
		if _, verdict := m.Check(r); verdict != counterfoil.Valid {
			t.Errorf("node %d: the session of another is %v", i, verdict)
		}
	}
}
