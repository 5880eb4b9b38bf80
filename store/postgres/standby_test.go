package postgres_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store/internal/sample"
	"github.com/counterfoil/counterfoil/store/postgres/postgrestest"
	"github.com/jackc/pgx/v5"
)

// A session ends, and the primary's wait for its standby is broken off: the end is known on the primary
// alone. Asked for once more, by another node, it is as unknown as it was, though nothing is left to do;
// only when the standby has it the end is acknowledged. G1, G2
func TestEndedAlreadyWaitsForTheStandby(t *testing.T) { // R18
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
	nodes := [2]counterfoil.Store{open(t, dsn), open(t, dsn)}
	r := sample.Session(sample.Subject())
	if _, err := nodes[0].Create(ctx, r, sample.SignIn()); err != nil {
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
	if err := first.Set(ctx, map[string]string{"synchronous_standby_names": "standby"}); err != nil {
		t.Fatal(err)
	}
	if err := nodes[0].Touch(ctx, []counterfoil.Touch{{ID: r.ID, Seen: r.Seen, IdleEnd: r.IdleEnd}}); err != nil {
		t.Fatal(err)
	}
	if err := second.Crash(); err != nil {
		t.Fatal(err)
	}

	c, err := pgx.Connect(ctx, first.DSN(""))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	breaking, stop := context.WithCancel(ctx)
	var impatient sync.WaitGroup
	impatient.Go(func() { // as an operator is, again and again
		for breaking.Err() == nil {
			if _, err := c.Exec(ctx, "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"); err != nil {
				t.Error(err)
			}
			time.Sleep(5 * time.Millisecond)
		}
	})
	end := func(s counterfoil.Store) (counterfoil.Revoked, error) {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Minute) // or it hangs
		defer cancel()
		return s.Revoke(ctx, sample.SignOut(r.ID))
	}
	if done, err := end(nodes[0]); err == nil {
		t.Errorf("the first end: %+v; no standby has it", done)
	}
	if _, err := nodes[1].Load(ctx, r.ID); !errors.Is(err, counterfoil.ErrNotFound) {
		t.Errorf("on the primary the session lives: %v; nothing is shown here", err)
	}
	if done, err := end(nodes[1]); err == nil {
		t.Errorf("the second end: %+v; no standby has the first", done)
	}
	stop()
	impatient.Wait()
	if err := second.Recover(); err != nil {
		t.Fatal(err)
	}
	if done, err := end(nodes[1]); err != nil || done.Count != 0 || done.Seq == 0 {
		t.Errorf("with the standby: %+v, %v", done, err)
	}
}
