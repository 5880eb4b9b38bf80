package memory

import (
	"bytes"
	"context"
	"crypto/rand"
	"iter"
	"maps"
	"slices"

	"github.com/counterfoil/counterfoil"
)

// Load implements [counterfoil.Store].
func (s *Store) Load(ctx context.Context, id counterfoil.ID) (*counterfoil.Record, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	st, ok := s.read(id)
	if !ok {
		return nil, counterfoil.ErrNotFound
	}
	return st.open(), nil
}

// List implements [counterfoil.Store].
func (s *Store) List(ctx context.Context, subject counterfoil.SubjectHash) iter.Seq2[*counterfoil.Record, error] {
	return func(yield func(*counterfoil.Record, error) bool) {
		if err := s.enter(ctx); err != nil {
			yield(nil, err)
			return
		}
		s.mu.Lock()
		all := s.of(subject)
		s.mu.Unlock()
		for _, r := range all {
			if err := s.enter(ctx); err != nil {
				yield(nil, err)
				return
			}
			if st, ok := s.read(r.id); ok && !yield(st.open(), nil) {
				return
			}
		}
	}
}

// Scan implements [counterfoil.Store].
func (s *Store) Scan(ctx context.Context, after counterfoil.ID, max int) ([]*counterfoil.Record, error) {
	var out []*counterfoil.Record
	for i := shardOf(after); i < len(s.shards) && len(out) < max; i++ {
		if err := s.enter(ctx); err != nil {
			return nil, err
		}
		for _, id := range s.shards[i].above(after) {
			if len(out) == max {
				break
			}
			if st, ok := s.read(id); ok {
				out = append(out, st.open())
			}
		}
	}
	return out, s.enter(ctx)
}

func (sh *shard) above(after counterfoil.ID) []counterfoil.ID {
	sh.mu.RLock()
	ids := make([]counterfoil.ID, 0, sh.recs.n)
	sh.recs.each(0, len(sh.recs.heads), func(r *record) bool {
		if bytes.Compare(r.id[:], after[:]) > 0 {
			ids = append(ids, r.id)
		}
		return true
	})
	sh.mu.RUnlock()
	slices.SortFunc(ids, func(a, b counterfoil.ID) int { return bytes.Compare(a[:], b[:]) })
	return ids
}

// Log implements [counterfoil.Store].
func (s *Store) Log(ctx context.Context, since uint64, max int) (counterfoil.Page, error) {
	if err := s.enter(ctx); err != nil {
		return counterfoil.Page{}, err
	}
	return s.log.page(since, max)
}

// Poll implements [counterfoil.Store]. All nodes are in this process and end with it.
func (s *Store) Poll(ctx context.Context, p counterfoil.Poll) (counterfoil.Page, error) {
	if err := s.enter(ctx); err != nil {
		return counterfoil.Page{}, err
	}
	if err := s.nodes.Poll(p.Node, p.Acked); err != nil {
		return counterfoil.Page{}, err
	}
	return s.Log(ctx, p.Since, p.Max)
}

// Nodes implements [counterfoil.Store].
func (s *Store) Nodes(ctx context.Context) ([]counterfoil.Node, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	return s.nodes.Nodes(), nil
}

// Fence implements [counterfoil.Store].
func (s *Store) Fence(ctx context.Context, node string) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	s.nodes.Fence(node)
	return nil
}

// Acknowledge implements [counterfoil.Store].
func (s *Store) Acknowledge(ctx context.Context, reader string, seq uint64) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readers[reader] = max(s.readers[reader], seq)
	return nil
}

// Acknowledged implements [counterfoil.Store].
func (s *Store) Acknowledged(ctx context.Context, reader string) (uint64, error) {
	if err := s.enter(ctx); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.readers[reader], nil
}

// Readers implements [counterfoil.Store].
func (s *Store) Readers(ctx context.Context) (map[string]uint64, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.readers), nil
}

// Forget implements [counterfoil.Store].
func (s *Store) Forget(ctx context.Context, reader string) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.readers, reader)
	return nil
}

// Renew implements [counterfoil.Store].
func (s *Store) Renew(ctx context.Context) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	s.log.incarnation = rand.Text()
	return nil
}

// Meta implements [counterfoil.Store].
func (s *Store) Meta(ctx context.Context, key string) ([]byte, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.meta[key]), nil
}

// SwapMeta implements [counterfoil.Store].
func (s *Store) SwapMeta(ctx context.Context, key string, old, new []byte) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	have := s.meta[key]
	if (have == nil) != (old == nil) || !bytes.Equal(have, old) {
		return counterfoil.ErrConflict
	}
	if new == nil {
		delete(s.meta, key)
	} else {
		s.meta[key] = bytes.Clone(new)
	}
	return nil
}
