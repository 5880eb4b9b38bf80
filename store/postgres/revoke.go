package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/jackc/pgx/v5"
)

// Revoke implements counterfoil.Store.
func (s *Store) Revoke(ctx context.Context, e counterfoil.Entry) (counterfoil.Revoked, error) {
	locks := lockOp(e.Op)
	switch e.Kind {
	case counterfoil.EntryEnded:
	case counterfoil.EntryEndedSubject:
		locks = append(locks, subjects(e.Subject)...)
	case counterfoil.EntryEndedAll:
		locks = append(locks, everybody())
	default:
		return counterfoil.Revoked{}, fmt.Errorf("postgres: an entry of kind %d ends nothing; revoke with one that does", e.Kind)
	}
	if len(e.Except) > counterfoil.MaxExcept {
		return counterfoil.Revoked{}, fmt.Errorf("postgres: %d sessions to spare; name at most %d", len(e.Except), counterfoil.MaxExcept)
	}
	var done counterfoil.Revoked
	err := s.write(ctx, locks, func(t *tx) error {
		done = counterfoil.Revoked{}
		return t.revoke(ctx, e, &done)
	})
	if err != nil {
		return counterfoil.Revoked{}, err
	}
	return done, nil
}

func (t *tx) revoke(ctx context.Context, e counterfoil.Entry, done *counterfoil.Revoked) error {
	first, err := t.recall(ctx, e.Op)
	if err != nil {
		return err
	}
	if first != nil {
		*done = counterfoil.Revoked{Seq: first.seq, Ended: first.ended, Count: int(first.number)}
		return nil
	}
	if e.Kind == counterfoil.EntryEndedAll {
		return t.endAll(ctx, e, done)
	}
	gone, err := t.end(ctx, e, false)
	if err != nil {
		return err
	}
	if len(gone.entries) == 0 {
		var head int64
		err := t.QueryRow(ctx, "SELECT seq FROM cf_log_head").Scan(&head)
		done.Seq = uint64(head)
		return err // nothing was appended, nothing is to be remembered
	}
	done.Count = len(gone.ids)
	done.Ended = gone.ids[:min(len(gone.ids), counterfoil.MaxEndedListed)]
	t.append(gone.entries, &done.Seq)
	t.remember(e.Op, answered{session: e.Session, number: uint64(done.Count), ended: done.Ended})
	return nil
}

// ending is what went, and the entries that say so.
type ending struct {
	ids     []counterfoil.ID
	entries []counterfoil.Entry
}

// endOne ends the session of that ID, if there is one, and those that hang on it, with an entry each.
func (t *tx) endOne(ctx context.Context, id counterfoil.ID, why counterfoil.Reason, at time.Time) (ending, error) {
	return t.end(ctx, counterfoil.Entry{Kind: counterfoil.EntryEnded, Session: id, Reason: why, Time: at}, true)
}

const memberColumns = "id, subject, actor, parent, root, epoch"

// scanMember reads memberColumns, and what the caller selected behind them. Of the record only what an
// end needs to know is filled in.
func scanMember(row pgx.Row, more ...any) (*counterfoil.Record, error) {
	var id, subject, actor, parent, root []byte
	var epoch int64
	err := row.Scan(append([]any{&id, &subject, &actor, &parent, &root, &epoch}, more...)...)
	return &counterfoil.Record{
		ID: fromBlob[counterfoil.ID](id), Parent: fromBlob[counterfoil.ID](parent), Root: fromBlob[counterfoil.ID](root),
		Subject: fromBlob[counterfoil.SubjectHash](subject), Actor: fromBlob[counterfoil.SubjectHash](actor), Epoch: uint64(epoch),
	}, err
}

// members finds sessions and keeps everybody else from them, so that they get no further children.
func (t *tx) members(ctx context.Context, where string, args ...any) (found []*counterfoil.Record, err error) {
	err = each(ctx, t.Conn, func(row pgx.Row) error {
		r, err := scanMember(row)
		found = append(found, r)
		return err
	}, "SELECT "+memberColumns+" FROM cf_session WHERE "+where+" FOR UPDATE", args...)
	return found, err
}

