package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/counterfoil/counterfoil"
)

// ends returns the two ends of the log.
func ends(db *conn) (head, floor uint64, err error) {
	var h, f int64
	err = db.row("SELECT max(floor, ifnull((SELECT max(seq) FROM log), 0)), floor FROM state").Scan(&h, &f)
	return uint64(h), uint64(f), err
}

// Log implements counterfoil.Store.
func (s *Store) Log(ctx context.Context, since uint64, max int) (counterfoil.Page, error) {
	p := counterfoil.Page{Incarnation: s.incarnation}
	err := s.read(ctx, func(db *conn) error {
		return db.snapshot(func() (err error) {
			if p.Head, p.Floor, err = ends(db); err != nil || max <= 0 || since == p.Head {
				return err
			}
			if since < p.Floor || since > p.Head {
				return counterfoil.ErrGap
			}
			return db.each(func(row scanner) error {
				e, err := scanEntry(row)
				p.Entries = append(p.Entries, e)
				return err
			}, "SELECT seq, "+entryColumns+" FROM log WHERE seq > ? ORDER BY seq LIMIT ?", int64(since), max)
		})
	})
	if err != nil {
		p.Entries = nil
	}
	return p, err
}

// Poll implements counterfoil.Store. The nodes of this store are the managers of one process: each
// sees every change as soon as it is made, so that nobody waits for a node's beat or
// acknowledgement and none is ever fenced.
func (s *Store) Poll(ctx context.Context, p counterfoil.Poll) (counterfoil.Page, error) {
	return s.Log(ctx, p.Since, p.Max)
}

// Acknowledge implements counterfoil.Store. It pays for no fsync: a trim that relies on it is
// committed later, so that a crash can only make the reader see entries twice.
func (s *Store) Acknowledge(ctx context.Context, reader string, seq uint64) error {
	return s.write(ctx, false, func(db *conn) error {
		_, err := db.exec("INSERT INTO reader (name, seq) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET seq = max(seq, excluded.seq)",
			reader, int64(seq))
		return err
	})
}

// Acknowledged implements counterfoil.Store.
func (s *Store) Acknowledged(ctx context.Context, reader string) (uint64, error) {
	var seq int64
	err := s.read(ctx, func(db *conn) error {
		return db.row("SELECT seq FROM reader WHERE name = ?", reader).Scan(&seq)
	})
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return uint64(seq), err
}
