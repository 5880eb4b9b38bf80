package redis

import (
	"context"
	"fmt"

	"github.com/counterfoil/counterfoil"
)

// Create implements [counterfoil.Store].
func (s *Store) Create(ctx context.Context, rec *counterfoil.Record, c counterfoil.Creation) (counterfoil.Created, error) {
	first := *rec
	first.Revision = 1
	order := "idle"
	switch c.Limit.Order {
	case counterfoil.EvictOldest:
		order = "oldest"
	case counterfoil.Deny:
		order = "deny"
	}
	replaces := make([]string, len(c.Replaces))
	for i, id := range c.Replaces {
		replaces[i] = string(id[:])
	}
	got, err := s.call(ctx, "create", args{}.bytes(rec.ID[:]).bytes(c.Entry.Op[:]).int(c.Entry.Time.UnixMilli()).number(c.Since).
		int(int64(c.Limit.Max)).text(order).int(c.Limit.Now.UnixMilli()).
		list(replaces).list(pairs(&c.Entry)).text(head(&first)).text(body(&first)))
	if err != nil {
		return counterfoil.Created{}, err
	}
	out := counterfoil.Created{Seq: got.number(1), Evicted: got.ids(2)}
	if got.err != nil {
		return counterfoil.Created{}, got.err
	}
	rec.Born, rec.Revision = out.Seq, 1
	return out, nil
}

// Update implements [counterfoil.Store].
func (s *Store) Update(ctx context.Context, rec *counterfoil.Record, changed *counterfoil.Entry) error {
	var op counterfoil.OpID
	var entry []string
	if changed != nil {
		op, entry = changed.Op, pairs(changed)
	}
	got, err := s.call(ctx, "update", args{}.bytes(rec.ID[:]).text(fmt.Sprintf("%020d", rec.Revision)).
		text(fmt.Sprintf("%020d", rec.Epoch)).int(rec.IdleEnd.UnixMilli()).text(body(rec)).bytes(op[:]).list(entry))
	if err != nil {
		return err
	}
	if revision := got.number(1); got.err == nil {
		rec.Revision = revision
	}
	return got.err
}

// piece is how many records a script touches, ends or loads at most where it may take several.
const piece = 100

// A script that sweeps looks at so few records, since others wait meanwhile, and a call of Reap runs so
// many of them: more may be marked for a look than are over.
const (
	reapPiece = 10
	reapMost  = 100
)

// Touch implements [counterfoil.Store].
func (s *Store) Touch(ctx context.Context, batch []counterfoil.Touch) error {
	for len(batch) > 0 {
		n := min(piece, len(batch))
		list := make([]string, 0, 3*n)
		for _, t := range batch[:n] {
			list = args(list).bytes(t.ID[:]).int(t.Seen.UnixMilli()).int(t.IdleEnd.UnixMilli())
		}
		if _, err := s.call(ctx, "touch", args{}.list(list)); err != nil {
			return err
		}
		batch = batch[n:]
	}
	return nil
}

// Revoke implements [counterfoil.Store]. Of an end of everything it counts also what had expired and
// was not reaped.
func (s *Store) Revoke(ctx context.Context, e counterfoil.Entry) (counterfoil.Revoked, error) {
	switch {
	case e.Kind != counterfoil.EntryEnded && e.Kind != counterfoil.EntryEndedSubject && e.Kind != counterfoil.EntryEndedAll:
		return counterfoil.Revoked{}, fmt.Errorf("redis: an entry of kind %d ends nothing; revoke with one that does", e.Kind)
	case len(e.Except) > counterfoil.MaxExcept:
		return counterfoil.Revoked{}, fmt.Errorf("redis: %d sessions to spare; name at most %d", len(e.Except), counterfoil.MaxExcept)
	}
	got, err := s.call(ctx, "revoke", args{}.bytes(e.Op[:]).int(e.Time.UnixMilli()).bytes(e.Session[:]).list(pairs(&e)))
	if err != nil {
		return counterfoil.Revoked{}, err
	}
	out := counterfoil.Revoked{Seq: got.number(1), Count: int(got.number(2)), Ended: got.ids(3)}
	if got.err != nil {
		return counterfoil.Revoked{}, got.err
	}
	return out, nil
}

// Reap implements [counterfoil.Store], in scripts of at most 10 records or 100 log entries each.
func (s *Store) Reap(ctx context.Context, r counterfoil.Reap) (counterfoil.Reaped, error) {
	var out counterfoil.Reaped
	for range reapMost {
		got, err := s.call(ctx, "reap", args{}.int(r.Before.UnixMilli()).int(int64(max(0, min(reapPiece, r.Max-out.Records)))))
		if err != nil {
			return out, err
		}
		out.Records += int(got.number(1))
		out.More = got.number(2) != 0
		if got.err != nil {
			return out, got.err
		}
		if !out.More || out.Records >= r.Max {
			break
		}
	}
	for more := true; more; {
		got, err := s.call(ctx, "trim", args{}.int(r.LogBefore.UnixMilli()).int(piece))
		if err != nil {
			return out, err
		}
		out.Entries += int(got.number(1))
		if more = got.number(2) != 0; got.err != nil {
			return out, got.err
		}
	}
	for more := true; more; {
		got, err := s.call(ctx, "sweep", args{}.int(piece))
		if err != nil {
			return out, err
		}
		if more = got.number(1) != 0; got.err != nil {
			return out, got.err
		}
	}
	return out, nil
}
