package postgres

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/counterfoil/counterfoil/account"
	"github.com/counterfoil/counterfoil/store/internal/sqlrow"
	"github.com/jackc/pgx/v5"
)

// tidyBatch bounds a transaction of Tidy.
const tidyBatch = 500

func counter(key string) []lock { return []lock{lockOf("attempt", []byte(key))} }

// Attempt implements account.Store. Counters do not wait for the disk.
func (s accounts) Attempt(ctx context.Context, key string, now time.Time, window time.Duration, max int) (ok bool, retry time.Time, err error) {
	if max < 1 {
		return false, now.Add(window), ctx.Err()
	}
	var granted bool
	var next time.Time
	err = s.writeLazily(ctx, counter(key), func(t *tx) error {
		// The max-th latest attempt that still counts is the one that must fall out of the window.
		// An attempt dated after now, the clock having been set back, counts.
		granted, next = false, time.Time{}
		var at int64
		err := t.QueryRow(ctx, "SELECT at FROM cf_attempt WHERE key = $1 AND at > $2 ORDER BY at DESC LIMIT 1 OFFSET $3",
			[]byte(key), now.Add(-window).UnixNano(), max-1).Scan(&at)
		if err == nil {
			next = time.Unix(0, at).Add(window).UTC()
			return nil
		}
		if !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		granted = true
		t.last.Queue("INSERT INTO cf_attempt (key, at, ends) VALUES ($1, $2, $3)", []byte(key), now.UnixNano(), now.Add(window).UnixNano())
		return nil
	})
	if err != nil {
		return false, time.Time{}, err
	}
	return granted, next, nil
}

// Forgive implements account.Store.
func (s accounts) Forgive(ctx context.Context, key string, at time.Time) error {
	return s.writeLazily(ctx, counter(key), func(t *tx) error {
		if at.IsZero() {
			t.last.Queue("DELETE FROM cf_attempt WHERE key = $1", []byte(key))
		} else {
			t.last.Queue("DELETE FROM cf_attempt WHERE row = (SELECT row FROM cf_attempt WHERE key = $1 AND at = $2 LIMIT 1)", []byte(key), at.UnixNano())
		}
		return nil
	})
}

// PutLink implements account.Store.
func (s accounts) PutLink(ctx context.Context, l account.Link) error {
	return s.write(ctx, []lock{lockOf("link", []byte(l.Purpose+"\x00"+l.Subject))}, func(t *tx) error {
		t.last.Queue("DELETE FROM cf_link WHERE hash = $1 OR purpose = $2 AND subject = $3", l.Hash[:], l.Purpose, l.Subject)
		t.last.Queue("INSERT INTO cf_link (hash, purpose, subject, expires) VALUES ($1, $2, $3, $4)", l.Hash[:], l.Purpose, l.Subject, l.Expires.UnixNano())
		return nil
	})
}

// TakeLink implements account.Store.
func (s accounts) TakeLink(ctx context.Context, hash [32]byte, now time.Time) (account.Link, error) {
	var l account.Link
	err := s.write(ctx, nil, func(t *tx) error {
		var expires int64
		err := t.QueryRow(ctx, "DELETE FROM cf_link WHERE hash = $1 AND expires > $2 RETURNING purpose, subject, expires", hash[:], now.UnixNano()).
			Scan(&l.Purpose, &l.Subject, &expires)
		l.Hash, l.Expires = hash, time.Unix(0, expires).UTC()
		if errors.Is(err, pgx.ErrNoRows) {
			err = account.ErrNotFound
		}
		return err
	})
	if err != nil {
		return account.Link{}, err
	}
	return l, nil
}

// Tidy implements account.Store.
func (s accounts) Tidy(ctx context.Context, now time.Time) error {
	for _, statement := range []string{
		"DELETE FROM cf_attempt WHERE row IN (SELECT row FROM cf_attempt WHERE ends <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)",
		"DELETE FROM cf_link WHERE hash IN (SELECT hash FROM cf_link WHERE expires <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)",
	} {
		for n := int64(tidyBatch); n == tidyBatch; {
			if err := s.writeLazily(ctx, nil, func(t *tx) error {
				tag, err := t.Exec(ctx, statement, now.UnixNano(), tidyBatch)
				n = tag.RowsAffected()
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
	return paged(ctx, s, sqlrow.Attempt, "SELECT row, key, at, ends FROM cf_attempt WHERE row > $1 ORDER BY row LIMIT $2", 0)
}

// Links implements account.Store.
func (s accounts) Links(ctx context.Context) iter.Seq2[account.Link, error] {
	return paged(ctx, s, sqlrow.Link, "SELECT hash, purpose, subject, expires FROM cf_link WHERE hash > $1 ORDER BY hash LIMIT $2", []byte{})
}

// paged yields the rows of a query that goes on after what scan made of the last row.
func paged[T, P any](ctx context.Context, s accounts, scan func(sqlrow.Row, *P) (T, error), query string, first P) iter.Seq2[T, error] {
	return sqlrow.Pages(first, page, func(after *P) (found []T, err error) {
		from := *after
		err = s.read(ctx, func(c *pgx.Conn) error {
			found = nil
			return each(ctx, c, func(row pgx.Row) error {
				v, err := scan(row, after)
				found = append(found, v)
				return err
			}, query, from, page)
		})
		return found, err
	})
}
