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
)

// hinting is a store whose hints the test gives.
type hinting struct {
	*link
	hint, lost func() // nil: nobody listens
	asked      int
	fault      error
}

func (h *hinting) Hints(_ context.Context, hint, lost func()) (func(), error) {
	h.asked++
	if h.fault != nil {
		return nil, h.fault
	}
	h.hint, h.lost = hint, lost
	return func() { h.hint, h.lost = nil, nil }, nil
}

// A hint makes a node poll at once; many make one poll, and none makes a lease.
func TestHintsOnlySpeedUp(t *testing.T) { // R9, R10, R17
	p := newPeers(t, lease)
	keys, err := keyring.Generate(time.Unix(0, 0), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	h := &hinting{link: &link{Store: p.store}}
	m, err := counterfoil.New(t.Context(), counterfoil.Config{Store: h, Keys: keys, Clock: p.clock, Lease: lease, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	p.clock.Advance(time.Millisecond)
	if h.hint == nil {
		t.Fatal("it does not listen")
	}
	before := len(h.polls)
	for range 100 {
		h.hint()
	}
	p.clock.Advance(lease / 50)
	if n := len(h.polls) - before; n != 1 {
		t.Errorf("%d polls for a hundred hints", n)
	}
	h.cut = true
	for range 30 { // longer than a lease
		h.hint()
		p.clock.Advance(lease / 20)
	}
	if m.Health().LeaseFresh {
		t.Error("hints renew the lease")
	}
	h.cut = false

	h.fault = errors.New("no channel")
	h.lost()
	asked := h.asked
	p.clock.Advance(3 * lease)
	if n := h.asked - asked; n < 2 || n > 4 {
		t.Errorf("it asked %d times in three leases to listen again", n)
	}
	if !m.Health().LeaseFresh {
		t.Error("without hints it has no lease")
	}
	h.fault = nil
	p.clock.Advance(lease)
	if h.hint == nil {
		t.Error("it does not listen again")
	}
	if err := m.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if h.hint != nil {
		t.Error("it listens after Close")
	}
}
