package cluster_test

import (
	"context"
	"net/url"
	"os"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store/postgres"
	"github.com/counterfoil/counterfoil/store/postgres/postgrestest"
	"github.com/counterfoil/counterfoil/store/redis"
	"github.com/counterfoil/counterfoil/store/redis/redistest"
)

// backend is a server of a store, of one test alone.
type backend struct {
	name    string
	socket  func() string
	dsn     func(host, port string) string
	open    func(dsn string) (counterfoil.Store, error)
	crash   func() error
	recover func() error
	redis   *redistest.Server
	pg      *postgrestest.Server
}

// Each test here runs against every store that nodes can share.
func onEveryServer(t *testing.T, run func(*testing.T, *backend)) {
	for name, start := range map[string]func(*testing.T) *backend{"postgres": startPostgres, "redis": startRedis} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, start(t))
		})
	}
}

func startPostgres(t *testing.T) *backend {
	t.Helper()
	s, err := postgrestest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Log(err) // a test may have crashed it
		}
	})
	return &backend{
		name: "postgres", pg: s, socket: s.Socket, crash: s.Crash, recover: s.Recover,
		dsn: func(host, port string) string {
			return "postgres://postgres@" + host + ":" + port + "/postgres?" + url.Values{"sslmode": {"disable"}}.Encode()
		},
		open: func(dsn string) (counterfoil.Store, error) {
			return postgres.Open(context.Background(), dsn, postgres.Options{})
		},
	}
}

func startRedis(t *testing.T) *backend {
	t.Helper()
	s, err := redistest.Start("--enable-debug-command", "yes")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return &backend{
		name: "redis", redis: s, socket: s.Socket, recover: s.Recover,
		crash: func() error { s.Crash(); return nil },
		dsn:   func(host, port string) string { return "redis://" + host + ":" + port },
		open: func(dsn string) (counterfoil.Store, error) {
			return redis.Open(context.Background(), dsn, redis.Options{})
		},
	}
}

// soak reports whether there is time for many rounds.
func soak() bool { return os.Getenv("COUNTERFOIL_SOAK") != "" }
