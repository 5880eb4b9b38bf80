package blob

import (
	"cmp"
	"context"
	"slices"

	"github.com/counterfoil/counterfoil"
)

// Create implements [counterfoil.Store].
func (s *Store) Create(ctx context.Context, rec *counterfoil.Record, c counterfoil.Creation) (counterfoil.Created, error) {
	own := rec.Clone()
	c.Replaces, c.Entry = slices.Clone(c.Replaces), *cloneEntry(&c.Entry)
	out, err := ask(ctx, s, func(t *tx) (counterfoil.Created, error) { return t.create(own.Clone(), c) })
	if err != nil {
		return counterfoil.Created{}, err
	}
	rec.Born, rec.Revision = out.Seq, 1
	return out, nil
}

func (t *tx) create(rec *counterfoil.Record, c counterfoil.Creation) (counterfoil.Created, error) {
	s := t.s
	if o := t.first(c.Entry.Op, counterfoil.EntryCreated); o != nil && o.session == rec.ID {
		return counterfoil.Created{Seq: o.seq, Evicted: slices.Clone(o.ended)}, nil
	}
	if s.records[rec.ID] != nil {
		return counterfoil.Created{}, counterfoil.ErrExists
	}
	if !rec.Parent.IsZero() {
		if p := s.records[rec.Parent]; p == nil || !p.Live(c.Entry.Time) {
			return counterfoil.Created{}, counterfoil.ErrNoParent
		}
	}
	if c.Since != 0 && s.superseded(rec, c.Since) {
		return counterfoil.Created{}, counterfoil.ErrSuperseded
	}
	for at := rec.Parent; !at.IsZero(); {
		if slices.Contains(c.Replaces, at) {
			return counterfoil.Created{}, counterfoil.ErrNoParent
		}
		p := s.records[at]
		if p == nil {
			break
		}
		at = p.Parent
	}
	surplus := s.surplus(rec, c)
	if len(surplus) > 0 && c.Limit.Order == counterfoil.Deny {
		return counterfoil.Created{}, counterfoil.ErrLimit
	}

	ends := ending{t: t, time: c.Entry.Time}
	for _, id := range c.Replaces {
		if r := s.records[id]; r != nil {
			ends.end(r, counterfoil.ReasonReplaced, nil)
		}
	}
	var evicted []counterfoil.ID
	for _, r := range surplus {
		evicted = append(evicted, r.ID)
		ends.end(r, counterfoil.ReasonLimit, nil)
	}
	rec.Born, rec.Revision = t.append(about(rec, c.Entry)), 1
	t.put(rec)
	t.remember(c.Entry.Op, outcome{
		kind: counterfoil.EntryCreated, session: rec.ID, seq: rec.Born, last: rec.Born, count: len(evicted), ended: evicted,
	})
	return counterfoil.Created{Seq: rec.Born, Evicted: evicted}, nil
}

// superseded reports whether an end from position since on covers rec, or may do so.
func (s *state) superseded(rec *counterfoil.Record, since uint64) bool {
	if since <= s.floor || since > s.head()+1 {
		return true
	}
	for seq := since; seq <= s.head(); seq++ {
		if e := s.entry(seq); e.Kind != counterfoil.EntryEnded && e.Ends(rec) {
			return true
		}
	}
	return false
}

// surplus returns the records that must go before rec may come.
func (s *state) surplus(rec *counterfoil.Record, c counterfoil.Creation) []*counterfoil.Record {
	if c.Limit.Max <= 0 || !rec.Parent.IsZero() || rec.Subject == (counterfoil.SubjectHash{}) {
		return nil
	}
	var live []*counterfoil.Record
	for id := range s.subjects[rec.Subject] {
		r := s.records[id]
		if r.Subject == rec.Subject && r.Kind == rec.Kind && r.Parent.IsZero() && r.Live(c.Limit.Now) && !slices.Contains(c.Replaces, id) {
			live = append(live, r)
		}
	}
	n := len(live) - (c.Limit.Max - 1)
	if n <= 0 {
		return nil
	}
	slices.SortFunc(live, func(a, b *counterfoil.Record) int {
		age := a.Seen.Compare(b.Seen)
		if c.Limit.Order == counterfoil.EvictOldest {
			age = a.Created.Compare(b.Created)
		}
		return cmp.Or(age, cmp.Compare(a.Born, b.Born))
	})
	return live[:n]
}
