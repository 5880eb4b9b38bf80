package blob

import (
	"container/heap"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil"
)

// Update implements [counterfoil.Store].
func (s *Store) Update(ctx context.Context, rec *counterfoil.Record, changed *counterfoil.Entry) error {
	own := rec.Clone()
	if changed != nil {
		changed = cloneEntry(changed)
	}
	revision, err := ask(ctx, s, func(t *tx) (uint64, error) { return t.update(own, changed) })
	if err == nil {
		rec.Revision = revision
	}
	return err
}

func (t *tx) update(rec *counterfoil.Record, changed *counterfoil.Entry) (uint64, error) {
	if changed != nil {
		if o := t.first(changed.Op, counterfoil.EntryChanged); o != nil && o.session == rec.ID {
			return o.revision, nil
		}
	}
	old := t.s.records[rec.ID]
	switch {
	case old == nil:
		return 0, counterfoil.ErrNotFound
	case old.Revision != rec.Revision:
		return 0, counterfoil.ErrConflict
	}
	next := *old
	next.IdleEnd = raised(old, rec.IdleEnd)
	next.IdentityKey, next.ValuesKey, next.VerifierKey = rec.IdentityKey, rec.ValuesKey, rec.VerifierKey
	next.IdentityCount, next.ValuesCount, next.Epoch = rec.IdentityCount, rec.ValuesCount, rec.Epoch
	next.Identity, next.Values = rec.Identity, rec.Values
	next.Revision++
	t.put(&next)
	if changed != nil {
		e := about(&next, *changed)
		e.Revision = next.Revision
		seq := t.append(e)
		t.remember(e.Op, outcome{kind: counterfoil.EntryChanged, session: rec.ID, seq: seq, last: seq, revision: next.Revision})
	}
	return next.Revision, nil
}

// raised is the idle end after a touch: never earlier than before, never over the absolute end.
func raised(r *counterfoil.Record, idleEnd time.Time) time.Time {
	if idleEnd.After(r.AbsoluteEnd) {
		idleEnd = r.AbsoluteEnd
	}
	if idleEnd.After(r.IdleEnd) {
		return idleEnd
	}
	return r.IdleEnd
}

// Touch implements [counterfoil.Store]: one object for the whole batch.
func (s *Store) Touch(ctx context.Context, batch []counterfoil.Touch) error {
	batch = slices.Clone(batch)
	_, err := ask(ctx, s, func(t *tx) (none, error) {
		for _, x := range batch {
			r := t.s.records[x.ID]
			if r == nil {
				continue
			}
			seen, idle := r.Seen, raised(r, x.IdleEnd)
			if x.Seen.After(seen) {
				seen = x.Seen
			}
			if !seen.Equal(r.Seen) || !idle.Equal(r.IdleEnd) {
				var e encoder
				e.time(seen)
				e.time(idle)
				t.set(kindTouch, x.ID[:], e.b)
			}
		}
		return none{}, nil
	})
	return err
}

// Revoke implements [counterfoil.Store]. It always knows how many it ended.
func (s *Store) Revoke(ctx context.Context, e counterfoil.Entry) (counterfoil.Revoked, error) {
	if e.Kind != counterfoil.EntryEnded && e.Kind != counterfoil.EntryEndedSubject && e.Kind != counterfoil.EntryEndedAll {
		return counterfoil.Revoked{}, fmt.Errorf("blob: an entry of kind %d ends nothing; revoke with one that does", e.Kind)
	}
	if len(e.Except) > counterfoil.MaxExcept {
		return counterfoil.Revoked{}, fmt.Errorf("blob: %d sessions to spare; name at most %d", len(e.Except), counterfoil.MaxExcept)
	}
	own := *cloneEntry(&e)
	return ask(ctx, s, func(t *tx) (counterfoil.Revoked, error) { return t.revoke(own), nil })
}

func (t *tx) revoke(e counterfoil.Entry) counterfoil.Revoked {
	s := t.s
	if o := t.first(e.Op, e.Kind); o != nil {
		return counterfoil.Revoked{Seq: o.last, Ended: slices.Clone(o.ended), Count: o.count}
	}
	ends := ending{t: t, time: e.Time}
	var seq uint64
	switch e.Kind {
	case counterfoil.EntryEnded:
		r := s.records[e.Session]
		if r == nil {
			return counterfoil.Revoked{Seq: s.head()}
		}
		e = about(r, e)
		seq = t.append(e)
		ends.end(r, e.Reason, &e)
	case counterfoil.EntryEndedSubject:
		seq = t.append(e)
		for _, id := range sorted(s.subjects[e.Subject]) {
			if r := s.records[id]; r != nil && e.Ends(r) {
				ends.end(r, e.Reason, &e)
			}
		}
	case counterfoil.EntryEndedAll:
		seq = t.append(e)
		for id := range s.records {
			if len(ends.ended) == counterfoil.MaxEndedListed {
				break
			}
			ends.note(id)
		}
		ends.count = len(s.records)
		t.set(kindWipe, nil, nil)
	}
	out := counterfoil.Revoked{Seq: s.head(), Ended: ends.ended, Count: ends.count}
	t.remember(e.Op, outcome{
		kind: e.Kind, session: e.Session, seq: seq, last: out.Seq, count: out.Count, ended: slices.Clone(out.Ended),
	})
	return out
}

// Reap implements [counterfoil.Store]: one object for all that it ends and trims.
func (s *Store) Reap(ctx context.Context, r counterfoil.Reap) (counterfoil.Reaped, error) {
	return ask(ctx, s, func(t *tx) (counterfoil.Reaped, error) { return t.reap(r), nil })
}

func (t *tx) reap(r counterfoil.Reap) (out counterfoil.Reaped) {
	ends := ending{t: t, time: r.Before}
	for {
		rec := t.s.nextDue(r.Before)
		if out.More = rec != nil; rec == nil || ends.count >= r.Max {
			break
		}
		heap.Pop(&t.s.due)
		why := counterfoil.ReasonIdle
		if !rec.AbsoluteEnd.After(r.Before) {
			why = counterfoil.ReasonAbsolute
		}
		ends.end(rec, why, nil)
	}
	out.Records = ends.count
	to := uint64(math.MaxUint64)
	for _, acked := range t.s.readers {
		to = min(to, acked)
	}
	floor := t.s.floor
	for floor < min(to, t.s.head()) && t.s.entry(floor+1).Time.Before(r.LogBefore) {
		floor++
	}
	if out.Entries = int(floor - t.s.floor); out.Entries > 0 {
		t.set(kindFloor, nil, binary.AppendUvarint(nil, floor))
	}
	t.forgetFenced()
	return out
}

// nextDue returns the record at the top of the heap if it is over at or before a moment. Items whose
// record has ended or lives longer by now are set right on the way.
func (s *state) nextDue(before time.Time) *counterfoil.Record {
	for len(s.due) > 0 && !s.due[0].at.After(before) {
		r := s.records[s.due[0].id]
		switch {
		case r == nil:
			heap.Pop(&s.due)
		case r.Live(before):
			s.due[0].at = end(r)
			heap.Fix(&s.due, 0)
		default:
			return r
		}
	}
	return nil
}

func cloneEntry(e *counterfoil.Entry) *counterfoil.Entry {
	c := *e
	c.Except, c.Detail = slices.Clone(e.Except), slices.Clone(e.Detail)
	return &c
}
