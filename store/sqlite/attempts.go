package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"iter"
	"time"

	"github.com/counterfoil/counterfoil/account"
	"github.com/counterfoil/counterfoil/store/internal/sqlrow"
)

// tidyBatch bounds a transaction of Tidy.
const tidyBatch = 500

// Attempt implements account.Store. Counters pay for no fsync: they outlive the process, not
// always the machine.
func (s accounts) Attempt(ctx context.Context, key string, now time.Time, window time.Duration, max int) (ok bool, retry time.Time, err error) {
	if max < 1 {
		return false, now.Add(window), ctx.Err()
	}
	var granted bool
	var next time.Time
	err = s.write(ctx, false, func(db *tx) error {
		// The max-th latest attempt that still counts is the one that must fall out of the window.
		// An attempt dated after now, the clock having been set back, counts.
		var at int64
		err := db.row("SELECT at FROM attempt WHERE key = ? AND at > ? ORDER BY at DESC LIMIT 1 OFFSET ?",
			key, now.Add(-window).UnixNano(), max-1).Scan(&at)
		if err == nil {
			next = time.Unix(0, at).Add(window).UTC()
			return nil
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		granted = true
		_, err = db.exec("INSERT INTO attempt (key, at, ends) VALUES (?, ?, ?)", key, now.UnixNano(), now.Add(window).UnixNano())
		return err
	})
	if err != nil {
		return false, time.Time{}, err
	}
	return granted, next, nil
}

// Forgive implements account.Store.
func (s accounts) Forgive(ctx context.Context, key string, at time.Time) error {
	return s.write(ctx, false, func(db *tx) (err error) {
		if at.IsZero() {
			_, err = db.exec("DELETE FROM attempt WHERE key = ?", key)
		} else {
			_, err = db.exec("DELETE FROM attempt WHERE row = (SELECT row FROM attempt WHERE key = ? AND at = ? LIMIT 1)", key, at.UnixNano())
		}
		return err
	})
}

// PutLink implements account.Store.
func (s accounts) PutLink(ctx context.Context, l account.Link) error {
	return s.write(ctx, true, func(db *tx) error {
		if _, err := db.exec("DELETE FROM link WHERE hash = ? OR purpose = ? AND subject = ?", l.Hash[:], l.Purpose, l.Subject); err != nil {
			return err
		}
		_, err := db.exec("INSERT INTO link (hash, purpose, subject, expires) VALUES (?,?,?,?)", l.Hash[:], l.Purpose, l.Subject, l.Expires.UnixNano())
		return err
	})
}

// TakeLink implements account.Store.
func (s accounts) TakeLink(ctx context.Context, hash [32]byte, now time.Time) (account.Link, error) {
	var l account.Link
	err := s.write(ctx, true, func(db *tx) error {
		var expires int64
		err := db.row("DELETE FROM link WHERE hash = ? AND expires > ? RETURNING purpose, subject, expires", hash[:], now.UnixNano()).
			Scan(&l.Purpose, &l.Subject, &expires)
		l.Hash, l.Expires = hash, time.Unix(0, expires).UTC()
		return err
	})
	if errors.Is(err, sql.ErrNoRows) {
		err = account.ErrNotFound
	}
	if err != nil {
		return account.Link{}, err
	}
	return l, nil
}

// Tidy implements account.Store.
func (s accounts) Tidy(ctx context.Context, now time.Time) error {
	for _, statement := range []string{
		"DELETE FROM attempt WHERE row IN (SELECT row FROM attempt WHERE ends <= ? LIMIT ?)",
		"DELETE FROM link WHERE hash IN (SELECT hash FROM link WHERE expires <= ? LIMIT ?)",
	} {
		for n := int64(tidyBatch); n == tidyBatch; {
			if err := s.write(ctx, false, func(db *tx) (err error) {
				n, err = db.exec(statement, now.UnixNano(), tidyBatch)
				return err
			}); err != nil {
				return err
			}
		}
	}
	return nil
}

// Attempts implements account.Store.
func (s accounts) Attempts(ctx context.Context) iter.Seq2[account.Attempt, error] {
	return paged(ctx, s, sqlrow.Attempt, "SELECT row, key, at, ends FROM attempt WHERE row > ? ORDER BY row LIMIT ?", 0)
}

// Links implements account.Store.
func (s accounts) Links(ctx context.Context) iter.Seq2[account.Link, error] {
	return paged(ctx, s, sqlrow.Link, "SELECT hash, purpose, subject, expires FROM link WHERE hash > ? ORDER BY hash LIMIT ?", []byte{})
}

// paged yields the rows of a query that goes on after what scan made of the last row.
func paged[T, P any](ctx context.Context, s accounts, scan func(sqlrow.Row, *P) (T, error), query string, first P) iter.Seq2[T, error] {
	return sqlrow.Pages(first, page, func(after *P) (found []T, err error) {
		err = s.read(ctx, func(db *conn) error {
			return db.each(func(row scanner) error {
				v, err := scan(row, after)
				found = append(found, v)
				return err
			}, query, *after, page)
		})
		return found, err
	})
}
