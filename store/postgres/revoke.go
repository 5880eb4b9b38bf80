package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store/internal/sqlrow"
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
	var first *answered
	var found, under []*counterfoil.Record
	var done counterfoil.Revoked
	ask := func(b *pgx.Batch) {
		recall(b, e.Op, &first)
		switch e.Kind {
		case counterfoil.EntryEnded:
			askFamily(b, e.Session, &found, &under)
		case counterfoil.EntryEndedSubject:
			members(b, &found, "id IN (SELECT id FROM cf_session WHERE subject = $1 UNION SELECT id FROM cf_session WHERE actor = $1) ORDER BY id", sqlrow.Blob(e.Subject))
		}
	}
	err := s.writeAfter(ctx, locks, ask, func(t *tx) error {
		done = counterfoil.Revoked{}
		switch {
		case first != nil:
			done = counterfoil.Revoked{Seq: first.seq, Ended: first.ended, Count: int(first.number)}
			return nil
		case e.Kind == counterfoil.EntryEndedAll:
			return t.endAll(ctx, e, &done)
		}
		return t.revoke(ctx, e, found, under, &done)
	})
	if err != nil {
		return counterfoil.Revoked{}, err
	}
	return done, nil
}

func (t *tx) revoke(ctx context.Context, e counterfoil.Entry, found, under []*counterfoil.Record, done *counterfoil.Revoked) error {
	var gone ending
	if err := t.end(ctx, &gone, e, found, under, false); err != nil {
		return err
	}
	if len(gone.entries) == 0 {
		// Nothing is appended, nothing is to be remembered. But what ended it before may be known here
		// alone, if a wait for the standby was broken off: so this commit has something to wait for.
		t.last.Queue("SELECT pg_logical_emit_message(true, 'counterfoil', '')")
		t.last.Queue("SELECT seq FROM cf_log_head").QueryRow(func(row pgx.Row) error {
			var head int64
			err := row.Scan(&head)
			done.Seq = uint64(head)
			return err
		})
		return nil
	}
	done.Count = len(gone.ids)
	done.Ended = gone.ids[:min(len(gone.ids), counterfoil.MaxEndedListed)]
	t.remove(&gone)
	t.hint()
	t.append(gone.entries, &done.Seq)
	t.remember(e.Op, answered{session: e.Session, number: uint64(done.Count), ended: done.Ended})
	return nil
}

// ending is what a transaction ends, and the entries that say so.
type ending struct {
	ids     []counterfoil.ID
	entries []counterfoil.Entry
	known   map[counterfoil.ID]bool
}

func (g *ending) has(id counterfoil.ID) bool { return g.known[id] }

// add notes that a session goes; false: it goes already.
func (g *ending) add(id counterfoil.ID) bool {
	if g.known[id] {
		return false
	}
	if g.known == nil {
		g.known = make(map[counterfoil.ID]bool)
	}
	g.known[id] = true
	g.ids = append(g.ids, id)
	return true
}

// endOne ends the session of that ID, if there is one, and those that hang on it, with an entry each.
func (t *tx) endOne(ctx context.Context, gone *ending, id counterfoil.ID, why counterfoil.Reason, at time.Time) (ended bool, err error) {
	if gone.has(id) {
		return false, nil
	}
	var found, under []*counterfoil.Record
	b := &pgx.Batch{}
	askFamily(b, id, &found, &under)
	if err := t.SendBatch(ctx, b).Close(); err != nil {
		return false, err
	}
	e := counterfoil.Entry{Kind: counterfoil.EntryEnded, Session: id, Reason: why, Time: at}
	return len(found) > 0, t.end(ctx, gone, e, found, under, true)
}

const memberColumns = "id, subject, actor, parent, root, epoch"

// scanMember reads memberColumns, and what the caller selected behind them. Of the record only what an
// end needs to know is filled in.
func scanMember(row pgx.Row, more ...any) (*counterfoil.Record, error) {
	var id, subject, actor, parent, root []byte
	var epoch int64
	err := row.Scan(append([]any{&id, &subject, &actor, &parent, &root, &epoch}, more...)...)
	return &counterfoil.Record{
		ID: sqlrow.FromBlob[counterfoil.ID](id), Parent: sqlrow.FromBlob[counterfoil.ID](parent), Root: sqlrow.FromBlob[counterfoil.ID](root),
		Subject: sqlrow.FromBlob[counterfoil.SubjectHash](subject), Actor: sqlrow.FromBlob[counterfoil.SubjectHash](actor), Epoch: uint64(epoch),
	}, err
}

