package counterfoil_test

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/sessiontest"
	"github.com/counterfoil/counterfoil/store/memory"
)

// slowStore takes so many touches in the time that a call has, as after an outage in which many
// gathered.
type slowStore struct {
	counterfoil.Store
	most   int
	broken atomic.Bool
}

func (s *slowStore) Touch(ctx context.Context, batch []counterfoil.Touch) error {
	if s.broken.Load() {
		return errors.New("no")
	}
	if len(batch) > s.most {
		return context.DeadlineExceeded
	}
	return s.Store.Touch(ctx, batch)
}

// However many touches have gathered, they are written in pieces: all of them in one call would run
// out of time again and again, and sessions in use would end as idle at the next start.
func TestManyTouchesAreWritten(t *testing.T) { // R12
	var store counterfoil.Store
	m, clock := sessiontest.New(t, func(c *counterfoil.Config) {
		store = c.Store
		c.Store = &slowStore{Store: c.Store, most: 1000}
		c.Policy.PerSubject = 5000
	})
	var tokens []string
	var ids []counterfoil.ID
	for range 2500 {
		token, id := tokenOf(t, m, "alice")
		tokens, ids = append(tokens, token), append(ids, id)
	}
	clock.Advance(5 * time.Minute)
	used, _ := clock.Now()
	r := httptest.NewRequest("GET", "/", nil)
	for _, token := range tokens {
		r.Header.Set("Cookie", "__Host-Http-session="+token)
		if _, v := m.Check(r); v != counterfoil.Valid {
			t.Fatal(v)
		}
	}
	clock.Advance(5 * time.Second)
	late := 0
	for _, id := range ids {
		if rec, err := store.Load(t.Context(), id); err != nil {
			t.Fatal(err)
		} else if rec.Seen.Before(used) {
			late++
		}
	}
	if late > 0 {
		t.Errorf("%d of %d touches were not written", late, len(ids))
	}
}

// A node that could not write an old touch does not take it for the truth when others have seen the
// client since: it would end the session of somebody who was never idle.
func TestOldTouchLowersNothing(t *testing.T) { // R12, G5
	clock := sessiontest.NewClock(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC))
	wall, _ := clock.Now()
	keys, err := keyring.Generate(wall, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	store := memory.New(memory.Options{Shared: true})
	cut := &slowStore{Store: store, most: 1000}
	node := func(s counterfoil.Store) *counterfoil.Manager {
		m, err := counterfoil.New(t.Context(), counterfoil.Config{Store: s, Keys: keys, Clock: clock, CacheBytes: -1, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = m.Close(context.Background()) })
		return m
	}
	a, b := node(cut), node(store)
	token, _ := tokenOf(t, a, "alice")
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Cookie", "__Host-Http-session="+token)
	check := func(m *counterfoil.Manager, who string) {
		t.Helper()
		if v, verdict := m.Check(r); verdict != counterfoil.Valid || v.Subject() != "alice" {
			t.Fatalf("%s: %d %q", who, verdict, v.Subject())
		}
	}
	cut.broken.Store(true)
	clock.Advance(time.Minute)
	check(a, "node a, whose touch is not written")
	for range 6 {
		clock.Advance(10 * time.Minute)
		check(b, "node b")
	}
	clock.Advance(time.Minute)
	check(a, "node a, an hour later")
}

// What this node has seen counts here though the store cannot be told of it, also when the record is
// read anew.
func TestG5UnwrittenTouchCounts(t *testing.T) { // R12
	fault := errors.New("read only")
	m, clock := sessiontest.New(t, func(c *counterfoil.Config) {
		c.CacheBytes = -1
		c.Store = sessiontest.Flaky(c.Store, func(method string) error {
			if method == "Touch" || method == "Reap" {
				return fault
			}
			return nil
		})
	})
	defer func() { fault = nil }()
	r, _ := signIn(t, m, "alice")
	for range 6 {
		clock.Advance(10 * time.Minute)
		if _, v := m.Check(r); v != counterfoil.Valid {
			t.Fatalf("used ten minutes ago, it is %v", v)
		}
	}
	clock.Advance(31 * time.Minute)
	if _, v := m.Check(r); v != counterfoil.Invalid {
		t.Errorf("left alone for longer than the idle limit, it is %v", v)
	}
}

// A stop writes the touches that were waiting: nobody who was here a moment ago ends idle by a restart.
func TestCloseWritesTouches(t *testing.T) { // R12
	var store counterfoil.Store
	m, clock := sessiontest.New(t, func(c *counterfoil.Config) { store = c.Store })
	r, info := signIn(t, m, "alice")
	clock.Advance(5 * time.Minute)
	used, _ := clock.Now()
	if _, v := m.Check(r); v != counterfoil.Valid {
		t.Fatal(v)
	}
	for _, when := range []string{"before", "after"} {
		rec, err := store.Load(t.Context(), info.ID)
		if err != nil {
			t.Fatal(err)
		}
		if written := !rec.Seen.Before(used); written != (when == "after") {
			t.Errorf("%s the stop: seen at %v, used at %v", when, rec.Seen, used)
		}
		if err := m.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
