package sqlite

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store/internal/sqlrow"
)

// Revoke implements counterfoil.Store.
func (s *Store) Revoke(ctx context.Context, e counterfoil.Entry) (counterfoil.Revoked, error) {
	if e.Kind != counterfoil.EntryEnded && e.Kind != counterfoil.EntryEndedSubject && e.Kind != counterfoil.EntryEndedAll {
		return counterfoil.Revoked{}, fmt.Errorf("sqlite: an entry of kind %d ends nothing; revoke with one that does", e.Kind)
	}
	if len(e.Except) > counterfoil.MaxExcept {
		return counterfoil.Revoked{}, fmt.Errorf("sqlite: %d sessions to spare; name at most %d", len(e.Except), counterfoil.MaxExcept)
	}
	e.Except, e.Detail = slices.Clone(e.Except), slices.Clone(e.Detail)
	var done counterfoil.Revoked
	err := s.write(ctx, true, func(db *tx) (err error) {
		done, err = revoke(db, e)
		return err
	})
	if err != nil {
		return counterfoil.Revoked{}, err
	}
	return done, nil
}

func revoke(db *tx, e counterfoil.Entry) (counterfoil.Revoked, error) {
	done, err := recall(db, e.Op)
	if err != nil {
		return counterfoil.Revoked{}, err
	}
	if done != nil {
		return counterfoil.Revoked{Seq: done.seq, Ended: done.ended, Count: int(done.number)}, nil
	}
	result, err := end(db, e, false)
	if err != nil || e.Kind == counterfoil.EntryEnded && result.Count <= 1 {
		return result, err // nothing was appended, or what recall says by itself
	}
	return result, remember(db, e.Op, answered{seq: result.Seq, number: uint64(result.Count), ended: result.Ended})
}

// endOne ends the session of that ID, if there is one, and those that hang on it, with an entry each.
func endOne(db *tx, id counterfoil.ID, why counterfoil.Reason, at time.Time) (counterfoil.Revoked, error) {
	return end(db, counterfoil.Entry{Kind: counterfoil.EntryEnded, Session: id, Reason: why, Time: at}, true)
}

// clearColumns are what an end needs to know of a session.
const clearColumns = "id, subject, actor, parent, root, epoch"

func clearRecords(db *tx, query string, args ...any) (found []*counterfoil.Record, err error) {
	err = db.each(func(row scanner) error {
		var id, subject, actor, parent, root []byte
		var epoch int64
		err := row.Scan(&id, &subject, &actor, &parent, &root, &epoch)
		found = append(found, &counterfoil.Record{
			ID: sqlrow.FromBlob[counterfoil.ID](id), Parent: sqlrow.FromBlob[counterfoil.ID](parent), Root: sqlrow.FromBlob[counterfoil.ID](root),
			Subject: sqlrow.FromBlob[counterfoil.SubjectHash](subject), Actor: sqlrow.FromBlob[counterfoil.SubjectHash](actor), Epoch: uint64(epoch),
		})
		return err
	}, query, args...)
	return found, err
}

// keepCreated is followed by which entries that stand in sessions' rows are to stay when those go.
const keepCreated = "INSERT OR FAIL INTO log SELECT * FROM created WHERE "

// remove deletes the session of that ID, if there is one.
func remove(db *tx, id counterfoil.ID) ([]*counterfoil.Record, error) {
	if _, err := db.exec(keepCreated+"session = ? AND seq > ?", id[:], int64(db.log.floor)); err != nil {
		return nil, err
	}
	return clearRecords(db, "DELETE FROM session WHERE id = ? RETURNING "+clearColumns, id[:])
}

// covered removes what e covers by itself and returns it.
func covered(db *tx, e counterfoil.Entry) (gone []*counterfoil.Record, err error) {
	if e.Kind == counterfoil.EntryEnded {
		return remove(db, e.Session)
	}
	all, err := clearRecords(db, "SELECT "+clearColumns+" FROM session WHERE subject = ?1 OR actor = ?1", blob(e.Subject))
	for _, r := range all {
		if err == nil && e.Ends(r) {
			gone = append(gone, r)
			_, err = remove(db, r.ID)
		}
	}
	return gone, err
}

// end appends e and removes what it covers and what hangs on that. A descendant that e does not
// cover gets an ended entry of its own; with each, every descendant does.
func end(db *tx, e counterfoil.Entry, each bool) (done counterfoil.Revoked, err error) {
	if e.Kind == counterfoil.EntryEndedAll {
		return endAll(db, e)
	}
	gone, err := covered(db, e)
	if err != nil {
		return done, err
	}
	if e.Kind == counterfoil.EntryEnded {
		if len(gone) == 0 {
			return counterfoil.Revoked{Seq: db.log.head}, nil
		}
		e = of(e, gone[0])
	}
	if done.Seq, err = appendEntry(db, e); err != nil {
		return done, err
	}
	for i := 0; i < len(gone); i++ { // grows: children follow their parents
		children, err := clearRecords(db, "SELECT "+clearColumns+" FROM session WHERE parent = ?1 OR root = ?1", gone[i].ID[:])
		if err != nil {
			return done, err
		}
		for _, r := range children {
			if _, err := remove(db, r.ID); err != nil {
				return done, err
			}
			gone = append(gone, r)
			if e.Ends(r) && !each {
				continue
			}
			own := of(counterfoil.Entry{Kind: counterfoil.EntryEnded, Reason: counterfoil.ReasonParent, Time: e.Time}, r)
			if done.Seq, err = appendEntry(db, own); err != nil {
				return done, err
			}
		}
	}
	for _, r := range gone[:min(len(gone), counterfoil.MaxEndedListed)] {
		done.Ended = append(done.Ended, r.ID)
	}
	done.Count = len(gone)
	return done, nil
}

// endAll is one entry, and one statement that SQLite carries out without looking at the rows; only the
// log's entries in them are looked for.
func endAll(db *tx, e counterfoil.Entry) (done counterfoil.Revoked, err error) {
	err = db.each(func(row scanner) error {
		var id []byte
		err := row.Scan(&id)
		done.Ended = append(done.Ended, sqlrow.FromBlob[counterfoil.ID](id))
		return err
	}, "SELECT id FROM session LIMIT ?", counterfoil.MaxEndedListed)
	if err != nil {
		return done, err
	}
	if err := db.row("SELECT count(*) FROM session").Scan(&done.Count); err != nil {
		return done, err
	}
	if _, err := db.exec(keepCreated+"seq > ?", int64(db.log.floor)); err != nil {
		return done, err
	}
	if _, err := db.exec("DELETE FROM session"); err != nil {
		return done, err
	}
	done.Seq, err = appendEntry(db, e)
	return done, err
}
