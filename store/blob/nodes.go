package blob

import (
	"context"
	"errors"
	"sync"

	"github.com/counterfoil/counterfoil"
)

// node is what the journal says of one that polls. What needs no writing, that it polled once more
// and found nothing to act on, the store that it polls through adds from memory: other nodes see the
// beat and the position rise later, never wrongly.
type node struct {
	beat, acked uint64 // of a fenced one: acked is the head when it was fenced
	fenced      bool
}

func (n node) encode() []byte {
	var e encoder
	e.number(n.beat)
	e.number(n.acked)
	if n.fenced {
		e.number(1)
	} else {
		e.number(0)
	}
	return e.b
}

func decodeNode(b []byte) (node, error) {
	d := decoder{rest: b}
	n := node{beat: d.number(), acked: d.number(), fenced: d.small(1) == 1}
	return n, d.over("a node")
}

// own are the nodes that poll through this store: one, but for tests.
type own struct {
	mu sync.Mutex
	m  map[string]node
}

// with returns what is known of a node, here and in the journal.
func (o *own) with(name string, n node) node {
	o.mu.Lock()
	defer o.mu.Unlock()
	here := o.m[name]
	return node{max(n.beat, here.beat), max(n.acked, here.acked), n.fenced}
}

// polled counts a beat that the storage has answered.
func (o *own) polled(name string, acked uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	here := o.m[name]
	o.m[name] = node{beat: here.beat + 1, acked: max(here.acked, acked)}
}

func (o *own) forget(name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.m, name)
}

// Poll implements [counterfoil.Store]. It writes that the node has come, and its position when that
// passes an entry which somebody may wait for. Any other poll is one read.
func (s *Store) Poll(ctx context.Context, p counterfoil.Poll) (counterfoil.Page, error) {
	page, err := s.page(ctx, p.Since, p.Max, func(t *tx) error {
		written, known := t.s.nodes[p.Node]
		if written.fenced {
			return counterfoil.ErrFenced
		}
		n := s.own.with(p.Node, written)
		n.acked = max(n.acked, p.Acked)
		n.beat++
		if !known || t.s.awaited(written.acked, n.acked) {
			t.set(kindNode, []byte(p.Node), n.encode())
		}
		return nil
	})
	switch {
	case err == nil, errors.Is(err, counterfoil.ErrGap):
		s.own.polled(p.Node, p.Acked)
	case errors.Is(err, counterfoil.ErrFenced):
		s.own.forget(p.Node)
	}
	return page, err
}

// awaited reports whether a position between two is one that a change other than a sign-in waits for.
func (s *state) awaited(after, upTo uint64) bool {
	if after < s.floor {
		return upTo > after
	}
	for seq := after + 1; seq <= min(upTo, s.head()); seq++ {
		if s.entry(seq).Kind != counterfoil.EntryCreated {
			return true
		}
	}
	return false
}

// Nodes implements [counterfoil.Store].
func (s *Store) Nodes(ctx context.Context) ([]counterfoil.Node, error) {
	return ask(ctx, s, func(t *tx) ([]counterfoil.Node, error) {
		var all []counterfoil.Node
		for name, n := range t.s.nodes {
			switch {
			case !n.fenced:
				n = s.own.with(name, n)
				all = append(all, counterfoil.Node{Name: name, Acked: n.acked, Beat: n.beat})
			case n.beat > 0: // what it had acknowledged is not kept
				all = append(all, counterfoil.Node{Name: name, Beat: n.beat, Fenced: true})
			}
		}
		return all, nil
	})
}

// Fence implements [counterfoil.Store].
func (s *Store) Fence(ctx context.Context, name string) error {
	_, err := ask(ctx, s, func(t *tx) (none, error) {
		if n := t.s.nodes[name]; !n.fenced {
			t.set(kindNode, []byte(name), node{n.beat, t.s.head(), true}.encode())
		}
		return none{}, nil
	})
	return err
}

// forgetFenced strikes off the fenced nodes that the log has left behind: so long ago no lease of
// theirs can last.
func (t *tx) forgetFenced() {
	for name, n := range t.s.nodes {
		if n.fenced && n.acked < t.s.floor {
			t.set(kindNode, []byte(name), nil)
		}
	}
}
