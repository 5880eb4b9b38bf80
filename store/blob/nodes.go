package blob

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil"
)

// node is what the journal says of one that polls. What needs no writing, that it polled once more
// and found nothing to act on, the store that it polls through adds from memory: other nodes see the
// beat and the position rise later, never wrongly.
type node struct {
	beat, acked uint64
	fenced      uint64 // 1 + the head when it was fenced; 0: it is not
}

func (n node) encode() []byte {
	var e encoder
	e.number(n.beat)
	e.number(n.acked)
	e.number(n.fenced)
	return e.b
}

func decodeNode(b []byte) (node, error) {
	d := decoder{rest: b}
	n := node{beat: d.number(), acked: d.number(), fenced: d.number()}
	return n, d.over("a node")
}

// own are the nodes that poll through this store: one, but for tests.
type own struct {
	mu sync.Mutex
	m  map[string]polled
}

// polled is what a node has done since it joined.
type polled struct {
	beat, acked uint64
	written     time.Duration // monotonic: when its beat was last written
}

// beatEvery is how often a beat is written even if nothing else is.
const beatEvery = 20 * time.Second

// Silence is how long a node that lives may seem to do nothing, seen from another: its polls are
// mere reads, but for one in twenty seconds.
func (s *Store) Silence() time.Duration { return 3 * beatEvery }

// with returns what is known of a node, here and in the journal.
func (o *own) with(name string, n node) (known node, written time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	here := o.m[name]
	return node{max(n.beat, here.beat), max(n.acked, here.acked), n.fenced}, here.written
}

// answered counts a poll that the storage has answered.
func (o *own) answered(name string, acked uint64, written time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	here := o.m[name]
	o.m[name] = polled{here.beat + 1, max(here.acked, acked), max(here.written, written)}
}

func (o *own) forget(name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.m, name)
}

// Poll implements [counterfoil.Store]. It writes that the node has come, its position when that
// passes an entry which somebody may wait for, and a beat now and then. Any other poll is one read.
func (s *Store) Poll(ctx context.Context, p counterfoil.Poll) (counterfoil.Page, error) {
	now := s.now().mono
	var written time.Duration
	page, err := s.page(ctx, p.Since, p.Max, func(t *tx) error {
		old, known := t.s.nodes[p.Node]
		if old.fenced != 0 {
			return counterfoil.ErrFenced
		}
		n, last := s.own.with(p.Node, old)
		n.acked = max(n.acked, p.Acked)
		n.beat++
		if written = 0; !known || t.s.awaited(old.acked, n.acked) || now-last >= beatEvery {
			t.set(kindNode, []byte(p.Node), n.encode())
			written = now
		}
		return nil
	})
	switch {
	case err == nil, errors.Is(err, counterfoil.ErrGap):
		s.own.answered(p.Node, p.Acked, written)
	case errors.Is(err, counterfoil.ErrFenced):
		s.own.forget(p.Node)
	}
	return page, err
}

// awaited reports whether somebody may wait for a node that moves from one position to another: only
// for sign-ins nobody does. Positions above the head say that the node leaves.
func (s *state) awaited(after, upTo uint64) bool {
	if upTo <= after {
		return false
	}
	if after < s.floor || upTo > s.head() {
		return true
	}
	for seq := after + 1; seq <= upTo; seq++ {
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
			if n, _ = s.own.with(name, n); n.beat > 0 { // else it never polled
				all = append(all, counterfoil.Node{Name: name, Acked: n.acked, Beat: n.beat, Fenced: n.fenced != 0})
			}
		}
		return all, nil
	})
}

// Fence implements [counterfoil.Store].
func (s *Store) Fence(ctx context.Context, name string) error {
	_, err := ask(ctx, s, func(t *tx) (none, error) {
		if n := t.s.nodes[name]; n.fenced == 0 {
			n.fenced = 1 + t.s.head()
			t.set(kindNode, []byte(name), n.encode())
		}
		return none{}, nil
	})
	return err
}

// forgetFenced strikes off the fenced nodes that the log has left behind: so long ago no lease of
// theirs can last.
func (t *tx) forgetFenced() {
	for name, n := range t.s.nodes {
		if n.fenced != 0 && n.fenced <= t.s.floor {
			t.set(kindNode, []byte(name), nil)
		}
	}
}
