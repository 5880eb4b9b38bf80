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
	if err := s.schedule(ctx); err != nil {
		return done, err
	}
	more := true
	for done.Records < r.Max && more {
		var n int
		err := s.write(ctx, true, func(db *tx) (err error) {
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
		err := s.write(ctx, true, func(db *tx) (err error) {
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

// schedule makes the sessions due that no sweep has seen yet: those behind the last one that is. None
// ever comes before another, and the oldest get it first, so that none is passed over.
func (s *Store) schedule(ctx context.Context) error {
	var last int64
	err := s.read(ctx, func(db *conn) error {
		return db.row("SELECT ifnull((" + lastDue + "), 0)").Scan(&last)
	})
	for n := reapBatch; n == reapBatch && err == nil; {
		err = s.write(ctx, false, func(db *tx) error {
			n = 0
			return db.each(func(row scanner) error {
				var key int64
				err := row.Scan(&key)
				n, last = n+1, max(last, key)
				return err
			}, "UPDATE session SET due = min(idle_end, absolute_end) WHERE row IN (SELECT row FROM session WHERE row > ? ORDER BY row LIMIT ?) RETURNING row",
				last, reapBatch)
		})
	}
	return err
}

// lastDue goes down from the newest session.
const lastDue = "SELECT row FROM session NOT INDEXED WHERE due IS NOT NULL ORDER BY row DESC LIMIT 1"

// reap looks at up to max sessions that are due. It ends those that are past an end, with what hangs
// on them, and moves the others on. It says whether there are more.
func reap(db *tx, before time.Time, max int) (n int, more bool, err error) {
	type expired struct {
		id  []byte
		why counterfoil.Reason
	}
	var ended []expired
	var later []int64
	looked := 0
	err = db.each(func(row scanner) error {
		var key, idle, absolute int64
		var id []byte
		if err := row.Scan(&key, &id, &idle, &absolute); err != nil {
			return err
		}
		switch now := before.UnixMilli(); {
		case looked == max:
			more = true
		case absolute <= now:
			ended = append(ended, expired{id, counterfoil.ReasonAbsolute})
		case idle <= now:
			ended = append(ended, expired{id, counterfoil.ReasonIdle})
		default:
			later = append(later, key)
		}
		looked++
		return nil
	}, "SELECT row, id, idle_end, absolute_end FROM session WHERE due <= ? ORDER BY due LIMIT ?", before.UnixMilli(), max+1)
	if err != nil {
		return 0, false, err
	}
	for _, row := range later {
		if _, err := db.exec("UPDATE session SET due = min(idle_end, absolute_end) WHERE row = ?", row); err != nil {
			return 0, false, err
		}
	}
	for _, x := range ended {
		if n >= max {
			return n, true, nil
		}
		done, err := endOne(db, sqlrow.FromBlob[counterfoil.ID](x.id), x.why, before)
		if err != nil {
			return 0, false, err
		}
		n += done.Count
	}
	return n, more, nil
}

// trim removes the oldest entries of the log, and says whether there may be more to remove.
func trim(db *tx, before time.Time) (n int, more bool, err error) {
	floor, stop := int64(db.log.floor), int64(0)
	// up to the first entry that is young, not acknowledged by all, or behind this batch
	most := min(floor+trimBatch, int64(db.log.head))
	err = db.row("SELECT min(?, ifnull((SELECT min(seq) FROM reader), ?), "+
		"ifnull((SELECT seq - 1 FROM entry WHERE seq > ? AND seq <= ? AND time >= ? ORDER BY seq LIMIT 1), ?))",
		most, most, floor, most, before.UnixMilli(), most).Scan(&stop)
	if err != nil || stop <= floor {
		return 0, false, err
	}
	if _, err := db.exec("DELETE FROM op WHERE op IN (SELECT op FROM entry WHERE seq > ? AND seq <= ?)", floor, stop); err != nil {
		return 0, false, err
	}
	for _, statement := range []string{
		"DELETE FROM answer WHERE seq <= ?",
		"DELETE FROM log WHERE seq <= ?",
		"UPDATE state SET floor = ?",
	} {
		if _, err := db.exec(statement, stop); err != nil {
			return 0, false, err
		}
	}
	db.log.trimmed(uint64(stop))
	return int(stop - floor), stop-floor == trimBatch, nil
}
