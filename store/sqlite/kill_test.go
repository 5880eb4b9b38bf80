package sqlite_test

import (
	"context"
	"maps"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store/internal/killtest"
	"github.com/counterfoil/counterfoil/store/sqlite"
)

func TestMain(m *testing.M) {
	killtest.Child(func(path string) (counterfoil.Store, error) {
		return sqlite.Open(context.Background(), path, sqlite.Options{})
	})
	os.Exit(m.Run())
}

// P28, P67, C1, CD16: what was acknowledged before kill -9 is there after it, again and again, and
// the file is whole.
func TestKill(t *testing.T) {
	rounds := 20
	if os.Getenv("COUNTERFOIL_SOAK") != "" {
		rounds = 400
	}
	path := temp(t)
	all := killtest.Acknowledged{Live: make(map[string]bool), Ended: make(map[string]bool)}
	for range rounds {
		said, err := killtest.Run(path, rand.IntN(24), time.Duration(rand.IntN(40))*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		s := open(t, path)
		said.Check(t, s)
		if err := s.Check(context.Background()); err != nil {
			t.Fatal(err)
		}
		maps.Copy(all.Live, said.Live)
		maps.Copy(all.Ended, said.Ended)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(all.Live) == 0 || len(all.Ended) == 0 {
		t.Fatal("the child never got to do anything")
	}
	s := open(t, path)
	all.Check(t, s) // later rounds hurt nothing of the earlier ones
	all.CheckLog(t, s)
	t.Logf("%d rounds, %d live, %d ended", rounds, len(all.Live), len(all.Ended))
}
