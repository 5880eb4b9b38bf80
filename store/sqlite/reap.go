package sqlite

import (
	"context"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store/internal/sqlrow"
)

// Bounds of one transaction of Reap, so that nobody waits long behind it, and of what one call
// trims.
const (
	reapBatch = 100
	trimBatch = 1000
	trimMost  = 20 * trimBatch
)

// Reap implements counterfoil.Store.
func (s *Store) Reap(ctx context.Context, r counterfoil.Reap) (counterfoil.Reaped, error) {
	var done counterfoil.Reaped
	more := true
	for done.Records < r.Max && more {
		var n int
		err := s.write(ctx, true, func(db *conn) (err error) {
			n, more, err = reap(db, r.Before, min(reapBatch, r.Max-done.Records))
			return err
		})
		if err != nil {
			return done, err
		}
		done.Records += n
	}
	trimming := true
	for done.Entries < trimMost && trimming {
		var n int
		err := s.write(ctx, true, func(db *conn) (err error) {
			n, trimming, err = trim(db, r.LogBefore)
			return err
		})
		if err != nil {
			return done, err
		}
		done.Entries += n
	}
	done.More = more && r.Max > 0 || trimming
	return done, nil
}

// reap ends up to max sessions that are past an end, and what hangs on them, and says whether there
// are more.
func reap(db *conn, before time.Time, max int) (n int, more bool, err error) {
	type expired struct {
		id  []byte
		why counterfoil.Reason
	}
	var due []expired
	err = db.each(func(row scanner) error {
		x := expired{why: counterfoil.ReasonIdle}
		var absolute bool
		err := row.Scan(&x.id, &absolute)
		if absolute {
			x.why = counterfoil.ReasonAbsolute
		}
		due = append(due, x)
		return err
	}, "SELECT id, absolute_end <= ?1 FROM session WHERE min(idle_end, absolute_end) <= ?1 ORDER BY min(idle_end, absolute_end) LIMIT ?2",
		before.UnixMilli(), max+1)
	if err != nil {
		return 0, false, err
	}
	for _, x := range due {
		if n >= max {
			return n, true, nil
		}
		done, err := endOne(db, sqlrow.FromBlob[counterfoil.ID](x.id), x.why, before)
		if err != nil {
			return 0, false, err
		}
		n += done.Count
	}
	return n, false, nil
}

// trim removes the oldest entries of the log, and says whether there may be more to remove.
func trim(db *conn, before time.Time) (n int, more bool, err error) {
	var floor, stop int64
	// up to the first entry that is young, not acknowledged by all, or behind this batch
	err = db.row("SELECT floor, min(floor + ?1, ifnull((SELECT min(seq) FROM reader), floor + ?1), "+
		"ifnull((SELECT max(seq) FROM log), floor), "+
		"ifnull((SELECT min(seq) - 1 FROM log WHERE seq <= floor + ?1 AND time >= ?2), floor + ?1)) FROM state",
		trimBatch, before.UnixMilli()).Scan(&floor, &stop)
	if err != nil || stop <= floor {
		return 0, false, err
	}
	for _, statement := range []string{
		"DELETE FROM op WHERE op IN (SELECT op FROM log WHERE seq <= ?)",
		"DELETE FROM log WHERE seq <= ?",
		"UPDATE state SET floor = ?",
	} {
		if _, err := db.exec(statement, stop); err != nil {
			return 0, false, err
		}
	}
	return int(stop - floor), stop-floor == trimBatch, nil
}
