package sqlite_test

import (
	"context"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/sessiontest"
	"github.com/counterfoil/counterfoil/store/internal/nodetest"
	"github.com/counterfoil/counterfoil/store/internal/sample"
	"github.com/counterfoil/counterfoil/store/sqlite"
)

// Two managers of one process on one file see what the other does, if the store is told of them. G2
func TestTwoManagers(t *testing.T) {
	store, err := sqlite.Open(context.Background(), temp(t), sqlite.Options{Shared: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	clock := sessiontest.NewClock(sample.Noon())
	nodetest.SeeEachOther(t, nodetest.Managers(t, clock, func() counterfoil.Store { return store }), clock)
}
