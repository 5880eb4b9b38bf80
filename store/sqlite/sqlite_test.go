package sqlite_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store/sqlite"
	"github.com/counterfoil/counterfoil/storetest"
)

func temp(t testing.TB) string { return filepath.Join(t.TempDir(), "sessions.db") }

func open(t testing.TB, path string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(context.Background(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// P3, P26, P35, T22
func TestStore(t *testing.T) {
	paths := make(map[counterfoil.Store]string)
	openAt := func(t *testing.T, path string) counterfoil.Store {
		s := open(t, path)
		paths[s] = path
		return s
	}
	storetest.Run(t,
		func(t *testing.T) counterfoil.Store { return openAt(t, temp(t)) },
		storetest.Reopen(func(t *testing.T, s counterfoil.Store) counterfoil.Store {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			return openAt(t, paths[s])
		}))
}
