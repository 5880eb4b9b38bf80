package postgres

import (
	"bytes"
	"context"

	"github.com/counterfoil/counterfoil"
)

const readMeta = "SELECT (SELECT value FROM cf_meta WHERE key = $1)"

// Meta implements counterfoil.Store.
func (s *Store) Meta(ctx context.Context, key string) (value []byte, err error) {
	err = s.row(ctx, readMeta, []any{key}, &value)
	return value, err
}

// SwapMeta implements counterfoil.Store.
func (s *Store) SwapMeta(ctx context.Context, key string, old, new []byte) error {
	return s.write(ctx, []lock{lockOf("meta", []byte(key))}, func(t *tx) error {
		var value []byte
		if err := t.QueryRow(ctx, readMeta, key).Scan(&value); err != nil {
			return err
		}
		if (value == nil) != (old == nil) || !bytes.Equal(value, old) {
			return counterfoil.ErrConflict
		}
		if new == nil {
			t.last.Queue("DELETE FROM cf_meta WHERE key = $1", key)
		} else {
			t.last.Queue("INSERT INTO cf_meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value", key, new)
		}
		return nil
	})
}
