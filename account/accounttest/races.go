package accounttest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/account"
)

// many runs do in 50 goroutines that start together.
func many(do func(i int)) {
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for i := range 50 {
		wg.Go(func() {
			<-begin
			do(i)
		})
	}
	close(begin)
	wg.Wait()
}

var races = map[string]func(*testing.T, account.Store){
	"of many that take a link exactly one gets it": func(t *testing.T, s account.Store) {
		for round := range 10 {
			l := account.Link{Hash: [32]byte{byte(round)}, Purpose: "set-up", Expires: start.Add(time.Minute)}
			put(t, s, l)
			var got atomic.Int32
			many(func(int) {
				switch _, err := s.TakeLink(context.Background(), l.Hash, start); {
				case err == nil:
					got.Add(1)
				case !errors.Is(err, account.ErrNotFound):
					t.Errorf("TakeLink: %v", err)
				}
			})
			if got.Load() != 1 {
				t.Fatalf("%d took the link", got.Load())
			}
		}
	},
	"however many run at once no more than max attempts are granted": func(t *testing.T, s account.Store) { // SD12
		for round := range 10 {
			var granted atomic.Int32
			many(func(int) {
				ok, _, err := s.Attempt(context.Background(), fmt.Sprint(round), start, window, 7)
				if err != nil {
					t.Errorf("Attempt: %v", err)
				}
				if ok {
					granted.Add(1)
				}
			})
			if granted.Load() != 7 {
				t.Fatalf("%d granted, want 7", granted.Load())
			}
		}
	},
	"of many first accounts one comes into being": func(t *testing.T, s account.Store) {
		var added atomic.Int32
		many(func(i int) {
			switch err := s.Add(context.Background(), someone(fmt.Sprintf("user%d", i)), true); {
			case err == nil:
				added.Add(1)
			case !errors.Is(err, account.ErrNotFirst):
				t.Errorf("Add: %v", err)
			}
		})
		if added.Load() != 1 {
			t.Errorf("%d accounts were the first", added.Load())
		}
	},
	"of many that add one name one does": func(t *testing.T, s account.Store) {
		var added atomic.Int32
		many(func(int) {
			switch err := s.Add(context.Background(), someone("alice"), false); {
			case err == nil:
				added.Add(1)
			case !errors.Is(err, account.ErrExists):
				t.Errorf("Add: %v", err)
			}
		})
		if added.Load() != 1 {
			t.Errorf("%d added the name", added.Load())
		}
	},
	"no update is lost": func(t *testing.T, s account.Store) {
		add(t, s, "alice")
		many(func(int) {
			for {
				a, err := s.Get(context.Background(), "alice")
				if err != nil {
					t.Errorf("Get: %v", err)
					return
				}
				a.Epoch++
				switch err := s.Update(context.Background(), a); {
				case err == nil:
					return
				case !errors.Is(err, account.ErrConflict):
					t.Errorf("Update: %v", err)
					return
				}
			}
		})
		if a := get(t, s, "alice"); a.Epoch != 51 || a.Revision != 51 {
			t.Errorf("epoch %d, revision %d after 50 updates", a.Epoch, a.Revision)
		}
	},
}
