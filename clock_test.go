package counterfoil_test

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/sessiontest"
	"github.com/counterfoil/counterfoil/store/memory"
)

// The wall clock is set about while a session lives; the server's monotonic time decides (R21).
func TestClockManipulation(t *testing.T) { // P97, SD3, F20
	for _, c := range []struct {
		name  string
		act   func(*sessiontest.Clock)
		alive bool
	}{
		{"an hour back, then 29 minutes pass", func(c *sessiontest.Clock) { c.Step(-time.Hour); c.Advance(29 * time.Minute) }, true},
		{"an hour back, then 31 minutes pass", func(c *sessiontest.Clock) { c.Step(-time.Hour); c.Advance(31 * time.Minute) }, false},
		{"a year back, then nothing", func(c *sessiontest.Clock) { c.Step(-365 * 24 * time.Hour) }, true},
		{"a second forward (leap)", func(c *sessiontest.Clock) { c.Step(time.Second) }, true},
		{"forward over the idle end (suspend)", func(c *sessiontest.Clock) { c.Step(31 * time.Minute) }, false},
		{"forward and back again", func(c *sessiontest.Clock) { c.Step(10 * time.Minute); c.Step(-10 * time.Minute) }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			b := s.browser()
			b.do("POST", "/login/alice")
			c.act(s.clock)
			if got := b.get("/me"); (got == "alice") != c.alive {
				t.Errorf("signed in as %q, want alive: %v", got, c.alive)
			}
			s.clock.Advance(9 * time.Hour)
			if got := b.get("/me"); got != "" {
				t.Errorf("after its absolute end: %q", got)
			}
		})
	}
}

// A clock that jumps forward is believed for refusing, but for an hour nothing is deleted by it.
func TestForwardJumpDeletesNothing(t *testing.T) { // P97
	var store counterfoil.Store
	s := newSite(t, func(c *counterfoil.Config) { store = c.Store })
	b := s.browser()
	b.do("POST", "/login/alice")
	left := func() int {
		recs, err := store.Scan(t.Context(), counterfoil.ID{}, 10)
		if err != nil {
			t.Fatal(err)
		}
		return len(recs)
	}
	s.clock.Step(24 * time.Hour)
	b.wantUser("")
	s.clock.Advance(30 * time.Minute)
	if n := left(); n != 1 {
		t.Errorf("%d records half an hour after the jump, want 1", n)
	}
	if h := s.m.Health(); h.SweepHeld == "" {
		t.Error("health does not say that sweeps are held")
	}
	s.clock.Advance(2 * time.Hour)
	if n := left(); n != 0 {
		t.Errorf("%d records two hours after it, want 0", n)
	}
}

// A start with a clock behind what the store has seen is refused, and there is a way out.
func TestStartWithClockBehind(t *testing.T) {
	store := memory.New(memory.Options{})
	defer store.Close()
	keys, err := keyring.Generate(time.Unix(0, 0), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	start := func(at time.Time) (*counterfoil.Manager, *sessiontest.Clock, error) {
		clock := sessiontest.NewClock(at)
		m, err := counterfoil.New(context.Background(), counterfoil.Config{
			Store: store, Keys: keys, Clock: clock, Logger: slog.New(slog.DiscardHandler),
		})
		return m, clock, err
	}
	m, clock, err := start(begin)
	if err != nil {
		t.Fatal(err)
	}
	b := (&site{t: t, m: m, clock: clock, h: me(m)}).browser()
	r := b.request("GET", "/")
	sessiontest.SignIn(t, m, r, counterfoil.Identity{Subject: "alice"})
	clock.Advance(10 * time.Minute)
	if v, verdict := m.Check(r); verdict != counterfoil.Valid || v.Subject() != "alice" {
		t.Fatal(verdict)
	}
	clock.Advance(2 * time.Second) // the touch is written, and session time with it
	if err := m.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := start(begin.Add(-time.Hour)); !errors.Is(err, counterfoil.ErrClock) {
		t.Fatalf("an hour behind: %v", err)
	}
	if m, _, err := start(begin.Add(9*time.Minute + 30*time.Second)); err != nil {
		t.Errorf("half a minute behind: %v", err)
	} else if err := m.Close(t.Context()); err != nil {
		t.Error(err)
	}
	past := sessiontest.NewClock(begin.Add(-time.Hour))
	if n, err := counterfoil.ResetClock(t.Context(), store, past); err != nil || n != 1 {
		t.Fatalf("reset ended %d, %v", n, err)
	}
	m, _, err = start(begin.Add(-time.Hour))
	if err != nil {
		t.Fatalf("after the reset: %v", err)
	}
	defer m.Close(t.Context())
	if _, verdict := m.Check(r); verdict != counterfoil.Invalid {
		t.Errorf("after the reset the old session is %v", verdict)
	}
}