// members asks for sessions and keeps everybody else from them, so that they get no further children.
func members(b *pgx.Batch, found *[]*counterfoil.Record, where string, args ...any) {
	*found = nil
	queueEach(b, func(row pgx.Row) error {
		r, err := scanMember(row)
		*found = append(*found, r)
		return err
	}, "SELECT "+memberColumns+" FROM cf_session WHERE "+where+" FOR UPDATE", args...)
}

const hangOn = "id IN (SELECT id FROM cf_session WHERE parent = ANY($1) UNION SELECT id FROM cf_session WHERE root = ANY($1)) ORDER BY id"

// askFamily asks for a session and for those that hang on it.
func askFamily(b *pgx.Batch, id counterfoil.ID, found, under *[]*counterfoil.Record) {
	members(b, found, "id = $1", id[:])
	members(b, under, hangOn, [][]byte{id[:]})
}

// under returns those that hang on some.
func (t *tx) under(ctx context.Context, ids []counterfoil.ID) (found []*counterfoil.Record, err error) {
	b := &pgx.Batch{}
	members(b, &found, hangOn, raw(ids))
	return found, t.SendBatch(ctx, b).Close()
}

// end adds what e covers of the sessions found, and what hangs on that, and the entries that follow
// from it, e's own first. under hangs on the one session that e is about, if it is about one. A
// descendant that e does not cover gets an ended entry of its own; with all, every one does.
func (t *tx) end(ctx context.Context, gone *ending, e counterfoil.Entry, found, under []*counterfoil.Record, all bool) (err error) {
	if e.Kind == counterfoil.EntryEnded {
		if len(found) == 0 {
			return nil
		}
		e = of(e, found[0])
	}
	gone.entries = append(gone.entries, e)
	for _, r := range found {
		if e.Ends(r) {
			gone.add(r.ID)
		}
	}
	if e.Kind != counterfoil.EntryEnded && len(gone.ids) > 0 {
		if under, err = t.under(ctx, gone.ids); err != nil {
			return err
		}
	}
	return t.endDescendants(ctx, gone, under, func(r *counterfoil.Record) *counterfoil.Entry {
		if e.Ends(r) && !all {
			return nil
		}
		return &counterfoil.Entry{Kind: counterfoil.EntryEnded, Reason: counterfoil.ReasonParent, Time: e.Time}
	})
}

// endDescendants adds the sessions that hang on those that go, and what hangs on them in turn, each
// with the entry that say gives it.
func (t *tx) endDescendants(ctx context.Context, gone *ending, under []*counterfoil.Record, say func(*counterfoil.Record) *counterfoil.Entry) (err error) {
	for len(under) > 0 { // one generation a round
		var next []counterfoil.ID
		for _, r := range under {
			if !gone.add(r.ID) {
				continue
			}
			next = append(next, r.ID)
			if own := say(r); own != nil {
				gone.entries = append(gone.entries, of(*own, r))
			}
		}
		if len(next) == 0 {
			return nil
		}
		if under, err = t.under(ctx, next); err != nil {
			return err
		}
	}
	return nil
}

// remove removes them with the commit.
func (t *tx) remove(gone *ending) {
	if len(gone.ids) > 0 {
		t.last.Queue("DELETE FROM cf_session WHERE id = ANY($1)", raw(gone.ids))
	}
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
		done.Ended = append(done.Ended, sqlrow.FromBlob[counterfoil.ID](id))
		return err
	}, "SELECT id FROM cf_session LIMIT $1", counterfoil.MaxEndedListed)
	if err != nil {
		return err
	}
	if err := t.QueryRow(ctx, "SELECT count(*) FROM cf_session").Scan(&done.Count); err != nil {
		return err
	}
	t.last.Queue("DELETE FROM cf_session")
	t.hint()
	t.append([]counterfoil.Entry{e}, &done.Seq)
	t.remember(e.Op, answered{number: uint64(done.Count), ended: done.Ended})
	return nil
}
