package counterfoil_test

import (
	"errors"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/sessiontest"
)

// What a monitor shows is what happened. P3
func TestStats(t *testing.T) {
	fault := error(nil)
	m, clock := sessiontest.New(t, func(c *counterfoil.Config) {
		clock := c.Clock.(*sessiontest.Clock)
		c.Store = sessiontest.Flaky(c.Store, func(method string) error {
			if method == "Load" {
				clock.Advance(20 * time.Millisecond)
				return fault
			}
			return nil
		})
		c.CacheBytes = 1 << 20
	})
	r, _ := signIn(t, m, "alice")
	for range 3 {
		m.Check(r)
	}
	if s := m.Stats(); s.Cache.Hits != 3 || s.Cache.Misses != 0 || s.Cache.Entries != 1 || s.Cache.Bytes < 100 || s.Cache.Bound != 1<<20 {
		t.Errorf("warm: %+v", s.Cache)
	}
	clock.Step(time.Hour) // its time is up: a refusal is asked for
	m.Check(r)
	s := m.Stats()
	if s.Cache.Hits != 3 || s.Cache.Misses != 1 {
		t.Errorf("a refusal: %+v", s.Cache)
	}
	other, _ := signIn(t, m, "bob")
	if _, err := m.Revoke(t.Context(), counterfoil.AllOf("bob"), counterfoil.ReasonRevoked); err != nil {
		t.Fatal(err)
	}
	fault = errors.New("no answer")
	m.Check(other)
	s = m.Stats()
	load, create := s.Store["Load"], s.Store["Create"]
	if load.Took.Count < 2 || load.Errors != 1 || load.Took.Sum != 20*time.Millisecond*time.Duration(load.Took.Count) || create.Took.Count != 2 || create.Errors != 0 {
		t.Errorf("load %+v, create %+v", load, create)
	}
	for i, bound := range counterfoil.DurationBounds() {
		if slow := bound < 20*time.Millisecond; (load.Took.Up[i] == 0) != slow || create.Took.Up[i] != 2 {
			t.Errorf("up to %v: %d of %d loads, %d creates", bound, load.Took.Up[i], load.Took.Count, create.Took.Up[i])
		}
	}
	if _, called := s.Store["Nodes"]; called {
		t.Error("a method is listed that was never called")
	}
	if s.Lag.Count != 0 {
		t.Errorf("nobody shares the store, and ends lag: %+v", s.Lag)
	}
}

// The lag of an end is counted where it comes from another node.
func TestRevocationLag(t *testing.T) { // R9
	p := newPeers(t, lease, lease)
	signIn(t, p.nodes[0], "alice")
	rv, err := p.nodes[0].Revoke(t.Context(), counterfoil.AllOf("alice"), counterfoil.ReasonRevoked)
	if err != nil {
		t.Fatal(err)
	}
	p.clock.Advance(lease)
	p.wait(rv, nil)
	if own := p.nodes[0].Stats().Lag; own.Count != 0 {
		t.Errorf("its own: %+v", own)
	}
	if other := p.nodes[1].Stats().Lag; other.Count != 1 || other.Sum <= 0 || other.Sum > lease/2 {
		t.Errorf("the other's: %+v", other)
	}
}
