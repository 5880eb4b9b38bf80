package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store/internal/sqlrow"
	lib "modernc.org/sqlite/lib"
)

// Create implements counterfoil.Store.
func (s *Store) Create(ctx context.Context, rec *counterfoil.Record, c counterfoil.Creation) (counterfoil.Created, error) {
	r := rec.Clone() // the writer may still be at it when ctx ends the wait
	c.Replaces, c.Entry.Detail = slices.Clone(c.Replaces), slices.Clone(c.Entry.Detail)
	var done counterfoil.Created
	err := s.write(ctx, true, func(db *tx) (err error) {
		done, err = create(db, r, c)
		return err
	})
	if err != nil {
		return counterfoil.Created{}, err
	}
	rec.Born, rec.Revision = done.Seq, 1
	return done, nil
}

func create(db *tx, r *counterfoil.Record, c counterfoil.Creation) (counterfoil.Created, error) {
	var none counterfoil.Created
	done, err := recall(db, c.Entry.Op)
	if err != nil {
		return none, err
	}
	if done != nil {
		if done.session != r.ID {
			return none, counterfoil.ErrExists
		}
		return counterfoil.Created{Seq: done.seq, Evicted: done.ended}, nil
	}
	if err := liveParent(db, r, c); err != nil {
		return none, err
	}
	if err := notSuperseded(db, r, c.Since); err != nil {
		return none, err
	}
	if err := replace(db, r, c); err != nil {
		return none, err
	}
	seq, evicted, err := place(db, r, c)
	if err != nil {
		return none, err
	}
	if len(evicted) > 0 {
		err = remember(db, c.Entry.Op, answered{seq: seq, number: 1, ended: evicted})
	}
	return counterfoil.Created{Seq: seq, Evicted: evicted}, err
}

// replace ends what r takes the place of.
func replace(db *tx, r *counterfoil.Record, c counterfoil.Creation) error {
	if len(c.Replaces) == 0 {
		return nil
	}
	if slices.Contains(c.Replaces, r.ID) {
		if err := notTaken(db, r.ID); err != nil {
			return err
		}
	}
	for _, id := range c.Replaces {
		if _, err := endOne(db, id, counterfoil.ReasonReplaced, c.Entry.Time); err != nil {
			return err
		}
	}
	return liveParent(db, r, c) // the parent may have gone with them
}

// counting selects the sessions that count for a limit.
const counting = "subject = ? AND kind = ? AND parent IS NULL AND idle_end > ? AND absolute_end > ?"

// countingValues are what counting compares with.
func countingValues(r *counterfoil.Record, now time.Time) []any {
	return []any{blob(r.Subject), uint8(r.Kind), now.UnixMilli(), now.UnixMilli()}
}

// place writes r with its created entry, having made room under its subject's limit. Mostly there is
// room, so that one statement sees to both: without room its kind is NULL, which the column does not take.
func place(db *tx, r *counterfoil.Record, c counterfoil.Creation) (seq uint64, evicted []counterfoil.ID, err error) {
	if limited(r, c) {
		args := append(append(countingValues(r, c.Limit.Now), c.Limit.Max), sessionValues(db.log.head+1, r, c.Entry)...)
		_, err = db.exec(insertSession+"VALUES (CASE WHEN (SELECT count(*) FROM session WHERE "+counting+") < ? THEN ? END, "+otherMarks+")", args...)
		if failed(err, lib.SQLITE_CONSTRAINT_NOTNULL) {
			evicted, err = keepLimit(db, r, c)
			if err != nil {
				return 0, nil, err
			}
			err = placeAnyway(db, r, c)
		}
	} else {
		err = placeAnyway(db, r, c)
	}
	if failed(err, lib.SQLITE_CONSTRAINT_UNIQUE) {
		err = counterfoil.ErrExists
	}
	if err != nil {
		return 0, nil, err
	}
	c.Entry.Kind = counterfoil.EntryCreated
	return db.log.wrote(&c.Entry), evicted, nil
}

func placeAnyway(db *tx, r *counterfoil.Record, c counterfoil.Creation) error {
	_, err := db.exec(insertSession+"VALUES (?, "+otherMarks+")", sessionValues(db.log.head+1, r, c.Entry)...)
	return err
}

// notTaken refuses the ID of a session.
func notTaken(db *tx, id counterfoil.ID) error {
	var exists bool
	err := db.row("SELECT EXISTS (SELECT 1 FROM session WHERE id = ?)", id[:]).Scan(&exists)
	if exists {
		err = counterfoil.ErrExists
	}
	return err
}

func liveParent(db *tx, r *counterfoil.Record, c counterfoil.Creation) error {
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
func notSuperseded(db *tx, r *counterfoil.Record, since uint64) error {
	if since == 0 {
		return nil
	}
	if since <= db.log.floor || since > db.log.head+1 {
		return counterfoil.ErrSuperseded
	}
	if since > db.log.wide {
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
func keepLimit(db *tx, r *counterfoil.Record, c counterfoil.Creation) ([]counterfoil.ID, error) {
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
		countingValues(r, c.Limit.Now)...)
	if err != nil {
		return nil, err
	}
	if slices.Contains(live, r.ID) {
		return nil, counterfoil.ErrExists
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
