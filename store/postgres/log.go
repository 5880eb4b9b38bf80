package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/jackc/pgx/v5"
)

// readLog is one statement, so that head, floor and entries are of one moment. A server that took
// over from another writes on another timeline, and its log is another log. A standby refuses it.
const readLog = "SELECT h.seq, h.floor, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, h.incarnation || '.' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8), l.* " +
	"FROM cf_log_head h LEFT JOIN LATERAL (SELECT seq, " + entryColumns + " FROM cf_log " +
	"WHERE seq > $1 AND $1 BETWEEN h.floor AND h.seq ORDER BY seq LIMIT $2) l ON true"

// scanLog reads the rows of readLog.
func scanLog(rows pgx.Rows) (p counterfoil.Page, err error) {
	for rows.Next() {
		var head, floor, now int64
		e, err := scanEntry(rows, &head, &floor, &now, &p.Incarnation)
		if err != nil {
			return counterfoil.Page{}, err
		}
		p.Head, p.Floor, p.Now = uint64(head), uint64(floor), time.UnixMicro(now).UTC()
		if e.Seq != 0 {
			p.Entries = append(p.Entries, e)
		}
	}
	slices.SortFunc(p.Entries, func(a, b counterfoil.Entry) int { return int(int64(a.Seq - b.Seq)) }) // a join promises no order
	return p, rows.Err()
}

// gap reports whether the page cannot follow since.
func gap(p counterfoil.Page, since uint64, max int) error {
	if max > 0 && (since < p.Floor || since > p.Head) {
		return counterfoil.ErrGap
	}
	return nil
}

// Log implements counterfoil.Store.
func (s *Store) Log(ctx context.Context, since uint64, max int) (p counterfoil.Page, err error) {
	err = s.read(ctx, func(c *pgx.Conn) error {
		rows, err := c.Query(ctx, readLog, int64(since), max)
		if err != nil {
			return err
		}
		defer rows.Close()
		p, err = scanLog(rows)
		return err
	})
	if err != nil {
		return counterfoil.Page{}, err
	}
	return p, gap(p, since, max)
}

// Poll implements counterfoil.Store: one message. What it read counts only when the node's beat is
// committed, which a server that has lost its synchronous standby cannot do; a warning at the commit
// is a failure.
func (s *Store) Poll(ctx context.Context, poll counterfoil.Poll) (p counterfoil.Page, err error) {
	err = s.read(ctx, func(c *pgx.Conn) error { // again after a lost connection: a beat more harms nobody
		b := &pgx.Batch{} // without BEGIN it is one transaction all the same
		b.Queue("INSERT INTO cf_node AS n (name, beat, acked) VALUES ($1, 1, $2) "+
			"ON CONFLICT (name) DO UPDATE SET beat = n.beat + 1, acked = greatest(n.acked, excluded.acked), seen = now() WHERE NOT n.fenced RETURNING beat",
			poll.Node, int64(poll.Acked)).QueryRow(func(row pgx.Row) error {
			var beat int64
			err := row.Scan(&beat)
			if errors.Is(err, pgx.ErrNoRows) {
				err = counterfoil.ErrFenced
			}
			return err
		})
		b.Queue(readLog, int64(poll.Since), poll.Max).Query(func(rows pgx.Rows) (err error) {
			p, err = scanLog(rows)
			return err
		})
		return c.SendBatch(ctx, b).Close()
	})
	if err != nil {
		return counterfoil.Page{}, err
	}
	return p, gap(p, poll.Since, poll.Max)
}

// Nodes implements counterfoil.Store.
func (s *Store) Nodes(ctx context.Context) (all []counterfoil.Node, err error) {
	err = s.read(ctx, func(c *pgx.Conn) error {
		all = nil
		return each(ctx, c, func(row pgx.Row) error {
			var n counterfoil.Node
			var acked, beat int64
			err := row.Scan(&n.Name, &acked, &beat, &n.Fenced)
			n.Acked, n.Beat = uint64(acked), uint64(beat)
			all = append(all, n)
			return err
		}, "SELECT name, acked, beat, fenced FROM cf_node WHERE beat > 0")
	})
	return all, err
}

// Fence implements counterfoil.Store. A name that is not known is shut out beforehand.
func (s *Store) Fence(ctx context.Context, node string) error {
	return s.write(ctx, nil, func(t *tx) error {
		t.last.Queue("INSERT INTO cf_node (name, beat, acked, fenced) VALUES ($1, 0, 0, true) ON CONFLICT (name) DO UPDATE SET fenced = true, seen = now()", node)
		return nil
	})
}

// trimming is what Reap has alone while it trims, and who registers as a reader shares.
func trimming() lock { return lockOf("trim", nil) }

// Acknowledge implements counterfoil.Store.
func (s *Store) Acknowledge(ctx context.Context, reader string, seq uint64) error {
	return s.write(ctx, []lock{trimming().share()}, func(t *tx) error {
		t.last.Queue("INSERT INTO cf_reader AS r (name, seq) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET seq = greatest(r.seq, excluded.seq)",
			reader, int64(seq))
		return nil
	})
}

// Acknowledged implements counterfoil.Store.
func (s *Store) Acknowledged(ctx context.Context, reader string) (uint64, error) {
	var seq int64
	err := s.row(ctx, "SELECT coalesce((SELECT seq FROM cf_reader WHERE name = $1), 0)", []any{reader}, &seq)
	return uint64(seq), err
}

// Readers implements counterfoil.Store.
func (s *Store) Readers(ctx context.Context) (all map[string]uint64, err error) {
	err = s.read(ctx, func(c *pgx.Conn) error {
		all = map[string]uint64{}
		return each(ctx, c, func(row pgx.Row) error {
			var name string
			var seq int64
			err := row.Scan(&name, &seq)
			all[name] = uint64(seq)
			return err
		}, "SELECT name, seq FROM cf_reader")
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// Forget implements counterfoil.Store.
func (s *Store) Forget(ctx context.Context, reader string) error {
	return s.write(ctx, []lock{trimming().share()}, func(t *tx) error {
		t.last.Queue("DELETE FROM cf_reader WHERE name = $1", reader)
		return nil
	})
}

// Renew implements counterfoil.Store.
func (s *Store) Renew(ctx context.Context) error {
	return s.write(ctx, nil, func(t *tx) error {
		t.last.Queue("UPDATE cf_log_head SET incarnation = $1", rand.Text())
		return nil
	})
}
