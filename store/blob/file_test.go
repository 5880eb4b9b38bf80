package blob_test

import (
	"context"
	"crypto/rand"
	"path/filepath"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/account"
	"github.com/counterfoil/counterfoil/account/accounttest"
	"github.com/counterfoil/counterfoil/store/blob"
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
