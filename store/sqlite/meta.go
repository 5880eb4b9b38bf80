package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"slices"

	"github.com/counterfoil/counterfoil"
)

// Meta implements counterfoil.Store.
func (s *Store) Meta(ctx context.Context, key string) (value []byte, err error) {
	err = s.read(ctx, func(db *conn) (err error) {
		value, err = meta(db, key)
		return err
	})
	return value, err
}

func meta(db *conn, key string) ([]byte, error) {
	var value []byte
	err := db.row("SELECT value FROM meta WHERE key = ?", key).Scan((*sealed)(&value))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return value, err
}

// SwapMeta implements counterfoil.Store.
func (s *Store) SwapMeta(ctx context.Context, key string, old, new []byte) error {
	old, new = slices.Clone(old), slices.Clone(new)
	return s.write(ctx, true, func(db *tx) error {
		value, err := meta(db.conn, key)
		if err != nil {
			return err
		}
		if (value == nil) != (old == nil) || !bytes.Equal(value, old) {
			return counterfoil.ErrConflict
		}
		if new == nil {
			_, err = db.exec("DELETE FROM meta WHERE key = ?", key)
		} else {
			_, err = db.exec("INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2", key, new)
		}
		return err
	})
}