// end removes what e covers and what hangs on that, and returns e and the entries that follow from
// it. A descendant that e does not cover gets an ended entry of its own; with all, every one does.
func (t *tx) end(ctx context.Context, e counterfoil.Entry, all bool) (gone ending, err error) {
	var first []*counterfoil.Record
	if e.Kind == counterfoil.EntryEnded {
		first, err = t.members(ctx, "id = $1", blob(e.Session))
	} else {
		first, err = t.members(ctx, "id IN (SELECT id FROM cf_session WHERE subject = $1 UNION SELECT id FROM cf_session WHERE actor = $1) ORDER BY id", blob(e.Subject))
	}
	if err != nil {
		return gone, err
	}
	if e.Kind == counterfoil.EntryEnded {
		if len(first) == 0 {
			return gone, nil
		}
		e = of(e, first[0])
	}
	gone.entries = []counterfoil.Entry{e}
	for _, r := range first {
		if e.Ends(r) {
			gone.ids = append(gone.ids, r.ID)
		}
	}
	err = t.endDescendants(ctx, &gone, func(r *counterfoil.Record) *counterfoil.Entry {
		if e.Ends(r) && !all {
			return nil
		}
		return &counterfoil.Entry{Kind: counterfoil.EntryEnded, Reason: counterfoil.ReasonParent, Time: e.Time}
	})
	return gone, err
}

// endDescendants adds what hangs on those that go, each with the entry that say gives it, and
// removes them all.
func (t *tx) endDescendants(ctx context.Context, gone *ending, say func(*counterfoil.Record) *counterfoil.Entry) error {
	known := make(map[counterfoil.ID]bool, len(gone.ids))
	for _, id := range gone.ids {
		known[id] = true
	}
	for parents := raw(gone.ids); len(parents) > 0; { // one generation a round
		children, err := t.members(ctx, "id IN (SELECT id FROM cf_session WHERE parent = ANY($1) UNION SELECT id FROM cf_session WHERE root = ANY($1)) ORDER BY id", parents)
		if err != nil {
			return err
		}
		parents = nil
		for _, r := range children {
			if known[r.ID] {
				continue
			}
			known[r.ID] = true
			gone.ids, parents = append(gone.ids, r.ID), append(parents, r.ID[:])
			if own := say(r); own != nil {
				gone.entries = append(gone.entries, of(*own, r))
			}
		}
	}
	if len(gone.ids) == 0 {
		return nil
	}
	_, err := t.Exec(ctx, "DELETE FROM cf_session WHERE id = ANY($1)", raw(gone.ids))
	return err
}

func raw(ids []counterfoil.ID) (b [][]byte) {
	for _, id := range ids {
		b = append(b, id[:])
	}
	return b
}

// endAll empties the table in one message with the commit, so that it is finished even if the
// caller's patience ends before a large table is empty; asking again then finds the answer.
func (t *tx) endAll(ctx context.Context, e counterfoil.Entry, done *counterfoil.Revoked) error {
	err := each(ctx, t.Conn, func(row pgx.Row) error {
		var id []byte
		err := row.Scan(&id)
		done.Ended = append(done.Ended, fromBlob[counterfoil.ID](id))
		return err
	}, "SELECT id FROM cf_session LIMIT $1", counterfoil.MaxEndedListed)
	if err != nil {
		return err
	}
	if err := t.QueryRow(ctx, "SELECT count(*) FROM cf_session").Scan(&done.Count); err != nil {
		return err
	}
	t.last.Queue("DELETE FROM cf_session")
	t.append([]counterfoil.Entry{e}, &done.Seq)
	t.remember(e.Op, answered{number: uint64(done.Count), ended: done.Ended})
	return nil
}
