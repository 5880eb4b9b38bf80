package cluster_test

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store/blob"
	"github.com/counterfoil/counterfoil/store/blob/blobtest"
	"github.com/counterfoil/counterfoil/store/postgres"
	"github.com/counterfoil/counterfoil/store/postgres/postgrestest"
	"github.com/counterfoil/counterfoil/store/redis"
	"github.com/counterfoil/counterfoil/store/redis/redistest"
)

// backend is what nodes share, of one test alone: a server, or a folder.
type backend struct {
	name    string
	env     []string // what nodes need to be let in
	open    func(dsn string) (counterfoil.Store, error)
	crash   func() error
	recover func() error
	hows    []how // in which a node can be cut off from it
	turns   int   // as many alternating writes do not take too long

	// A server.
	socket func() string // path or host:port
	dsn    func(host, port string) string
	redis  *redistest.Server
	pg     *postgrestest.Server

	folder *folder // nil: a server
}

// way leads a node to what it shares with the others.
type way struct {
	dsn   string
	set   func(how)
	proxy *proxy // nil: to a folder
}

// way is a new one for one node alone.
func (b *backend) way(t *testing.T) way {
	t.Helper()
	if b.folder != nil {
		m := b.folder.mount(t)
		return way{dsn: "file://" + m.at, set: m.set}
	}
	p := newProxy(t, b.socket())
	return way{b.dsn(p.address()), p.set, p}
}

// Tests with this run against every store that nodes can share.
func onEveryStore(t *testing.T, run func(*testing.T, *backend)) {
	onEvery(t, map[string]func(*testing.T) *backend{"postgres": startPostgres, "redis": startRedis, "s3": startS3, "folder": startFolder}, run)
}

// Tests with this need a way that can be held up, and watched: there is none to a folder.
func onEveryServer(t *testing.T, run func(*testing.T, *backend)) {
	onEvery(t, map[string]func(*testing.T) *backend{"postgres": startPostgres, "redis": startRedis, "s3": startS3}, run)
}

// Tests with this keep all processors busy by themselves.
func onEveryStoreInTurn(t *testing.T, run func(*testing.T, *backend)) {
	for name, start := range map[string]func(*testing.T) *backend{"postgres": startPostgres, "redis": startRedis, "s3": startS3, "folder": startFolder} {
		t.Run(name, func(t *testing.T) { run(t, start(t)) })
	}
}

func onEvery(t *testing.T, backends map[string]func(*testing.T) *backend, run func(*testing.T, *backend)) {
	for name, start := range backends {
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
		name: "postgres", pg: s, socket: s.Socket, crash: s.Crash, recover: s.Recover, hows: []how{refuse, swallow, hold}, turns: 10_000,
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
		name: "redis", redis: s, socket: s.Socket, recover: s.Recover, hows: []how{refuse, swallow, hold}, turns: 10_000,
		crash: func() error { s.Crash(); return nil },
		dsn:   func(host, port string) string { return "redis://" + host + ":" + port },
		open: func(dsn string) (counterfoil.Store, error) {
			return redis.Open(context.Background(), dsn, redis.Options{})
		},
	}
}

func startS3(t *testing.T) *backend {
	t.Helper()
	s, err := blobtest.StartS3()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return &backend{
		name: "s3", env: s.Env, socket: s.Address, recover: s.Recover, hows: []how{refuse, swallow, hold}, turns: fewTurns(),
		crash: func() error { s.Crash(); return nil },
		dsn:   func(host, port string) string { return s.DSNAt(net.JoinHostPort(host, port), "store") },
		open: func(dsn string) (counterfoil.Store, error) {
			return blob.Open(context.Background(), dsn, blob.Options{Getenv: s.Getenv})
		},
	}
}

// A change of a value is three requests to object storage.
func fewTurns() int {
	if soak() {
		return 10_000
	}
	return 1000
}

// folder is a shared one. It has no connection that could be cut, slowed down or held up: a node is
// cut off by taking away what leads there, as when a file system is unmounted.
type folder struct {
	real  string
	nodes atomic.Int32
}

// mount is where one node finds the folder.
type mount struct{ at, real string }

func startFolder(t *testing.T) *backend {
	t.Helper()
	f := &folder{real: filepath.Join(t.TempDir(), "shared")}
	if err := os.Mkdir(f.real, 0o700); err != nil {
		t.Fatal(err)
	}
	return &backend{
		name: "folder", folder: f, hows: []how{refuse, swallow}, turns: fewTurns(),
		crash:   func() error { return os.Rename(f.real, f.real+".away") },
		recover: func() error { return os.Rename(f.real+".away", f.real) },
		open: func(dsn string) (counterfoil.Store, error) {
			return blob.Open(context.Background(), dsn, blob.Options{})
		},
	}
}

func (f *folder) mount(t *testing.T) *mount {
	t.Helper()
	m := &mount{at: filepath.Join(t.TempDir(), fmt.Sprint("store", f.nodes.Add(1))), real: f.real}
	if err := os.Symlink(f.real, m.at); err != nil {
		t.Fatal(err)
	}
	return m
}

// set: what is refused is not there; what is swallowed is an empty folder in its place, where a file
// system was mounted.
func (m *mount) set(h how) {
	next := m.at + ".next"
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	must(os.RemoveAll(m.at)) // the link alone
	switch h {
	case pass:
		must(os.Symlink(m.real, next))
	case swallow:
		must(os.Mkdir(next, 0o700))
	case refuse:
		return
	default:
		panic(strings.Join([]string{"a folder cannot", h.String()}, " "))
	}
	must(os.Rename(next, m.at))
}

// soak reports whether there is time for many rounds.
func soak() bool { return os.Getenv("COUNTERFOIL_SOAK") != "" }
