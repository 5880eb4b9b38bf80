package postgres

import (
	"context"
	"errors"
	"slices"

	"github.com/counterfoil/counterfoil"
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
	var done counterfoil.Created
	err := s.write(ctx, locks, func(t *tx) error {
		done = counterfoil.Created{}
		return t.create(ctx, rec, c, &done)
	})
	if err != nil {
		return counterfoil.Created{}, err
	}
	rec.Born, rec.Revision = done.Seq, 1
	return done, nil
}

func (t *tx) create(ctx context.Context, r *counterfoil.Record, c counterfoil.Creation, done *counterfoil.Created) error {
	if first, err := t.recall(ctx, c.Entry.Op); err != nil {
		return err
	} else if first != nil {
		if first.session != r.ID {
			return counterfoil.ErrExists
		}
		done.Seq, done.Evicted = first.seq, first.ended
		return nil
	}
	var taken bool
	if err := t.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM cf_session WHERE id = $1)", r.ID[:]).Scan(&taken); err != nil {
		return err
	} else if taken {
		return counterfoil.ErrExists
	}
	if err := t.liveParent(ctx, r, c); err != nil {
		return err
	}
	if err := t.notSuperseded(ctx, r, c.Since); err != nil {
		return err
	}
	var entries []counterfoil.Entry
	for _, id := range c.Replaces {
		gone, err := t.endOne(ctx, id, counterfoil.ReasonReplaced, c.Entry.Time)
		if err != nil {
			return err
		}
		entries = append(entries, gone.entries...)
	}
	if len(c.Replaces) > 0 { // the parent may have gone with them
		if err := t.liveParent(ctx, r, c); err != nil {
			return err
		}
	}
	surplus, err := t.surplus(ctx, r, c)
	if err != nil {
		return err
	}
	var evicted []counterfoil.ID
	for _, id := range surplus {
		gone, err := t.endOne(ctx, id, counterfoil.ReasonLimit, c.Entry.Time)
		if err != nil {
			return err
		}
		if len(gone.ids) > 0 { // else it ended meanwhile
			evicted, entries = append(evicted, id), append(entries, gone.entries...)
		}
	}
	e := of(c.Entry, r)
	e.Kind = counterfoil.EntryCreated
	t.append(append(entries, e), &done.Seq)
	t.last.Queue(insertRecord, recordValues(r)...)
	t.remember(e.Op, answered{session: r.ID, number: 1, ended: evicted})
	done.Evicted = evicted
	return nil
}

// liveParent keeps the parent from ending before the child is there to end with it.
func (t *tx) liveParent(ctx context.Context, r *counterfoil.Record, c counterfoil.Creation) error {
	if r.Parent.IsZero() {
		return nil
	}
	parent, err := scanRecord(t.QueryRow(ctx, "SELECT "+recordColumns+" FROM cf_session WHERE id = $1 FOR SHARE", r.Parent[:]))
	if errors.Is(err, pgx.ErrNoRows) || err == nil && !parent.Live(c.Entry.Time) {
		return counterfoil.ErrNoParent
	}
	return err
}

// notSuperseded refuses a credential that was checked before the sessions it gives were ended.
func (t *tx) notSuperseded(ctx context.Context, r *counterfoil.Record, since uint64) error {
	if since == 0 {
		return nil
	}
	return each(ctx, t.Conn, func(row pgx.Row) error {
		var head, floor int64
		e, err := scanEntry(row, &head, &floor)
		if err == nil && (since <= uint64(floor) || since > uint64(head)+1 || e.Seq != 0 && e.Ends(r)) {
			err = counterfoil.ErrSuperseded
		}
		return err
	}, "SELECT h.seq, h.floor, l.* FROM cf_log_head h LEFT JOIN (SELECT seq, "+entryColumns+
		" FROM cf_log WHERE kind IN (4, 5) AND seq >= $1) l ON true", int64(since))
}

// surplus returns which must end to make room for r under its subject's limit.
func (t *tx) surplus(ctx context.Context, r *counterfoil.Record, c counterfoil.Creation) ([]counterfoil.ID, error) {
	if c.Limit.Max <= 0 || r.Subject == (counterfoil.SubjectHash{}) || !r.Parent.IsZero() {
		return nil, nil
	}
	order := "seen"
	if c.Limit.Order == counterfoil.EvictOldest {
		order = "created"
	}
	var live []counterfoil.ID
	err := each(ctx, t.Conn, func(row pgx.Row) error {
		var id []byte
		err := row.Scan(&id)
		live = append(live, fromBlob[counterfoil.ID](id))
		return err
	}, "SELECT id FROM cf_session WHERE subject = $1 AND kind = $2 AND parent IS NULL AND idle_end > $3 AND absolute_end > $3 ORDER BY "+order+", born",
		r.Subject[:], int16(r.Kind), c.Limit.Now.UnixMilli())
	if err != nil {
		return nil, err
	}
	if len(live) < c.Limit.Max {
		return nil, nil
	}
	if c.Limit.Order == counterfoil.Deny {
		return nil, counterfoil.ErrLimit
	}
	return live[:len(live)-c.Limit.Max+1], nil
}
