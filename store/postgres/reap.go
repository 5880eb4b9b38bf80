package postgres

import (
	"context"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/jackc/pgx/v5"
)

// Bounds of one transaction of Reap, so that nobody waits long behind it, and of what one call
// trims.
const (
	reapBatch = 100
	lookMost  = 50 // batches
	trimBatch = 1000
	trimMost  = 20 * trimBatch
)

// nodeKept is how long a node that polls no more is remembered, fenced or not.
const nodeKept = "1 day"

// findDue passes over what another is at: it will be seen to. A touch moves a session's end and not
// when it is looked at, so many that are due live on.
const findDue = "SELECT " + memberColumns + ", absolute_end <= $1, least(idle_end, absolute_end) <= $1 FROM cf_session WHERE due <= $1 " +
	"ORDER BY due LIMIT $2 FOR UPDATE SKIP LOCKED"

// Reap implements counterfoil.Store.
func (s *Store) Reap(ctx context.Context, r counterfoil.Reap) (counterfoil.Reaped, error) {
	var done counterfoil.Reaped
	more := true
	for looks := 0; done.Records < r.Max && more && looks < lookMost; looks++ {
		var n int
		err := s.write(ctx, nil, func(t *tx) (err error) {
			n, more, err = t.reap(ctx, r.Before, min(reapBatch, r.Max-done.Records))
			return err
		})
		if err != nil {
			return done, err
		}
		done.Records += n
	}
	trim := true
	for done.Entries < trimMost && trim {
		var n int
		err := s.write(ctx, nil, func(t *tx) (err error) {
			n, trim, err = t.trim(ctx, r.LogBefore)
			return err
		})
		if err != nil {
			return done, err
		}
		done.Entries += n
	}
	done.More = more && r.Max > 0 || trim
	return done, nil
}

// reap looks at up to max sessions that are due and ends those that are past an end, and what hangs on
// them. It says whether more are due.
func (t *tx) reap(ctx context.Context, before time.Time, max int) (n int, more bool, err error) {
	var gone ending
	var later [][]byte
	looked := 0
	err = each(ctx, t.Conn, func(row pgx.Row) error {
		var absolute, over bool
		r, err := scanMember(row, &absolute, &over)
		if err != nil {
			return err
		}
		if more = looked == max; more {
			return nil
		}
		looked++
		if !over {
			later = append(later, r.ID[:])
			return nil
		}
		why := counterfoil.ReasonIdle
		if absolute {
			why = counterfoil.ReasonAbsolute
		}
		gone.add(r.ID)
		gone.entries = append(gone.entries, of(counterfoil.Entry{Kind: counterfoil.EntryEnded, Reason: why, Time: before}, r))
		return nil
	}, findDue, before.UnixMilli(), max+1)
	if err != nil {
		return 0, false, err
	}
	if len(later) > 0 {
		t.last.Queue("UPDATE cf_session SET due = least(idle_end, absolute_end) WHERE id = ANY($1)", later)
	}
	if len(gone.ids) == 0 {
		return 0, more, nil
	}
	under, err := t.under(ctx, gone.ids)
	if err == nil {
		err = t.endDescendants(ctx, &gone, under, func(*counterfoil.Record) *counterfoil.Entry {
			return &counterfoil.Entry{Kind: counterfoil.EntryEnded, Reason: counterfoil.ReasonParent, Time: before}
		})
	}
	if err != nil {
		return 0, false, err
	}
	t.remove(&gone)
	var seq uint64
	t.append(gone.entries, &seq)
	return len(gone.ids), more, nil
}

// trim removes the oldest entries of the log and the nodes that are long gone, and says whether
// there may be more to remove. Where another node is at it, it leaves it to that one.
func (t *tx) trim(ctx context.Context, before time.Time) (n int, more bool, err error) {
	var mine bool
	if err := t.QueryRow(ctx, "SELECT pg_try_advisory_xact_lock($1)", trimming().number).Scan(&mine); err != nil || !mine {
		return 0, false, err
	}
	t.last.Queue("DELETE FROM cf_node WHERE seen < now() - interval '" + nodeKept + "'")
	var floor, stop int64
	// up to the first entry that is young, not acknowledged by all, or behind this batch
	err = t.QueryRow(ctx, "SELECT floor, least(floor + $1, (SELECT min(seq) FROM cf_reader), seq, "+
		"(SELECT min(l.seq) - 1 FROM cf_log l WHERE l.seq <= floor + $1 AND l.time >= $2)) FROM cf_log_head",
		trimBatch, before.UnixMilli()).Scan(&floor, &stop)
	if err != nil || stop <= floor {
		return 0, false, err
	}
	t.last.Queue("DELETE FROM cf_op WHERE op IN (SELECT op FROM cf_log WHERE seq <= $1)", stop)
	t.last.Queue("DELETE FROM cf_log WHERE seq <= $1", stop)
	t.last.Queue("UPDATE cf_log_head SET floor = $1", stop)
	return int(stop - floor), stop-floor == trimBatch, nil
}
