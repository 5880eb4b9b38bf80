package postgres

import (
	"context"
	"errors"
	"iter"

	"github.com/counterfoil/counterfoil"
	"github.com/jackc/pgx/v5"
)

const loadOne = "SELECT " + recordColumns + " FROM cf_session WHERE id = $1"

// Load implements counterfoil.Store. It is one statement.
func (s *Store) Load(ctx context.Context, id counterfoil.ID) (rec *counterfoil.Record, err error) {
	err = s.read(ctx, func(c *pgx.Conn) (err error) {
		rec, err = scanRecord(c.QueryRow(ctx, loadOne, id[:]))
		if errors.Is(err, pgx.ErrNoRows) {
			err = counterfoil.ErrNotFound
		}
		return err
	})
	return rec, err
}

// Update implements counterfoil.Store. Without an entry it is one statement, which commits by itself.
func (s *Store) Update(ctx context.Context, rec *counterfoil.Record, changed *counterfoil.Entry) error {
	revision := rec.Revision + 1
	var err error
	if changed == nil {
		err = s.statement(ctx, func(c *pgx.Conn) error {
			done, err := c.Exec(ctx, updateRecord, updates(rec, counterfoil.OpID{})...)
			if err == nil && done.RowsAffected() == 0 {
				err = overtaken(ctx, c, rec.ID)
			}
			return err
		})
	} else {
		revision, err = s.updateLogged(ctx, rec, changed)
	}
	if err == nil {
		rec.Revision = revision
	}
	return err
}

func (s *Store) updateLogged(ctx context.Context, rec *counterfoil.Record, changed *counterfoil.Entry) (revision uint64, err error) {
	var first *answered
	var now *counterfoil.Record // as it is after the update; nil: it was not there, or of another revision
	ask := func(b *pgx.Batch) {
		now = nil
		recall(b, changed.Op, &first)
		queueEach(b, func(row pgx.Row) (err error) {
			now, err = scanMember(row)
			return err
		}, updateRecord+" RETURNING "+memberColumns, updates(rec, changed.Op)...)
	}
	err = s.writeAfter(ctx, lockOp(changed.Op), ask, func(t *tx) error {
		switch {
		case first != nil && first.session != rec.ID:
			return counterfoil.ErrConflict
		case first != nil:
			revision = first.number
			return nil
		case now == nil:
			return overtaken(ctx, t.Conn, rec.ID)
		}
		revision = rec.Revision + 1
		e := of(*changed, now)
		e.Kind, e.Revision = counterfoil.EntryChanged, revision
		var seq uint64
		t.append([]counterfoil.Entry{e}, &seq)
		t.remember(e.Op, answered{session: rec.ID, number: revision})
		return nil
	})
	return revision, err
}

// updateRecord leaves alone what the same operation has updated before.
const updateRecord = "UPDATE cf_session SET idle_end = greatest(idle_end, least($1, absolute_end)), identity_key = $2, values_key = $3, " +
	"identity_count = $4, values_count = $5, sealed = $6, vals = $7, verifier_key = $8, epoch = $9, revision = revision + 1 " +
	"WHERE id = $10 AND revision = $11 AND NOT EXISTS (SELECT 1 FROM cf_op WHERE op = $12)"

// updates are the arguments of updateRecord.
func updates(r *counterfoil.Record, op counterfoil.OpID) []any {
	return []any{r.IdleEnd.UnixMilli(), int64(r.IdentityKey), int64(r.ValuesKey), int64(r.IdentityCount), int64(r.ValuesCount),
		r.Identity, r.Values, int64(r.VerifierKey), int64(r.Epoch), r.ID[:], int64(r.Revision), op[:]}
}

// overtaken says why there was nothing to update.
func overtaken(ctx context.Context, c *pgx.Conn, id counterfoil.ID) error {
	var exists bool
	if err := c.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM cf_session WHERE id = $1)", id[:]).Scan(&exists); err != nil {
		return err
	}
	if exists {
		return counterfoil.ErrConflict
	}
	return counterfoil.ErrNotFound
}

// Touch implements counterfoil.Store: one statement, which takes the rows in order of ID.
func (s *Store) Touch(ctx context.Context, batch []counterfoil.Touch) error {
	if len(batch) == 0 {
		return ctx.Err()
	}
	// A row is raised once by a statement, so what a batch says of one session is put together.
	latest := make(map[counterfoil.ID]counterfoil.Touch, len(batch))
	for _, b := range batch {
		if old, ok := latest[b.ID]; ok {
			if old.Seen.After(b.Seen) {
				b.Seen = old.Seen
			}
			if old.IdleEnd.After(b.IdleEnd) {
				b.IdleEnd = old.IdleEnd
			}
		}
		latest[b.ID] = b
	}
	var ids [][]byte
	var seen, idle []int64
	for id, b := range latest {
		ids, seen, idle = append(ids, id[:]), append(seen, b.Seen.UnixMilli()), append(idle, b.IdleEnd.UnixMilli())
	}
	return s.writeLazily(ctx, nil, func(t *tx) error {
		t.last.Queue("WITH t AS (SELECT s.id, b.seen, b.idle FROM cf_session s JOIN unnest($1::bytea[], $2::bigint[], $3::bigint[]) AS b(id, seen, idle) ON s.id = b.id "+
			"WHERE s.seen < b.seen OR s.idle_end < b.idle ORDER BY s.id FOR NO KEY UPDATE OF s) "+
			"UPDATE cf_session s SET seen = greatest(s.seen, t.seen), idle_end = greatest(s.idle_end, least(t.idle, s.absolute_end)) FROM t WHERE s.id = t.id",
			ids, seen, idle)
		return nil
	})
}

// page is how many records are read before they are given out, with no connection held meanwhile.
const page = 64

// The queries behind List: each page goes on where the last one stopped.
const (
	listOwn    = "SELECT " + recordColumns + " FROM cf_session WHERE subject = $1 AND born > $2 ORDER BY born LIMIT $3"
	listActing = "SELECT " + recordColumns + " FROM cf_session WHERE actor = $1 AND subject IS DISTINCT FROM $1 AND born > $2 ORDER BY born LIMIT $3"
)

// List implements counterfoil.Store.
func (s *Store) List(ctx context.Context, subject counterfoil.SubjectHash) iter.Seq2[*counterfoil.Record, error] {
	return func(yield func(*counterfoil.Record, error) bool) {
		if subject == (counterfoil.SubjectHash{}) {
			return
		}
		for _, query := range []string{listOwn, listActing} {
			for after, more := uint64(0), true; more; {
				records, err := s.records(ctx, query, subject[:], int64(after), page)
				if err != nil {
					yield(nil, err)
					return
				}
				for _, r := range records {
					if !yield(r, nil) {
						return
					}
					after = r.Born
				}
				more = len(records) == page
			}
		}
	}
}

// Scan implements counterfoil.Store.
func (s *Store) Scan(ctx context.Context, after counterfoil.ID, max int) ([]*counterfoil.Record, error) {
	return s.records(ctx, "SELECT "+recordColumns+" FROM cf_session WHERE id > $1 ORDER BY id LIMIT $2", after[:], max)
}

func (s *Store) records(ctx context.Context, query string, args ...any) (records []*counterfoil.Record, err error) {
	err = s.read(ctx, func(c *pgx.Conn) error {
		records = nil
		return each(ctx, c, func(row pgx.Row) error {
			r, err := scanRecord(row)
			records = append(records, r)
			return err
		}, query, args...)
	})
	if err != nil {
		return nil, err
	}
	return records, nil
}
