package redis_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"log"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/account"
	"github.com/counterfoil/counterfoil/account/accounttest"
	"github.com/counterfoil/counterfoil/store/redis"
	"github.com/counterfoil/counterfoil/store/redis/redistest"
	"github.com/counterfoil/counterfoil/storetest"
)

// server is a redis-server of our own.
type server struct{ *redistest.Server }

func newServer(args ...string) (*server, error) {
	s, err := redistest.Start(args...)
	return &server{s}, err
}

// ask sends the server one command of our own.
func (s *server) ask(t *testing.T, words ...string) any {
	t.Helper()
	c, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{s.Socket()}, ForceSingleClient: true, DisableCache: true,
		Dialer: net.Dialer{Timeout: 3 * time.Minute}, ConnWriteTimeout: 3 * time.Minute,
		DialCtxFn: func(ctx context.Context, path string, d *net.Dialer, _ *tls.Config) (net.Conn, error) {
			return d.DialContext(ctx, "unix", path)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	answer, err := c.Do(t.Context(), c.B().Arbitrary(words...).Build()).ToAny()
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// own starts a server for one test.
func own(t *testing.T, args ...string) *server {
	t.Helper()
	s, err := newServer(args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

var shared = sync.OnceValues(func() (*server, error) { return newServer() })

func TestMain(m *testing.M) {
	s, err := shared()
	if err != nil {
		log.Fatalf("redis-server: %v", err)
	}
	code := m.Run()
	if err := s.Stop(); err != nil {
		log.Print(err)
	}
	os.Exit(code)
}

func open(t testing.TB, dsn, prefix string) *redis.Store {
	t.Helper()
	s, err := redis.OpenSlowly(context.Background(), dsn, redis.Options{Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// fresh opens an empty store on the shared server.
func fresh(t testing.TB) (*redis.Store, string) {
	t.Helper()
	s, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	prefix := rand.Text()
	return open(t, s.DSN(), prefix), prefix
}

// reopen closes a store and opens what it kept.
func reopen(t *testing.T, s *redis.Store, prefix string) *redis.Store {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	on, _ := shared()
	return open(t, on.DSN(), prefix)
}

// P26, P35, T22
func TestStore(t *testing.T) {
	prefixes := make(map[counterfoil.Store]string)
	storetest.Run(t,
		func(t *testing.T) counterfoil.Store {
			s, prefix := fresh(t)
			prefixes[s] = prefix
			return s
		},
		storetest.Reopen(func(t *testing.T, s counterfoil.Store) counterfoil.Store {
			return reopen(t, s.(*redis.Store), prefixes[s])
		}))
}

func TestAccounts(t *testing.T) {
	prefixes := make(map[account.Store]string)
	stores := make(map[account.Store]*redis.Store)
	keep := func(s *redis.Store, prefix string) account.Store {
		a := s.Accounts()
		prefixes[a], stores[a] = prefix, s
		return a
	}
	accounttest.Run(t, accounttest.Config{
		Open: func(t *testing.T) account.Store { return keep(fresh(t)) },
		Reopen: func(t *testing.T, a account.Store) account.Store {
			return keep(reopen(t, stores[a], prefixes[a]), prefixes[a])
		},
	})
}
