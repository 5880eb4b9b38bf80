package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/account"
	"github.com/counterfoil/counterfoil/sessiontest"
)

// A budget is spent while the store is waited for: not before that, not while a password is worked
// on, and not afterwards.
func TestBudgetRests(t *testing.T) {
	clock := sessiontest.NewClock(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC))
	hasher, err := account.NewHasher(account.Params{Memory: 64, Passes: 1, Threads: 1}, 1)
	if err != nil {
		t.Fatal(err)
	}
	g := &Gateway{clock: clock, log: slog.New(slog.DiscardHandler)}
	r, over := g.withBudget(httptest.NewRequest("POST", "/", nil))
	defer over()
	ctx := r.Context()
	b := ctx.Value(budgetKey{}).(*budget)
	hash := func() {
		t.Helper()
		if _, err := hasher.Hash(ctx, "password"); err != nil {
			t.Fatal(err)
		}
	}
	clock.Advance(time.Hour) // the visitor sends his form
	hash()
	clock.Advance(time.Hour)
	rest := spend(ctx)
	clock.Advance(storeTime / 2)
	b.rest() // as a password would
	clock.Advance(time.Hour)
	b.run()
	clock.Advance(storeTime/2 - time.Millisecond)
	hash()
	if err := ctx.Err(); err != nil {
		t.Fatalf("%v is left, and %v", b.left, err)
	}
	rest()
	clock.Advance(time.Hour)
	if err := ctx.Err(); err != nil {
		t.Fatalf("it rests, and %v", err)
	}
	spend(ctx)
	clock.Advance(time.Millisecond)
	if cause := context.Cause(ctx); !errors.Is(cause, errStoreTime) {
		t.Errorf("it is spent, and the context's cause is %v", cause)
	}
	spend(context.Background())() // has none
}
