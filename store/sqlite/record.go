package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"iter"
	"slices"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store/internal/sqlrow"
)

// Load implements counterfoil.Store.
func (s *Store) Load(ctx context.Context, id counterfoil.ID) (rec *counterfoil.Record, err error) {
	err = s.read(ctx, func(db *conn) (err error) {
		rec, err = scanRecord(db.row("SELECT "+recordColumns+" FROM session WHERE id = ?", id[:]))
		return err
	})
	if errors.Is(err, sql.ErrNoRows) {
		err = counterfoil.ErrNotFound
	}
	return rec, err
}

// Update implements counterfoil.Store.
func (s *Store) Update(ctx context.Context, rec *counterfoil.Record, changed *counterfoil.Entry) error {
	r := rec.Clone()
	var entry *counterfoil.Entry
	if changed != nil {
		e := *changed
		e.Detail = slices.Clone(e.Detail)
		entry = &e
	}
	err := s.write(ctx, true, func(db *tx) error { return update(db, r, entry) })
	if err == nil {
		rec.Revision = r.Revision
	}
	return err
}

func update(db *tx, r *counterfoil.Record, changed *counterfoil.Entry) error {
	if changed != nil {
		if done, err := recall(db, changed.Op); err != nil {
			return err
		} else if done != nil {
			if done.session != r.ID {
				return counterfoil.ErrConflict
			}
			r.Revision = done.number
			return nil
		}
	}
	var subject, actor, parent, root []byte
	err := db.row("UPDATE session SET idle_end = max(idle_end, min(?, absolute_end)), identity_key = ?, values_key = ?, "+
		"identity_count = ?, values_count = ?, sealed = ?, vals = ?, verifier_key = ?, epoch = ?, revision = revision + 1 "+
		"WHERE id = ? AND revision = ? RETURNING subject, actor, parent, root",
		r.IdleEnd.UnixMilli(), uint32(r.IdentityKey), uint32(r.ValuesKey), int64(r.IdentityCount), int64(r.ValuesCount),
		r.Identity, r.Values, uint32(r.VerifierKey), int64(r.Epoch), r.ID[:], int64(r.Revision),
	).Scan(&subject, &actor, &parent, &root)
	if errors.Is(err, sql.ErrNoRows) {
		var exists bool
		if err := db.row("SELECT EXISTS (SELECT 1 FROM session WHERE id = ?)", r.ID[:]).Scan(&exists); err != nil {
			return err
		} else if exists {
			return counterfoil.ErrConflict
		}
		return counterfoil.ErrNotFound
	}
	if err != nil {
		return err
	}
	r.Revision++
	if changed == nil {
		return nil
	}
	e := *changed
	e.Kind, e.Session, e.Revision = counterfoil.EntryChanged, r.ID, r.Revision
	e.Subject, e.Actor = sqlrow.FromBlob[counterfoil.SubjectHash](subject), sqlrow.FromBlob[counterfoil.SubjectHash](actor)
	e.Parent, e.Root = sqlrow.FromBlob[counterfoil.ID](parent), sqlrow.FromBlob[counterfoil.ID](root)
	_, err = appendEntry(db, e)
	return err
}

// Touch implements counterfoil.Store.
func (s *Store) Touch(ctx context.Context, batch []counterfoil.Touch) error {
	for part := range slices.Chunk(slices.Clone(batch), maxBatch) {
		err := s.write(ctx, false, func(db *tx) error {
			for _, t := range part {
				if _, err := db.exec("UPDATE session SET seen = max(seen, ?1), idle_end = max(idle_end, min(?2, absolute_end)) "+
					"WHERE id = ?3 AND (seen < ?1 OR idle_end < ?2)", t.Seen.UnixMilli(), t.IdleEnd.UnixMilli(), t.ID[:]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// page is how many records are read before they are given out, with no connection held meanwhile.
const page = 64

// List implements counterfoil.Store.
func (s *Store) List(ctx context.Context, subject counterfoil.SubjectHash) iter.Seq2[*counterfoil.Record, error] {
	return func(yield func(*counterfoil.Record, error) bool) {
		if subject == (counterfoil.SubjectHash{}) {
			return
		}
		for _, where := range []string{"subject = ?1", "actor = ?1 AND subject IS NOT ?1"} {
			for after, more := int64(0), true; more; {
				var records []*counterfoil.Record
				err := s.read(ctx, func(db *conn) error {
					return db.each(func(row scanner) error {
						r, err := scanRecord(row, &after)
						records = append(records, r)
						return err
					}, "SELECT "+recordColumns+", row FROM session WHERE "+where+" AND row > ?2 ORDER BY row LIMIT ?3", subject[:], after, page)
				})
				if err != nil {
					yield(nil, err)
					return
				}
				for _, r := range records {
					if !yield(r, nil) {
						return
					}
				}
				more = len(records) == page
			}
		}
	}
}

// Scan implements counterfoil.Store.
func (s *Store) Scan(ctx context.Context, after counterfoil.ID, max int) (records []*counterfoil.Record, err error) {
	err = s.read(ctx, func(db *conn) error {
		return db.each(func(row scanner) error {
			r, err := scanRecord(row)
			records = append(records, r)
			return err
		}, "SELECT "+recordColumns+" FROM session WHERE id > ? ORDER BY id LIMIT ?", after[:], max)
	})
	if err != nil {
		return nil, err
	}
	return records, nil
}
