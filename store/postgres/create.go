package postgres

import (
	"context"
	"slices"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store/internal/sqlrow"
	"github.com/jackc/pgx/v5"
)

// everybody is what Create shares and the end of everything has alone.
func everybody() lock { return lockOf("everybody", nil) }

// subjects are the locks of those whose end would cover r.
func subjects(all ...counterfoil.SubjectHash) (locks []lock) {
	for i, s := range all {
		if s != (counterfoil.SubjectHash{}) && !slices.Contains(all[:i], s) {
			locks = append(locks, lockOf("subject", s[:]))
		}
	}
	return locks
}

// Create implements counterfoil.Store.
func (s *Store) Create(ctx context.Context, rec *counterfoil.Record, c counterfoil.Creation) (counterfoil.Created, error) {
	locks := append(append(lockOp(c.Entry.Op), subjects(rec.Subject, rec.Actor)...), everybody().share())
	var known before
	var done counterfoil.Created
	err := s.writeAfter(ctx, locks, func(b *pgx.Batch) { known.ask(b, rec, c) }, func(t *tx) error {
		done = counterfoil.Created{}
		return t.create(ctx, rec, c, &known, &done)
	})
	if err != nil {
		return counterfoil.Created{}, err
	}
	rec.Born, rec.Revision = done.Seq, 1
	return done, nil
}

// before is what Create has to know.
type before struct {
	first      *answered
	taken      bool
	parent     *counterfoil.Record
	superseded bool             // the credential was checked before the sessions it gives were ended
	live       []counterfoil.ID // those that count for the limit, in the order in which they would go
}

func (k *before) ask(b *pgx.Batch, r *counterfoil.Record, c counterfoil.Creation) {
	*k = before{}
	recall(b, c.Entry.Op, &k.first)
	queueEach(b, func(pgx.Row) error {
		k.taken = true
		return nil
	}, "SELECT FROM cf_session WHERE id = $1", r.ID[:])
	if !r.Parent.IsZero() { // shared: it cannot end before the child is there to end with it
		queueEach(b, func(row pgx.Row) (err error) {
			k.parent, err = scanRecord(row)
			return err
		}, "SELECT "+recordColumns+" FROM cf_session WHERE id = $1 FOR SHARE", r.Parent[:])
	}
	if c.Since != 0 {
		queueEach(b, func(row pgx.Row) error {
			var head, floor int64
			e, err := scanEntry(row, &head, &floor)
			k.superseded = k.superseded || c.Since <= uint64(floor) || c.Since > uint64(head)+1 || e.Seq != 0 && e.Ends(r)
			return err
		}, "SELECT h.seq, h.floor, l.* FROM cf_log_head h LEFT JOIN (SELECT seq, "+entryColumns+
			" FROM cf_log WHERE kind IN (4, 5) AND seq >= $1) l ON true", int64(c.Since))
	}
	if c.Limit.Max > 0 && r.Subject != (counterfoil.SubjectHash{}) && r.Parent.IsZero() {
		order := "seen"
		if c.Limit.Order == counterfoil.EvictOldest {
			order = "created"
		}
		queueEach(b, func(row pgx.Row) error {
			var id []byte
			err := row.Scan(&id)
			k.live = append(k.live, sqlrow.FromBlob[counterfoil.ID](id))
			return err
		}, "SELECT id FROM cf_session WHERE subject = $1 AND kind = $2 AND parent IS NULL AND idle_end > $3 AND absolute_end > $3 ORDER BY "+order+", born",
			r.Subject[:], int16(r.Kind), c.Limit.Now.UnixMilli())
	}
}

func (t *tx) create(ctx context.Context, r *counterfoil.Record, c counterfoil.Creation, known *before, done *counterfoil.Created) error {
	child := !r.Parent.IsZero()
	switch {
	case known.first != nil && known.first.session == r.ID:
		done.Seq, done.Evicted = known.first.seq, known.first.ended
		return nil
	case known.first != nil, known.taken:
		return counterfoil.ErrExists
	case child && (known.parent == nil || !known.parent.Live(c.Entry.Time)):
		return counterfoil.ErrNoParent
	case known.superseded:
		return counterfoil.ErrSuperseded
	}
	var gone ending
	for _, id := range c.Replaces {
		if _, err := t.endOne(ctx, &gone, id, counterfoil.ReasonReplaced, c.Entry.Time); err != nil {
			return err
		}
	}
	if child && gone.has(r.Parent) {
		return counterfoil.ErrNoParent
	}
	live := slices.DeleteFunc(known.live, gone.has)
	if surplus := len(live) - c.Limit.Max + 1; surplus > 0 && len(live) > 0 {
		if c.Limit.Order == counterfoil.Deny {
			return counterfoil.ErrLimit
		}
		for _, id := range live[:surplus] {
			if ended, err := t.endOne(ctx, &gone, id, counterfoil.ReasonLimit, c.Entry.Time); err != nil {
				return err
			} else if ended { // else it ended meanwhile
				done.Evicted = append(done.Evicted, id)
			}
		}
	}
	t.remove(&gone)
	if len(gone.ids) > 0 {
		t.hint()
	}
	e := of(c.Entry, r)
	e.Kind = counterfoil.EntryCreated
	t.append(append(gone.entries, e), &done.Seq)
	t.last.Queue(insertRecord, recordValues(r)...)
	t.remember(e.Op, answered{session: r.ID, number: 1, ended: done.Evicted})
	return nil
}
