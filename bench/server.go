package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/alexedwards/scs/goredisstore"
	"github.com/alexedwards/scs/pgxstore"
	"github.com/alexedwards/scs/sqlite3store"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/store/postgres"
	"github.com/counterfoil/counterfoil/store/postgres/postgrestest"
	"github.com/counterfoil/counterfoil/store/redis"
	"github.com/counterfoil/counterfoil/store/redis/redistest"
	"github.com/counterfoil/counterfoil/store/sqlite"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	goredis "github.com/redis/go-redis/v9"
)

// server is a database that the program has started, in a temporary folder.
type server struct {
	name, about string
	keys        *keyring.Ring
	alone       bool   // one process and one manager at a time
	dsn         string // for an administrator
	way         string // the folder, or the socket, through which it is reached
	ours        func(way string) (closingStore, error)
	peer        func(way string) (*side, error)
	words       string                  // what asked counts
	asked       func() (float64, error) // how often it was asked for something so far; nil: not counted
	stop        func() error
}

// newPostgres starts a server below a folder, "" for the one for temporary files, as newRedis and newSQLite do.
func newPostgres(parent string) (*server, error) {
	run, err := postgrestest.StartIn(parent, "shared_preload_libraries=pg_stat_statements", "shared_buffers=512MB", "max_wal_size=4GB")
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	admin, err := pgx.Connect(ctx, run.DSN(""))
	if err != nil {
		return nil, errors.Join(err, run.Stop())
	}
	var version string
	err = admin.QueryRow(ctx, "SHOW server_version").Scan(&version)
	for _, statement := range []string{
		"CREATE EXTENSION pg_stat_statements",
		"CREATE TABLE sessions (token TEXT PRIMARY KEY, data BYTEA NOT NULL, expiry TIMESTAMPTZ NOT NULL)", // as pgxstore says
		"CREATE INDEX sessions_expiry_idx ON sessions (expiry)",
	} {
		if err == nil {
			_, err = admin.Exec(ctx, statement)
		}
	}
	if err != nil {
		return nil, errors.Join(err, run.Stop())
	}
	dsn, err := url.Parse(run.DSN(""))
	if err != nil {
		return nil, errors.Join(err, run.Stop())
	}
	at := func(way string) string {
		q := dsn.Query()
		q.Set("host", way)
		to := *dsn
		to.RawQuery = q.Encode()
		return to.String()
	}
	return &server{
		name: "postgres", dsn: run.DSN(""), way: dsn.Query().Get("host"), words: "statements",
		about: "PostgreSQL " + version + ", socket, fsync and synchronous_commit on; scs on pgxstore",
		ours: func(way string) (closingStore, error) {
			return postgres.Open(ctx, at(way), postgres.Options{})
		},
		peer: func(way string) (*side, error) {
			pool, err := pgxpool.New(ctx, at(way)+"&pool_max_conns=16")
			if err != nil {
				return nil, err
			}
			return newSCSOn(pgxstore.NewWithCleanupInterval(pool, 0), pool.Close), nil
		},
		asked: func() (n float64, err error) {
			err = admin.QueryRow(ctx, "SELECT coalesce(sum(calls), 0)::float8 FROM pg_stat_statements WHERE query NOT LIKE '%pg_stat_statements%'").Scan(&n)
			return n, err
		},
		stop: func() error { return errors.Join(admin.Close(ctx), run.Stop()) },
	}, nil
}

func newRedis(parent string) (*server, error) {
	ctx := context.Background()
	dir, err := os.MkdirTemp(parent, "cfredis")
	if err != nil {
		return nil, err
	}
	run, err := redistest.Start("--dir", dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	socket := run.Socket()
	client := goredis.NewClient(&goredis.Options{Network: "unix", Addr: socket})
	about, err := client.Info(ctx, "server").Result()
	if err != nil {
		return nil, errors.Join(err, client.Close(), run.Stop(), os.RemoveAll(dir))
	}
	_, version, _ := strings.Cut(about, "redis_version:")
	version, _, _ = strings.Cut(version, "\r")
	return &server{
		name: "redis", way: socket, words: "commands",
		about: "Redis " + version + ", socket, appendfsync always; scs on goredisstore",
		ours: func(way string) (closingStore, error) {
			return redis.Open(ctx, "unix://"+way, redis.Options{})
		},
		peer: func(way string) (*side, error) {
			client := goredis.NewClient(&goredis.Options{Network: "unix", Addr: way})
			return newSCSOn(goredisstore.New(client), func() { client.Close() }), nil
		},
		asked: func() (float64, error) {
			text, err := client.Info(ctx, "commandstats").Result()
			return commands(text), err
		},
		stop: func() error { return errors.Join(client.Close(), run.Stop(), os.RemoveAll(dir)) },
	}, nil
}

// commands adds up what was run on a Redis server: scripts, and what they or a client call.
func commands(info string) (n float64) {
	for line := range strings.Lines(info) {
		name, rest, ok := strings.Cut(line, ":calls=")
		if !ok || name == "cmdstat_info" {
			continue
		}
		count, _, _ := strings.Cut(rest, ",")
		var calls float64
		fmt.Sscan(count, &calls)
		n += calls
	}
	return n
}

func newSQLite(parent string) (*server, error) {
	dir, err := os.MkdirTemp(parent, "cfsqlite")
	if err != nil {
		return nil, err
	}
	return &server{
		name: "sqlite", about: "SQLite by modernc.org/sqlite, WAL, synchronous FULL; scs on sqlite3store", alone: true,
		way: dir,
		ours: func(way string) (closingStore, error) {
			return sqlite.Open(context.Background(), filepath.Join(way, "sessions.db"), sqlite.Options{})
		},
		peer: func(way string) (*side, error) {
			db, err := sql.Open("sqlite", "file:"+filepath.Join(way, "scs.db")+"?_pragma=busy_timeout(60000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
			if err != nil {
				return nil, err
			}
			for _, statement := range []string{ // as sqlite3store says
				"CREATE TABLE sessions (token TEXT PRIMARY KEY, data BLOB NOT NULL, expiry REAL NOT NULL)",
				"CREATE INDEX sessions_expiry_idx ON sessions(expiry)",
			} {
				if _, err := db.Exec(statement); err != nil {
					return nil, err
				}
			}
			return newSCSOn(sqlite3store.NewWithCleanupInterval(db, 0), func() { db.Close() }), nil
		},
		stop: func() error { return os.RemoveAll(dir) },
	}, nil
}
