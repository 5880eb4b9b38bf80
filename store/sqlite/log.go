package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"

	"github.com/counterfoil/counterfoil"
)

// ends returns the two ends of the log, and its incarnation.
func ends(db *conn) (head, floor uint64, incarnation string, err error) {
	var h, f int64
	err = db.row("SELECT "+logHead+", floor, incarnation FROM state").Scan(&h, &f, &incarnation)
	return uint64(h), uint64(f), incarnation, err
}

// Log implements counterfoil.Store.
func (s *Store) Log(ctx context.Context, since uint64, max int) (counterfoil.Page, error) {
	var p counterfoil.Page
	err := s.read(ctx, func(db *conn) error {
		return db.snapshot(func() (err error) {
			if p.Head, p.Floor, p.Incarnation, err = ends(db); err != nil || max <= 0 || since == p.Head {
				return err
			}
			if since < p.Floor || since > p.Head {
				return counterfoil.ErrGap
			}
			return db.each(func(row scanner) error {
				e, err := scanEntry(row)
				p.Entries = append(p.Entries, e)
				return err
			}, "SELECT seq, "+entryColumns+" FROM entry WHERE seq > ? ORDER BY seq LIMIT ?", int64(since), max)
		})
	})
	if err != nil {
		p.Entries = nil
	}
	return p, err
}

// Poll implements counterfoil.Store. The nodes of this store are the managers of one process, and
// end with it: nothing about them is written.
func (s *Store) Poll(ctx context.Context, p counterfoil.Poll) (counterfoil.Page, error) {
	if err := s.enter(ctx); err != nil {
		return counterfoil.Page{}, err
	}
	if err := s.nodes.Poll(p.Node, p.Acked); err != nil {
		return counterfoil.Page{}, err
	}
	return s.Log(ctx, p.Since, p.Max)
}

// Nodes implements counterfoil.Store.
func (s *Store) Nodes(ctx context.Context) ([]counterfoil.Node, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	return s.nodes.Nodes(), nil
}

// Fence implements counterfoil.Store.
func (s *Store) Fence(ctx context.Context, node string) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	s.nodes.Fence(node)
	return nil
}

// Acknowledge implements counterfoil.Store. It pays for no fsync: a trim that relies on it is
// committed later, so that a crash can only make the reader see entries twice.
func (s *Store) Acknowledge(ctx context.Context, reader string, seq uint64) error {
	return s.write(ctx, false, func(db *tx) error {
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

// Readers implements counterfoil.Store.
func (s *Store) Readers(ctx context.Context) (map[string]uint64, error) {
	all := map[string]uint64{}
	err := s.read(ctx, func(db *conn) error {
		return db.each(func(row scanner) error {
			var name string
			var seq int64
			err := row.Scan(&name, &seq)
			all[name] = uint64(seq)
			return err
		}, "SELECT name, seq FROM reader")
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// Forget implements counterfoil.Store.
func (s *Store) Forget(ctx context.Context, reader string) error {
	return s.write(ctx, true, func(db *tx) error {
		_, err := db.exec("DELETE FROM reader WHERE name = ?", reader)
		return err
	})
}

// Renew implements counterfoil.Store.
func (s *Store) Renew(ctx context.Context) error {
	return s.write(ctx, true, func(db *tx) error {
		_, err := db.exec("UPDATE state SET incarnation = ?", rand.Text())
		return err
	})
}
