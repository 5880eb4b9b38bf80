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
	found, err := lookAround(db, r, c)
	if err != nil {
		return none, err
	}
	if found.known {
		done, err := recall(db, c.Entry.Op)
		if err != nil {
			return none, err
		}
		if done.session != r.ID {
			return none, counterfoil.ErrExists
		}
		return counterfoil.Created{Seq: done.seq, Evicted: done.ended}, nil
	}
	if found.taken {
		return none, counterfoil.ErrExists
	}
	if err := liveParent(db, r, c); err != nil {
		return none, err
	}
	if err := notSuperseded(db, r, c.Since, found); err != nil {
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
	var evicted []counterfoil.ID
	if limited(r, c) && found.live >= c.Limit.Max {
		if evicted, err = keepLimit(db, r, c); err != nil {
			return none, err
		}
	}
	e := of(c.Entry, r)
	e.Kind = counterfoil.EntryCreated
	seq, err := appendEntry(db, e)
	if err != nil {
		return none, err
	}
	r.Born, r.Revision = seq, 1
	if _, err := db.exec("INSERT INTO session ("+recordColumns+", row) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)", append(recordValues(r), int64(seq))...); err != nil {
		return none, err
	}
	if len(evicted) > 0 {
		err = remember(db, e.Op, answered{seq: seq, number: 1, ended: evicted})
	}
	return counterfoil.Created{Seq: seq, Evicted: evicted}, err
}

// surroundings are what a sign-in meets.
type surroundings struct {
	known       bool // it was done before, under the same op
	taken       bool // the ID is
	head, floor uint64
	ended       bool // since its mark somebody's sessions were ended, or everybody's
	live        int  // sessions that count for the limit, before any is replaced
}

// lookAround asks in one statement for what decides most sign-ins: a statement costs more than what
// it finds.
func lookAround(db *conn, r *counterfoil.Record, c counterfoil.Creation) (found surroundings, err error) {
	var head, floor int64
	err = db.row("SELECT EXISTS (SELECT 1 FROM log WHERE op = ?4), EXISTS (SELECT 1 FROM session WHERE id = ?5), "+
		logHead+", floor, EXISTS (SELECT 1 FROM log WHERE kind IN (4, 5) AND seq >= ?6), "+
		"(SELECT count(*) FROM session WHERE "+counting+") FROM state",
		blob(r.Subject), uint8(r.Kind), c.Limit.Now.UnixMilli(), blob(c.Entry.Op), r.ID[:], int64(c.Since),
	).Scan(&found.known, &found.taken, &head, &floor, &found.ended, &found.live)
	found.head, found.floor = uint64(head), uint64(floor)
	return found, err
}

// counting selects the sessions that count for a limit.
const counting = "subject = ?1 AND kind = ?2 AND parent IS NULL AND idle_end > ?3 AND absolute_end > ?3"

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
func notSuperseded(db *conn, r *counterfoil.Record, since uint64, found surroundings) error {
	if since == 0 {
		return nil
	}
	if since <= found.floor || since > found.head+1 {
		return counterfoil.ErrSuperseded
	}
	if !found.ended {
		return nil
	}
	return db.each(func(row scanner) error {
		e, err := scanEntry(row)
		if err == nil && e.Ends(r) {
			err = counterfoil.ErrSuperseded
		}
		return err
	}, "SELECT seq, "+entryColumns+" FROM log WHERE kind IN (4, 5) AND seq >= ?", int64(since))
}

// limited reports whether r needs room under its subject's limit.
func limited(r *counterfoil.Record, c counterfoil.Creation) bool {
	return c.Limit.Max > 0 && r.Subject != (counterfoil.SubjectHash{}) && r.Parent.IsZero()
}

// keepLimit makes that room.
func keepLimit(db *conn, r *counterfoil.Record, c counterfoil.Creation) ([]counterfoil.ID, error) {
	order := "seen"
	if c.Limit.Order == counterfoil.EvictOldest {
		order = "created"
	}
	var live []counterfoil.ID
	err := db.each(func(row scanner) error {
		var id []byte
		err := row.Scan(&id)
		live = append(live, sqlrow.FromBlob[counterfoil.ID](id))
		return err
	}, "SELECT id FROM session WHERE "+counting+" ORDER BY "+order+", born",
		r.Subject[:], uint8(r.Kind), c.Limit.Now.UnixMilli())
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
