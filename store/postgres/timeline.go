package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgconn"
)

// ErrFormer: the server was the primary once. Another has taken over on a later timeline, and this store
// has spoken with that one.
var ErrFormer = errors.New("postgres: this server is the primary no more, though it does not know; stop it (or, if it was restored on purpose, start this program again)")

// timelines keeps a store from believing a former primary. A server that takes over writes on a later
// timeline; one that was cut off answers reads all the same, with the past. Commits it cannot make, so
// a node that speaks with it alone stops trusting its cache. But a pool may hold connections to both:
// once one leads to the later timeline, what comes by the others counts no more.
type timelines struct{ latest atomic.Uint64 }

// timeline is where a connection notes its server's. It does not change while the server takes writes.
const timeline = "counterfoil timeline"

// meet notes the timeline of the server that a new connection leads to.
func (t *timelines) meet(ctx context.Context, c *pgconn.PgConn) error {
	results, err := c.Exec(ctx, "SELECT left(pg_walfile_name(pg_current_wal_insert_lsn()), 8)").ReadAll()
	if err != nil {
		return err
	}
	number, err := strconv.ParseUint(string(results[0].Rows[0][0]), 16, 64)
	if err != nil {
		return fmt.Errorf("postgres: the server's timeline: %w", err)
	}
	c.CustomData()[timeline] = number
	for latest := t.latest.Load(); number > latest; latest = t.latest.Load() {
		if t.latest.CompareAndSwap(latest, number) {
			break
		}
	}
	return t.check(c)
}

// check returns ErrFormer for a connection to a server that another has followed.
func (t *timelines) check(c *pgconn.PgConn) error {
	if number, _ := c.CustomData()[timeline].(uint64); number < t.latest.Load() {
		return ErrFormer
	}
	return nil
}
