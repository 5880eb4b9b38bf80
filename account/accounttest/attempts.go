package accounttest

import (
	"context"
	"errors"
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
