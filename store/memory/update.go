package memory

import (
	"context"

	"github.com/counterfoil/counterfoil"
)

// Update implements [counterfoil.Store].
func (s *Store) Update(ctx context.Context, rec *counterfoil.Record, changed *counterfoil.Entry) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	if changed == nil {
		_, err := s.replace(rec)
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.log.find(changed.Op); ok && e.Kind == counterfoil.EntryChanged && e.Session == rec.ID {
		rec.Revision = e.Revision
		return nil
	}
	r, err := s.replace(rec)
	if err != nil {
		return err
	}
	ch := s.begin(changed.Time)
	e := *changed
	about(r, &e)
	e.Revision = rec.Revision
	ch.append(&e)
	ch.publish()
	return nil
}

// replace does what Update does but for the log.
func (s *Store) replace(rec *counterfoil.Record) (*record, error) {
	sh := s.shard(rec.ID)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	r := sh.recs.get(rec.ID)
	if r == nil {
		return nil, counterfoil.ErrNotFound
	}
	if r.revision != rec.Revision {
		return nil, counterfoil.ErrConflict
	}
	created, born := r.age()
	r.body = pack(rec, created, born)
	h := r.head.Value()
	next := head{h.version, h.kind, rec.IdentityKey, rec.ValuesKey, rec.VerifierKey, h.selectors}
	if next != h {
		r.head = makeHead(next)
	}
	r.raise(r.seen, rec.IdleEnd.UnixMilli())
	r.revision++
	rec.Revision = r.revision
	return r, nil
}

// Touch implements [counterfoil.Store].
func (s *Store) Touch(ctx context.Context, batch []counterfoil.Touch) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	for _, t := range batch {
		sh := s.shard(t.ID)
		sh.mu.Lock()
		if r := sh.recs.get(t.ID); r != nil {
			r.raise(t.Seen.UnixMilli(), t.IdleEnd.UnixMilli())
		}
		sh.mu.Unlock()
	}
	return nil
}

// raise never lowers, and never lifts the idle end over the absolute one.
func (s *state) raise(seen, idleEnd int64) {
	s.seen = max(s.seen, seen)
	s.idleEnd = max(s.idleEnd, min(idleEnd, s.absoluteEnd))
}
