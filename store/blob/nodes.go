package blob

import (
	"context"

	"github.com/counterfoil/counterfoil"
)

// Poll implements [counterfoil.Store]. It writes only what is new: that the node has come, or how
// far it has read. An idle node's poll is one read.
func (s *Store) Poll(ctx context.Context, p counterfoil.Poll) (counterfoil.Page, error) {
	return s.page(ctx, p.Since, p.Max, func(t *tx) error {
		n, known := t.s.nodes[p.Node]
		if n.fenced {
			return counterfoil.ErrFenced
		}
		if !known || p.Acked > n.acked {
			n.acked = max(n.acked, p.Acked)
			n.beat++
			t.set(kindNode, []byte(p.Node), n.encode())
		}
		return nil
	})
}

// Fence makes every further Poll of a node fail with [counterfoil.ErrFenced], so that its lease runs
// out.
func (s *Store) Fence(ctx context.Context, name string) error {
	_, err := ask(ctx, s, func(t *tx) (none, error) {
		if n := t.s.nodes[name]; !n.fenced {
			n.fenced = true
			t.set(kindNode, []byte(name), n.encode())
		}
		return none{}, nil
	})
	return err
}
