package blob_test

import (
	"errors"
	"maps"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/store/internal/killtest"
)

// P28, P67, C1: two processes work on one folder and are killed at any moment, again and again. What
// they had acknowledged is there, and their journal is one.
func TestKill(t *testing.T) {
	rounds := 12
	if os.Getenv("COUNTERFOIL_SOAK") != "" {
		rounds = 300
	}
	dsn := "file://" + filepath.Join(t.TempDir(), "store")
	all := killtest.Acknowledged{Live: make(map[string]bool), Ended: make(map[string]bool)}
	for range rounds {
		var wg sync.WaitGroup
		var said [2]killtest.Acknowledged
		var errs [2]error
		for i := range said {
			wg.Go(func() {
				said[i], errs[i] = killtest.Run(dsn, mathrand.IntN(24), time.Duration(mathrand.IntN(60))*time.Millisecond)
			})
		}
		wg.Wait()
		if err := errors.Join(errs[:]...); err != nil {
			t.Fatal(err)
		}
		for _, one := range said {
			maps.Copy(all.Live, one.Live)
			maps.Copy(all.Ended, one.Ended)
		}
		s := open(t, dsn)
		all.Check(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(all.Live) == 0 || len(all.Ended) == 0 {
		t.Fatal("the children never got to do anything")
	}
	all.CheckLog(t, open(t, dsn))
	t.Logf("%d rounds, %d live, %d ended", rounds, len(all.Live), len(all.Ended))
}
