package postgres_test

import (
	"context"
	"errors"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/sessiontest"
	"github.com/counterfoil/counterfoil/store/internal/nodetest"
)

// Two nodes on one database see what the other does. G2
func TestTwoManagers(t *testing.T) {
	dsn := empty(t)
	now, _ := counterfoil.SystemClock().Now() // about what the server's shows
	clock := sessiontest.NewClock(now)
	nodetest.SeeEachOther(t, nodetest.Managers(t, clock, func() counterfoil.Store { return open(t, dsn) }), clock)
}

// A revocation is in force as soon as the other node has acknowledged it, and a node that left is not
// waited for. R17, G2
func TestWaitForTheOtherNode(t *testing.T) {
	dsn := empty(t)
	nodetest.Wait(t, nodetest.Managers(t, counterfoil.SystemClock(), func() counterfoil.Store { return open(t, dsn) }))
}

// A node hears of an end as soon as it is there, whichever way it came about, and is told when it can
// hear no more. R9
func TestHints(t *testing.T) {
	dsn := empty(t)
	nodetest.Hints(t, open(t, dsn), open(t, dsn), func() {}, func() {
		if err := errors.Join(server.Crash(), server.Recover()); err != nil {
			t.Fatal(err)
		}
	})
}

// Whoever stops listening hears nothing more, and says nothing of having lost the connection.
func TestHintsStop(t *testing.T) {
	s := open(t, empty(t))
	stop, err := s.Hints(context.Background(), func() {}, func() { t.Error("lost") })
	if err != nil {
		t.Fatal(err)
	}
	stop()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
