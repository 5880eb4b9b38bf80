package counterfoil_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/logtest"
	"github.com/counterfoil/counterfoil/sessiontest"
)

// Whatever a store that does not answer keeps from being done has a line in the log that says what and
// why: at most one a second, and none for a caller who went away. G9, PD8
func TestOutagesAreLogged(t *testing.T) {
	away := errors.New("connection refused")
	var fault error
	var log logtest.Log
	m, clock := sessiontest.New(t, func(c *counterfoil.Config) {
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
		c.CacheBytes = -1 // each check asks
		c.Store = sessiontest.Flaky(c.Store, func(string) error { return fault })
	})
	r, info := signIn(t, m, "alice")
	ctx := t.Context()
	gone, leave := context.WithCancel(ctx)
	leave()
	in := func(do func(*counterfoil.Session) error) func() error {
		return func() (err error) {
			fault = nil
			during(t, m, r, func(s *counterfoil.Session) {
				fault = away
				err = do(s)
			})
			return err
		}
	}
	last := func(one func(*error)) (err error) {
		one(&err)
		return err
	}
	for _, c := range []struct {
		doing string // what the line names; "": there must be none
		do    func() error
	}{
		{"load", func() error {
			if _, verdict := m.Check(r); verdict == counterfoil.Unknown {
				return counterfoil.ErrUnavailable
			}
			return nil
		}},
		{"log", func() error { _, err := m.Mark(ctx); return err }},
		{"list", func() error {
			return last(func(err *error) {
				for _, *err = range m.List(ctx, "alice") {
				}
			})
		}},
		{"scan", func() error {
			return last(func(err *error) {
				for _, *err = range m.All(ctx) {
				}
			})
		}},
		{"load", func() error {
			_, err := m.Revoke(ctx, counterfoil.ByID(info.ID), counterfoil.ReasonRevoked)
			return err
		}},
		{"revoke", func() error {
			_, err := m.Revoke(ctx, counterfoil.AllOf("alice"), counterfoil.ReasonRevoked)
			return err
		}},
		{"load", in(func(s *counterfoil.Session) error { return s.Confirm(ctx) })},
		{"values", in(func(s *counterfoil.Session) error {
			return count.Update(s, func(n int) (int, error) { return n + 1, nil })
		})},
		{"create", in(func(s *counterfoil.Session) error { return s.SignIn(counterfoil.Identity{Subject: "bob"}) })},
		{"", func() error {
			fault = context.Canceled
			return last(func(err *error) {
				for _, *err = range m.List(gone, "alice") {
				}
			})
		}},
	} {
		clock.Advance(2 * time.Second)
		fault = away
		before := len(log.String())
		err := c.do()
		said := log.String()[before:]
		fault = nil
		if !errors.Is(err, counterfoil.ErrUnavailable) || counterfoil.RefusalStatus(err) != http.StatusServiceUnavailable {
			t.Errorf("%s: %v", c.doing, err)
		}
		lines := strings.Count(said, "the session store does not answer")
		if c.doing == "" && lines > 0 || c.doing != "" && (lines != 1 || !strings.Contains(said, "doing="+c.doing+" ") || !strings.Contains(said, away.Error())) {
			t.Errorf("%q says %q", c.doing, said)
		}
	}
}

// On a store whose answers take longer than the lease nobody can be let in by them, and the log says that
// this is why.
func TestAnswersSlowerThanTheLease(t *testing.T) {
	slow := false
	var log logtest.Log
	var step func(time.Duration)
	m, clock := sessiontest.New(t, func(c *counterfoil.Config) {
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
		c.Lease = time.Second
		c.CacheBytes = -1
		c.Store = sessiontest.Flaky(c.Store, func(method string) error {
			if slow && (method == "Load" || method == "Poll") {
				step(time.Second) // of the two ages of a lease one is enough
			}
			return nil
		})
	})
	step = clock.Step
	r, _ := signIn(t, m, "alice")
	clock.Advance(time.Minute)
	slow = true
	if _, verdict := m.Check(r); verdict != counterfoil.Unknown {
		t.Errorf("a check says %v", verdict)
	}
	if said := log.String(); !strings.Contains(said, "longer than the lease") || strings.Contains(said, "changed at every try") {
		t.Errorf("the log says %q", said)
	}
}
