package blob

import (
	"context"
	"crypto/rand"
	"iter"
	"maps"
	"slices"

	"github.com/counterfoil/counterfoil"
)

// Load implements [counterfoil.Store].
func (s *Store) Load(ctx context.Context, id counterfoil.ID) (*counterfoil.Record, error) {
	return ask(ctx, s, func(t *tx) (*counterfoil.Record, error) {
		r := t.s.records[id]
		if r == nil {
			return nil, counterfoil.ErrNotFound
		}
		return r.Clone(), nil
	})
}

// List implements [counterfoil.Store]. What it yields is as of one moment.
func (s *Store) List(ctx context.Context, subject counterfoil.SubjectHash) iter.Seq2[*counterfoil.Record, error] {
	return func(yield func(*counterfoil.Record, error) bool) {
		all, err := ask(ctx, s, func(t *tx) ([]*counterfoil.Record, error) {
			var all []*counterfoil.Record
			for id := range t.s.subjects[subject] {
				all = append(all, t.s.records[id])
			}
			return all, nil
		})
		if err != nil {
			yield(nil, err)
			return
		}
		for _, r := range all { // the state's own, which never change
			if !yield(r.Clone(), nil) {
				return
			}
		}
	}
}

// Scan implements [counterfoil.Store].
func (s *Store) Scan(ctx context.Context, after counterfoil.ID, max int) ([]*counterfoil.Record, error) {
	return ask(ctx, s, func(t *tx) ([]*counterfoil.Record, error) {
		order := t.s.inOrder()
		at, found := slices.BinarySearchFunc(order, after, compareIDs)
		if found {
			at++
		}
		var out []*counterfoil.Record
		for ; at < len(order) && len(out) < max; at++ {
			if r := t.s.records[order[at]]; r != nil {
				out = append(out, r.Clone())
			}
		}
		return out, nil
	})
}

// inOrder returns the IDs of all records in order, and perhaps some more.
func (s *state) inOrder() []counterfoil.ID {
	if len(s.recent) > 0 || len(s.order) > 2*len(s.records)+1000 {
		s.order = slices.DeleteFunc(append(s.order, s.recent...), func(id counterfoil.ID) bool { return s.records[id] == nil })
		slices.SortFunc(s.order, compareIDs)
		s.order, s.recent = slices.Compact(s.order), nil
	}
	return s.order
}

// Log implements [counterfoil.Store].
func (s *Store) Log(ctx context.Context, since uint64, max int) (counterfoil.Page, error) {
	return s.page(ctx, since, max, func(*tx) error { return nil })
}

// page reads the log after doing something in the same moment.
func (s *Store) page(ctx context.Context, since uint64, max int, also func(*tx) error) (counterfoil.Page, error) {
	p, err := ask(ctx, s, func(t *tx) (counterfoil.Page, error) {
		if err := also(t); err != nil {
			return counterfoil.Page{}, err
		}
		p := counterfoil.Page{Incarnation: t.s.incarnation, Head: t.s.head(), Floor: t.s.floor}
		if max <= 0 || since < p.Floor || since > p.Head {
			return p, nil
		}
		for _, e := range t.s.entries[since-p.Floor:][:min(uint64(max), p.Head-since)] {
			p.Entries = append(p.Entries, *cloneEntry(&e))
		}
		return p, nil
	})
	if err == nil && max > 0 && (since < p.Floor || since > p.Head) {
		err = counterfoil.ErrGap
	}
	return p, err
}

// Acknowledge implements [counterfoil.Store].
func (s *Store) Acknowledge(ctx context.Context, reader string, seq uint64) error {
	_, err := ask(ctx, s, func(t *tx) (none, error) {
		if old, known := t.s.readers[reader]; !known || seq > old {
			var e encoder
			e.number(seq)
			t.set(kindReader, []byte(reader), e.b)
		}
		return none{}, nil
	})
	return err
}

// Acknowledged implements [counterfoil.Store].
func (s *Store) Acknowledged(ctx context.Context, reader string) (uint64, error) {
	return ask(ctx, s, func(t *tx) (uint64, error) { return t.s.readers[reader], nil })
}

// Readers implements [counterfoil.Store].
func (s *Store) Readers(ctx context.Context) (map[string]uint64, error) {
	return ask(ctx, s, func(t *tx) (map[string]uint64, error) { return maps.Clone(t.s.readers), nil })
}

// Forget implements [counterfoil.Store].
func (s *Store) Forget(ctx context.Context, reader string) error {
	_, err := ask(ctx, s, func(t *tx) (none, error) {
		if _, known := t.s.readers[reader]; known {
			t.set(kindReader, []byte(reader), nil)
		}
		return none{}, nil
	})
	return err
}

// Renew implements [counterfoil.Store].
func (s *Store) Renew(ctx context.Context) error {
	name := rand.Text()
	_, err := ask(ctx, s, func(t *tx) (none, error) {
		t.set(kindLog, nil, []byte(name))
		return none{}, nil
	})
	return err
}

// Meta implements [counterfoil.Store].
func (s *Store) Meta(ctx context.Context, key string) ([]byte, error) {
	return ask(ctx, s, func(t *tx) ([]byte, error) { return slices.Clone(t.s.meta[key]), nil })
}

// SwapMeta implements [counterfoil.Store].
func (s *Store) SwapMeta(ctx context.Context, key string, old, new []byte) error {
	old, new = slices.Clone(old), slices.Clone(new)
	_, err := ask(ctx, s, func(t *tx) (none, error) {
		have, had := t.s.meta[key]
		if had != (old != nil) || !slices.Equal(have, old) {
			return none{}, counterfoil.ErrConflict
		}
		if had || new != nil {
			t.set(kindMeta, []byte(key), new)
		}
		return none{}, nil
	})
	return err
}
