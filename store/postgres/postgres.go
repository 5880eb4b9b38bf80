// Package postgres keeps sessions and accounts in PostgreSQL, for as many nodes as share it.
//
//	store, err := postgres.Open(ctx, "postgres://counterfoil@db.example/counterfoil", postgres.Options{})
//	if err != nil {
//		return err
//	}
//	defer store.Close()
//	accounts := store.Accounts()
//
// Tables begin with cf_ and lie in the first schema of the search path. Whatever must not run at
// once takes a lock first, then looks, then writes. The last thing that a change does is to take its
// positions in the log, in one row that stays locked to the end of the transaction: so order in the
// log is the order of commits, without gaps. That and the commit travel in one message, so that a
// node that stops in the middle of a change holds up nobody's log.
package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/account"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Options of a Store. The zero value is good.
type Options struct {
	// Random makes the incarnation of a new log. nil: crypto/rand.
	Random io.Reader
}

// Store is a counterfoil.Store in PostgreSQL. All methods are safe for use by many goroutines.
type Store struct {
	pool      *pgxpool.Pool
	timelines timelines
	durable   bool
}

var _ counterfoil.Store = (*Store)(nil)

// connections is how many connections a store has at most unless the DSN says pool_max_conns.
const connections = 16

// Open connects to the server that the DSN names, a URL or "key=value" words as psql takes them, and
// brings its tables up to date; several nodes may do so at once. It asks for a server that takes
// writes. Tables of a newer program give [ErrNewer]; counterfoil.ErrUnavailable means that the server
// does not answer, or not yet. No error holds the password.
func Open(ctx context.Context, dsn string, o Options) (_ *Store, err error) {
	if o.Random == nil {
		o.Random = rand.Reader
	}
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, errors.New("postgres: this is no DSN; write postgres://USER@HOST/DATABASE, see docs/postgres.md") // the cause may hold the password
	}
	if !strings.Contains(dsn, "pool_max_conns") {
		cfg.MaxConns = connections
	}
	c := cfg.ConnConfig
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = 2 * time.Second // to a server that takes connections and says nothing
	}
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "counterfoil"
	}
	s := &Store{}
	c.ValidateConnect = func(ctx context.Context, c *pgconn.PgConn) error {
		if err := primary(ctx, c); err != nil {
			return err
		}
		return s.timelines.meet(ctx, c)
	}
	c.OnNotice = noteWarning
	cfg.AfterConnect, cfg.BeforeClose = prepare, hangUp
	cfg.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return false } // a dead connection is found when it is used
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, classify(err)
	}
	s.pool = pool
	defer func() {
		if err != nil {
			pool.Close()
		}
	}()
	if err := s.migrate(ctx, migrations(), o.Random); err != nil {
		return nil, whether(err)
	}
	var fsync string
	if err := s.row(ctx, "SELECT current_setting('fsync')", nil, &fsync); err != nil {
		return nil, whether(err)
	}
	s.durable = fsync == "on"
	return s, nil
}

// primary refuses a standby, which would answer with the past.
func primary(ctx context.Context, c *pgconn.PgConn) error {
	if err := pgconn.ValidateConnectTargetSessionAttrsReadWrite(ctx, c); err != nil {
		return fmt.Errorf("this server takes no writes (a standby, or one that is taking over); name the primary: %w", err)
	}
	return nil
}

// prepare sets what every transaction relies on. What is acknowledged waits for the disk, and for
// the standby if there is one, whatever the server's default is; a lock is not waited for without
// end, nor kept by a node that has stopped.
func prepare(ctx context.Context, c *pgx.Conn) error {
	_, err := c.Exec(ctx, `SELECT
		set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false),
		set_config('default_transaction_isolation', 'read committed', false),
		set_config('client_min_messages', 'warning', false),
		set_config('lock_timeout', '5s', false),
		set_config('idle_in_transaction_session_timeout', '10s', false)`)
	return err
}

// Redact returns the DSN without its password, for logs and lists. One that is no URL it hides whole.
func Redact(dsn string) string {
	u, err := url.Parse(dsn)
	if err != nil || u.Scheme == "" {
		return "postgres:…"
	}
	if q := u.Query(); q.Has("password") || q.Has("sslpassword") {
		q.Del("password")
		q.Del("sslpassword")
		u.RawQuery = q.Encode()
	}
	if u.User != nil {
		u.User = url.User(u.User.Username())
	}
	return u.String()
}

// Capabilities says that reads see every acknowledged change and that others may write. Durable it
// is unless the server runs with fsync off.
func (s *Store) Capabilities() counterfoil.Capabilities {
	return counterfoil.Capabilities{Durable: s.durable, Linearizable: true, Shared: true}
}

// Accounts is the account store in the same database; it lives until the Store is closed.
func (s *Store) Accounts() account.Store { return accounts{s} }

// Close waits for the calls that run and closes the connections. It may be called again.
func (s *Store) Close() error {
	s.pool.Close()
	return nil
}

// wrap says whose error it is.
func wrap(err error) error { return fmt.Errorf("postgres: %w", err) }
