package sqlite_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/counterfoil/counterfoil/store/sqlite"
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
