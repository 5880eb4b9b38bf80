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
	err := s.write(ctx, true, func(db *conn) (err error) {
		done, err = revoke(db, e)
		return err
	})
	if err != nil {
		return counterfoil.Revoked{}, err
	}
	return done, nil
}

func revoke(db *conn, e counterfoil.Entry) (counterfoil.Revoked, error) {
	done, err := recall(db, e.Op)
	if err != nil {
		return counterfoil.Revoked{}, err
	}
	if done != nil {
		return counterfoil.Revoked{Seq: done.seq, Ended: done.ended, Count: int(done.number)}, nil
	}
	result, err := end(db, e, false)
	if err != nil || result.Count == 0 && e.Kind == counterfoil.EntryEnded {
		return result, err // nothing was appended, nothing is to be remembered
	}
	return result, remember(db, e.Op, answered{seq: result.Seq, session: e.Session, number: uint64(result.Count), ended: result.Ended})
}

// endOne ends the session of that ID, if there is one, and those that hang on it, with an entry each.
func endOne(db *conn, id counterfoil.ID, why counterfoil.Reason, at time.Time) (counterfoil.Revoked, error) {
	return end(db, counterfoil.Entry{Kind: counterfoil.EntryEnded, Session: id, Reason: why, Time: at}, true)
}

// member is what an end needs to know of a session.
type member struct {
	row    int64
	record counterfoil.Record // ID, Subject, Actor, Parent, Root and Epoch alone
}

func members(db *conn, where string, args ...any) (found []member, err error) {
	err = db.each(func(row scanner) error {
		var m member
		var id, subject, actor, parent, root []byte
		var epoch int64
		err := row.Scan(&m.row, &id, &subject, &actor, &parent, &root, &epoch)
		m.record = counterfoil.Record{
			ID: sqlrow.FromBlob[counterfoil.ID](id), Parent: sqlrow.FromBlob[counterfoil.ID](parent), Root: sqlrow.FromBlob[counterfoil.ID](root),
			Subject: sqlrow.FromBlob[counterfoil.SubjectHash](subject), Actor: sqlrow.FromBlob[counterfoil.SubjectHash](actor), Epoch: uint64(epoch),
		}
		found = append(found, m)
		return err
	}, "SELECT row, id, subject, actor, parent, root, epoch FROM session WHERE "+where, args...)
	return found, err
}

// end appends e and removes what it covers and what hangs on that. A descendant that e does not
// cover gets an ended entry of its own; with each, every descendant does.
func end(db *conn, e counterfoil.Entry, each bool) (done counterfoil.Revoked, err error) {
	if e.Kind == counterfoil.EntryEndedAll {
		return endAll(db, e)
	}
	var ending []member
	if e.Kind == counterfoil.EntryEnded {
		ending, err = members(db, "id = ?1", blob(e.Session))
	} else {
		ending, err = members(db, "subject = ?1 OR actor = ?1", blob(e.Subject))
		ending = slices.DeleteFunc(ending, func(m member) bool { return !e.Ends(&m.record) })
	}
	if err != nil {
		return done, err
	}
	if e.Kind == counterfoil.EntryEnded {
		if len(ending) == 0 {
			done.Seq, _, _, err = ends(db)
			return done, err
		}
		e = of(e, &ending[0].record)
	}
	if done.Seq, err = appendEntry(db, e); err != nil {
		return done, err
	}
	known := make(map[int64]bool, len(ending))
	for _, m := range ending {
		known[m.row] = true
	}
	for i := 0; i < len(ending); i++ { // grows: children follow their parents
		children, err := members(db, "parent = ?1 OR root = ?1", ending[i].record.ID[:])
		if err != nil {
			return done, err
		}
		for _, m := range children {
			if known[m.row] {
				continue
			}
			known[m.row] = true
			ending = append(ending, m)
			if e.Ends(&m.record) && !each {
				continue
			}
			own := of(counterfoil.Entry{Kind: counterfoil.EntryEnded, Reason: counterfoil.ReasonParent, Time: e.Time}, &m.record)
			if done.Seq, err = appendEntry(db, own); err != nil {
				return done, err
			}
		}
	}
	for i, m := range ending {
		if _, err := db.exec("DELETE FROM session WHERE row = ?", m.row); err != nil {
			return done, err
		}
		if i < counterfoil.MaxEndedListed {
			done.Ended = append(done.Ended, m.record.ID)
		}
	}
	done.Count = len(ending)
	return done, nil
}

// endAll is one entry and one statement, which SQLite carries out without looking at the rows.
func endAll(db *conn, e counterfoil.Entry) (done counterfoil.Revoked, err error) {
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
	if _, err := db.exec("DELETE FROM session"); err != nil {
		return done, err
	}
	done.Seq, err = appendEntry(db, e)
	return done, err
}
