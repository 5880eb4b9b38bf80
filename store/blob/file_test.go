package blob_test

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/account"
	"github.com/counterfoil/counterfoil/account/accounttest"
	"github.com/counterfoil/counterfoil/store/blob"
	"github.com/counterfoil/counterfoil/store/internal/sample"
	"github.com/counterfoil/counterfoil/storetest"
)

func open(t testing.TB, dsn string) *blob.Store {
	t.Helper()
	s, err := blob.Open(context.Background(), dsn, blob.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// conforms runs both suites on stores of one kind of storage; fresh returns the DSN of an empty one.
func conforms(t *testing.T, fresh func(t *testing.T) string) {
	stores := map[counterfoil.Store]string{}
	reopen := func(t *testing.T, s counterfoil.Store) *blob.Store {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		again := open(t, stores[s])
		stores[again] = stores[s]
		return again
	}
	begin := func(t *testing.T) *blob.Store {
		dsn := fresh(t)
		s := open(t, dsn)
		stores[s] = dsn
		return s
	}
	// All rests on this: of many who create one object, one does.
	t.Run("create once", func(t *testing.T) {
		dsn := fresh(t)
		open(t, dsn)
		for range 20 {
			if won, theirs, err := blob.CreateOnce(t.Context(), dsn, rand.Text(), 16); won != 1 || !theirs || err != nil {
				t.Fatalf("%d were told that they created the object; it is theirs: %v; %v", won, theirs, err)
			}
		}
	})
	t.Run("two nodes", func(t *testing.T) { twoNodes(t, fresh(t)) })
	t.Run("sessions", func(t *testing.T) {
		storetest.Run(t,
			func(t *testing.T) counterfoil.Store { return begin(t) },
			storetest.Reopen(func(t *testing.T, s counterfoil.Store) counterfoil.Store { return reopen(t, s) }))
	})
	t.Run("accounts", func(t *testing.T) {
		of := map[account.Store]*blob.Store{}
		keep := func(s *blob.Store) account.Store {
			a := s.Accounts()
			of[a] = s
			return a
		}
		accounttest.Run(t, accounttest.Config{
			Open:   func(t *testing.T) account.Store { return keep(begin(t)) },
			Reopen: func(t *testing.T, a account.Store) account.Store { return keep(reopen(t, of[a])) },
		})
	})
}

// P26
func TestFiles(t *testing.T) {
	conforms(t, func(t *testing.T) string { return "file://" + filepath.Join(t.TempDir(), "store") })
}

// Two nodes on one place: of 50 sign-ins at once a limit of 3 leaves exactly 3, both see the same
// ones, and what one ends the other does not find. SD5, S37
func twoNodes(t *testing.T, dsn string) {
	nodes := [2]*blob.Store{open(t, dsn), open(t, dsn)}
	subject := sample.Subject()
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			c := sample.SignIn()
			c.Limit = counterfoil.Limit{Max: 3, Order: counterfoil.EvictOldest, Now: sample.Noon()}
			if _, err := nodes[i%2].Create(t.Context(), sample.Session(subject), c); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	live := map[counterfoil.ID]int{}
	for _, s := range nodes {
		for r, err := range s.List(t.Context(), subject) {
			if err != nil {
				t.Fatal(err)
			}
			live[r.ID]++
		}
	}
	if len(live) != 3 {
		t.Fatalf("%d sessions are live", len(live))
	}
	i := 0
	for id, seen := range live {
		if seen != 2 {
			t.Fatalf("one session is seen by %d of 2 nodes", seen)
		}
		if _, err := nodes[i%2].Revoke(t.Context(), sample.SignOut(id)); err != nil {
			t.Fatal(err)
		}
		if _, err := nodes[(i+1)%2].Load(t.Context(), id); !errors.Is(err, counterfoil.ErrNotFound) {
			t.Errorf("the other node finds an ended session: %v", err)
		}
		i++
	}
}

// A folder that is not there, or another one in its place, as where its file system is no longer
// mounted, says nothing about sessions: what is not found there is unknown, not absent. PD8
func TestFolderAway(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	s := open(t, "file://"+dir)
	r := sample.Session(sample.Subject())
	if _, err := s.Create(t.Context(), r, sample.SignIn()); err != nil {
		t.Fatal(err)
	}
	unknown := func(when string) {
		t.Helper()
		if _, err := s.Load(t.Context(), r.ID); err == nil || errors.Is(err, counterfoil.ErrNotFound) {
			t.Errorf("%s: Load says %v", when, err)
		}
		if _, err := s.Poll(t.Context(), counterfoil.Poll{Node: "n"}); err == nil {
			t.Errorf("%s: a poll proves that there is nothing new", when)
		}
		if _, err := s.Create(t.Context(), sample.Session(sample.Subject()), sample.SignIn()); err == nil {
			t.Errorf("%s: a session was made", when)
		}
	}
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	unknown("gone")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	unknown("another folder")
	if err := errors.Join(os.Remove(dir), os.Rename(dir+".away", dir)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(t.Context(), r.ID); err != nil {
		t.Errorf("back again: %v", err)
	}
}
