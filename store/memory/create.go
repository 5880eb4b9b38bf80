package memory

import (
	"cmp"
	"context"
	"slices"

	"github.com/counterfoil/counterfoil"
)

// Create implements [counterfoil.Store].
func (s *Store) Create(ctx context.Context, rec *counterfoil.Record, c counterfoil.Creation) (counterfoil.Created, error) {
	if err := s.enter(ctx); err != nil {
		return counterfoil.Created{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.log.find(c.Entry.Op); ok && e.Kind == counterfoil.EntryCreated && e.Session == rec.ID {
		rec.Born, rec.Revision = e.Seq, 1
		return counterfoil.Created{Seq: e.Seq, Evicted: slices.Clone(s.log.outcomes.m[e.Seq].Ended)}, nil
	}
	if s.peek(rec.ID) != nil {
		return counterfoil.Created{}, counterfoil.ErrExists
	}
	if !rec.Parent.IsZero() {
		if p, ok := s.read(rec.Parent); !ok || !p.live(c.Entry.Time.UnixMilli()) {
			return counterfoil.Created{}, counterfoil.ErrNoParent
		}
	}
	if c.Since != 0 && s.log.covered(c.Since, rec) {
		return counterfoil.Created{}, counterfoil.ErrSuperseded
	}
	if s.replacesAncestor(rec, c.Replaces) {
		return counterfoil.Created{}, counterfoil.ErrNoParent
	}
	surplus := s.surplus(rec, c)
	if len(surplus) > 0 && c.Limit.Order == counterfoil.Deny {
		return counterfoil.Created{}, counterfoil.ErrLimit
	}

	ch := s.begin(c.Entry.Time)
	for _, id := range c.Replaces {
		if r := s.peek(id); r != nil {
			ch.end(r, counterfoil.ReasonReplaced, nil, nil)
		}
	}
	var evicted []counterfoil.ID
	for _, r := range surplus {
		evicted = append(evicted, r.id)
		ch.end(r, counterfoil.ReasonLimit, nil, nil)
	}
	rec.Revision, rec.Born = 1, ch.seq+1
	r := newRecord(rec, s.lastHead.of(rec))
	about(r, &c.Entry)
	ch.append(&c.Entry)
	s.insert(r)
	ch.publish()
	if evicted != nil && c.Entry.Op != (counterfoil.OpID{}) {
		s.log.outcomes.set(rec.Born, counterfoil.Revoked{Ended: slices.Clone(evicted)})
	}
	return counterfoil.Created{Seq: rec.Born, Evicted: evicted}, nil
}

// replacesAncestor reports whether rec would hang on what goes in its favour.
func (s *Store) replacesAncestor(rec *counterfoil.Record, replaces []counterfoil.ID) bool {
	for id := rec.Parent; !id.IsZero(); {
		if slices.Contains(replaces, id) {
			return true
		}
		parent, _ := s.read(id)
		id = parent.lineage().parent
	}
	return false
}

// surplus returns the records that must go before rec may come.
func (s *Store) surplus(rec *counterfoil.Record, c counterfoil.Creation) []*record {
	if c.Limit.Max <= 0 || !rec.Parent.IsZero() || rec.Subject == (counterfoil.SubjectHash{}) {
		return nil
	}
	type candidate struct {
		*record
		key  int64
		born uint64
	}
	var live []candidate
	now := c.Limit.Now.UnixMilli()
	for r := range s.subject(rec.Subject).all(rec.Subject) {
		st, _ := s.read(r.id)
		if st.head.Value().kind != rec.Kind || !st.lineage().parent.IsZero() || !st.live(now) || slices.Contains(c.Replaces, r.id) {
			continue
		}
		created, born := st.age()
		key := st.seen
		if c.Limit.Order == counterfoil.EvictOldest {
			key = created
		}
		live = append(live, candidate{r, key, born})
	}
	n := len(live) - (c.Limit.Max - 1)
	if n <= 0 {
		return nil
	}
	slices.SortFunc(live, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.born, b.born))
	})
	out := make([]*record, n)
	for i := range out {
		out[i] = live[i].record
	}
	return out
}
