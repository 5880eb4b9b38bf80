package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"slices"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store/internal/sqlrow"
)

// Create implements counterfoil.Store.
func (s *Store) Create(ctx context.Context, rec *counterfoil.Record, c counterfoil.Creation) (counterfoil.Created, error) {
	r := rec.Clone() // the writer may still be at it when ctx ends the wait
	c.Replaces, c.Entry.Detail = slices.Clone(c.Replaces), slices.Clone(c.Entry.Detail)
	var done counterfoil.Created
	err := s.write(ctx, true, func(db *conn) (err error) {
		done, err = create(db, r, c)
		return err
	})
	if err != nil {
		return counterfoil.Created{}, err
	}
	rec.Born, rec.Revision = done.Seq, 1
	return done, nil
}

func create(db *conn, r *counterfoil.Record, c counterfoil.Creation) (counterfoil.Created, error) {
	var none counterfoil.Created
	if done, err := recall(db, c.Entry.Op); err != nil {
		return none, err
	} else if done != nil {
		if done.session != r.ID {
			return none, counterfoil.ErrExists
		}
		return counterfoil.Created{Seq: done.seq, Evicted: done.ended}, nil
	}
	var taken bool
	if err := db.row("SELECT EXISTS (SELECT 1 FROM session WHERE id = ?)", r.ID[:]).Scan(&taken); err != nil {
		return none, err
	} else if taken {
		return none, counterfoil.ErrExists
	}
	if err := liveParent(db, r, c); err != nil {
		return none, err
	}
	if err := notSuperseded(db, r, c.Since); err != nil {
		return none, err
	}
	for _, id := range c.Replaces {
		if _, err := endOne(db, id, counterfoil.ReasonReplaced, c.Entry.Time); err != nil {
			return none, err
		}
	}
	if len(c.Replaces) > 0 { // the parent may have gone with them
		if err := liveParent(db, r, c); err != nil {
			return none, err
		}
	}
	evicted, err := keepLimit(db, r, c)
	if err != nil {
		return none, err
	}
	e := of(c.Entry, r)
	e.Kind = counterfoil.EntryCreated
	seq, err := appendEntry(db, e)
	if err != nil {
		return none, err
	}
	r.Born, r.Revision = seq, 1
	if _, err := db.exec("INSERT INTO session ("+recordColumns+") VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)", recordValues(r)...); err != nil {
		return none, err
	}
	return counterfoil.Created{Seq: seq, Evicted: evicted},
		remember(db, c.Entry.Op, answered{seq: seq, session: r.ID, number: 1, ended: evicted})
}

func liveParent(db *conn, r *counterfoil.Record, c counterfoil.Creation) error {
	if r.Parent.IsZero() {
		return nil
	}
	parent, err := scanRecord(db.row("SELECT "+recordColumns+" FROM session WHERE id = ?", r.Parent[:]))
	if errors.Is(err, sql.ErrNoRows) {
		return counterfoil.ErrNoParent
	}
	if err != nil {
		return err
	}
	if !parent.Live(c.Entry.Time) {
		return counterfoil.ErrNoParent
	}
	return nil
}

// notSuperseded refuses a credential that was checked before the sessions it gives were ended.
func notSuperseded(db *conn, r *counterfoil.Record, since uint64) error {
	if since == 0 {
		return nil
	}
	head, floor, _, err := ends(db)
	if err != nil {
		return err
	}
	if since <= floor || since > head+1 {
		return counterfoil.ErrSuperseded
	}
	return db.each(func(row scanner) error {
		e, err := scanEntry(row)
		if err == nil && e.Ends(r) {
			err = counterfoil.ErrSuperseded
		}
		return err
	}, "SELECT seq, "+entryColumns+" FROM log WHERE kind IN (4, 5) AND seq >= ?", int64(since))
}

// keepLimit makes room for r under its subject's limit.
func keepLimit(db *conn, r *counterfoil.Record, c counterfoil.Creation) ([]counterfoil.ID, error) {
	if c.Limit.Max <= 0 || r.Subject == (counterfoil.SubjectHash{}) || !r.Parent.IsZero() {
		return nil, nil
	}
	order := "seen"
	if c.Limit.Order == counterfoil.EvictOldest {
		order = "created"
	}
	var live []counterfoil.ID
	now := c.Limit.Now.UnixMilli()
	err := db.each(func(row scanner) error {
		var id []byte
		err := row.Scan(&id)
		live = append(live, sqlrow.FromBlob[counterfoil.ID](id))
		return err
	}, "SELECT id FROM session WHERE subject = ? AND kind = ? AND parent IS NULL AND idle_end > ? AND absolute_end > ? ORDER BY "+order+", born",
		r.Subject[:], uint8(r.Kind), now, now)
	if err != nil || len(live) < c.Limit.Max {
		return nil, err
	}
	if c.Limit.Order == counterfoil.Deny {
		return nil, counterfoil.ErrLimit
	}
	evicted := live[:len(live)-c.Limit.Max+1]
	for _, id := range evicted {
		if _, err := endOne(db, id, counterfoil.ReasonLimit, c.Entry.Time); err != nil {
			return nil, err
		}
	}
	return evicted, nil
}
