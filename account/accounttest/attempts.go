package accounttest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/account"
)

const window = time.Minute

// reserve asks for an attempt of which it is known whether it will be granted, and returns the time
// to try again.
func reserve(t *testing.T, s account.Store, key string, now time.Time, max int, want bool) time.Time {
	t.Helper()
	ok, retry, err := s.Attempt(context.Background(), key, now, window, max)
	if err != nil || ok != want {
		t.Fatalf("Attempt %s at +%v: %v, %v; want %v", key, now.Sub(start), ok, err, want)
	}
	return retry
}

func refused(t *testing.T, s account.Store, now, wantRetry time.Time, max int) {
	t.Helper()
	if retry := reserve(t, s, "k", now, max, false); !retry.Equal(wantRetry) {
		t.Errorf("retry at +%v, want +%v", retry.Sub(start), wantRetry.Sub(start))
	}
}

// SD12
var attempts = map[string]func(*testing.T, account.Store){
	"Attempt grants max in a window that slides": func(t *testing.T, s account.Store) {
		for i := range 3 {
			reserve(t, s, "k", start.Add(time.Duration(i)*time.Second), 3, true)
		}
		refused(t, s, start.Add(3*time.Second), start.Add(window), 3)
		refused(t, s, start.Add(window-time.Millisecond), start.Add(window), 3)
		reserve(t, s, "k", start.Add(window), 3, true)
		refused(t, s, start.Add(window), start.Add(window+time.Second), 3)
	},
	"retry is the first moment at which one is granted": func(t *testing.T, s account.Store) {
		for i := range 5 {
			reserve(t, s, "k", start.Add(time.Duration(i)*time.Second), 5, true)
		}
		retry := reserve(t, s, "k", start.Add(10*time.Second), 2, false) // a stricter limit now
		if want := start.Add(window + 3*time.Second); !retry.Equal(want) {
			t.Fatalf("retry at +%v, want +%v", retry.Sub(start), want.Sub(start))
		}
		reserve(t, s, "k", retry.Add(-time.Nanosecond), 2, false)
		reserve(t, s, "k", retry, 2, true)
	},
	"a refused attempt reserves nothing": func(t *testing.T, s account.Store) {
		reserve(t, s, "k", start, 1, true)
		for i := range 10 {
			reserve(t, s, "k", start.Add(time.Duration(i)*time.Second), 1, false)
		}
		reserve(t, s, "k", start.Add(window), 1, true)
	},
	"several at the same moment all count": func(t *testing.T, s account.Store) {
		for range 4 {
			reserve(t, s, "k", start, 4, true)
		}
		refused(t, s, start, start.Add(window), 4)
	},
	"keys are apart": func(t *testing.T, s account.Store) {
		reserve(t, s, "k", start, 1, true)
		reserve(t, s, "K", start, 1, true)
		reserve(t, s, "", start, 1, true)
		reserve(t, s, "k\x00\xff", start, 1, true)
		reserve(t, s, "k", start, 1, false)
	},
	"a clock that was set back forgives nothing": func(t *testing.T, s account.Store) {
		reserve(t, s, "k", start.Add(time.Hour), 1, true)
		reserve(t, s, "k", start, 1, false)
	},
	"Forgive forgets the attempts under its key alone": func(t *testing.T, s account.Store) {
		reserve(t, s, "k", start, 1, true)
		reserve(t, s, "other", start, 1, true)
		if err := s.Forgive(context.Background(), "k", time.Time{}); err != nil {
			t.Fatal(err)
		}
		reserve(t, s, "k", start, 1, true)
		reserve(t, s, "other", start, 1, false)
		if err := s.Forgive(context.Background(), "unknown", time.Time{}); err != nil {
			t.Error(err)
		}
	},
	"Forgive of a moment forgets one attempt of it": func(t *testing.T, s account.Store) {
		reserve(t, s, "k", start, 3, true)
		reserve(t, s, "k", start, 3, true)
		reserve(t, s, "k", start.Add(time.Second), 3, true)
		for _, at := range []time.Time{start, start.Add(time.Minute)} { // then there was none
			if err := s.Forgive(context.Background(), "k", at); err != nil {
				t.Fatal(err)
			}
		}
		reserve(t, s, "k", start.Add(time.Second), 3, true)
		reserve(t, s, "k", start.Add(time.Second), 3, false)
	},
	"Attempts yields those that still count, each once": func(t *testing.T, s account.Store) {
		type one struct {
			key string
			at  time.Duration
		}
		want := map[one]int{}
		for i := range 150 {
			key := fmt.Sprintf("k%d", i%120)
			want[one{key, time.Duration(i)}]++
			reserve(t, s, key, start.Add(time.Duration(i)), 3, true)
		}
		reserve(t, s, "twice", start, 3, true)
		reserve(t, s, "twice", start, 3, true)
		want[one{"twice", 0}] = 2
		reserve(t, s, "forgiven", start, 3, true)
		if err := s.Forgive(context.Background(), "forgiven", time.Time{}); err != nil {
			t.Fatal(err)
		}
		got := map[one]int{}
		for a, err := range s.Attempts(context.Background()) {
			if err != nil {
				t.Fatal(err)
			}
			got[one{a.Key, a.At.Sub(start)}]++
			if a.Ends.Before(a.At.Add(window)) || a.Ends.After(a.At.Add(window+time.Second)) {
				t.Errorf("%s at +%v ends after %v", a.Key, a.At.Sub(start), a.Ends.Sub(a.At))
			}
		}
		if !maps.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		for range s.Attempts(context.Background()) {
			break // is allowed
		}
	},
	"what counts no more does not pile up under a key that is used on and on": func(t *testing.T, s account.Store) {
		for i := range 4 {
			now := start.Add(time.Duration(i) * (window + time.Minute))
			reserve(t, s, "k", now, 3, true)
			reserve(t, s, "k", now.Add(time.Second), 3, true)
			if err := s.Tidy(context.Background(), now.Add(time.Second)); err != nil {
				t.Fatal(err)
			}
			n := 0
			for _, err := range s.Attempts(context.Background()) {
				if err != nil {
					t.Fatal(err)
				}
				n++
			}
			if n != 2 {
				t.Errorf("round %d: %d attempts are kept, 2 of them count", i, n)
			}
		}
	},
	"Tidy keeps what still counts": func(t *testing.T, s account.Store) {
		ctx := context.Background()
		reserve(t, s, "old", start, 1, true)
		reserve(t, s, "k", start.Add(time.Second), 1, true)
		dead, live := account.Link{Hash: [32]byte{1}, Subject: "a", Expires: start}, account.Link{Hash: [32]byte{2}, Subject: "b", Expires: start.Add(2 * window)}
		for _, l := range []account.Link{dead, live} {
			if err := s.PutLink(ctx, l); err != nil {
				t.Fatal(err)
			}
		}
		now := start.Add(window)
		if err := s.Tidy(ctx, now); err != nil {
			t.Fatal(err)
		}
		reserve(t, s, "old", now, 1, true)
		reserve(t, s, "k", now, 1, false)
		if _, err := s.TakeLink(ctx, dead.Hash, start.Add(-time.Second)); !errors.Is(err, account.ErrNotFound) {
			t.Errorf("the expired link is still there: %v", err)
		}
		if _, err := s.TakeLink(ctx, live.Hash, now); err != nil {
			t.Errorf("the live link is gone: %v", err)
		}
	},
}
