// Package postgrestest starts a PostgreSQL server for tests, in a folder of its own.
//
//	server, err := postgrestest.Start()
//	if err != nil {
//		log.Fatal(err)
//	}
//	defer server.Stop()
//	dsn, err := server.Empty(ctx)
package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Server is a running server that listens on a socket in its folder and nowhere else. Only Empty may
// be called by several goroutines at once.
type Server struct {
	folder  string
	bin     string
	as      *syscall.SysProcAttr
	process *exec.Cmd
	schemas atomic.Int64
}

// Start makes a database and starts a server on it. Where the tests run as root, which PostgreSQL
// refuses, it runs as the user postgres or nobody.
func Start() (_ *Server, err error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	s := &Server{bin: bin}
	parent := ""
	if _, err := os.Stat("/dev/shm"); err == nil {
		parent = "/dev/shm" // in memory: tests crash servers, not machines
	}
	if s.folder, err = os.MkdirTemp(parent, "cfpg"); err != nil { // short: the path of a socket has about 100 bytes
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(s.folder))
		}
	}()
	if os.Geteuid() == 0 {
		uid, gid, err := unprivileged()
		if err != nil {
			return nil, err
		}
		s.as = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid}}
		if err := os.Chown(s.folder, int(uid), int(gid)); err != nil {
			return nil, err
		}
	}
	initdb := s.command("initdb", "-D", s.data(), "-U", "postgres", "-A", "trust", "-N", "-E", "UTF8", "--no-locale")
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return s, s.start()
}

// binaries finds the folder with the newest server.
func binaries() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	if len(found) > 0 {
		return filepath.Dir(slices.Max(found)), nil
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		return "", errors.New("there is no PostgreSQL server to test with; install the package postgresql")
	}
	return filepath.Dir(path), nil
}

func unprivileged() (uid, gid uint32, err error) {
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		return uint32(uid), uint32(gid), errors.Join(err1, err2)
	}
	return 0, 0, errors.New("there is neither a user postgres nor nobody to run the server as")
}

func (s *Server) data() string { return filepath.Join(s.folder, "data") }

func (s *Server) command(name string, args ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(s.bin, name), args...)
	c.SysProcAttr, c.Dir = s.as, s.folder
	c.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"}
	return c
}

// start starts the server on what its folder holds and waits until it answers.
func (s *Server) start() error {
	s.process = s.command("postgres", "-D", s.data(), "-k", s.folder, "-c", "listen_addresses=",
		"-c", "fsync=on", "-c", "shared_buffers=32MB", "-c", "max_connections=100", "-c", "max_wal_size=128MB")
	log, err := os.OpenFile(filepath.Join(s.folder, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	s.process.Stdout, s.process.Stderr = log, log
	if err := s.process.Start(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for {
		c, err := pgx.Connect(ctx, s.DSN(""))
		if err == nil {
			return c.Close(ctx)
		}
		select {
		case <-ctx.Done():
			text, _ := os.ReadFile(log.Name())
			return errors.Join(fmt.Errorf("the server does not answer: %w\n%s", err, text), s.kill())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// kill stops the server as a crash would, and waits for its end.
func (s *Server) kill() error {
	if err := s.process.Process.Signal(syscall.SIGQUIT); err != nil {
		return err
	}
	_ = s.process.Wait() // it says that it was told to
	return nil
}

// Crash stops the server at once, as by pg_ctl stop -m immediate.
func (s *Server) Crash() error { return s.kill() }

// Recover starts a server that crashed.
func (s *Server) Recover() error { return s.start() }

// Stop stops the server and removes its folder.
func (s *Server) Stop() error { return errors.Join(s.kill(), os.RemoveAll(s.folder)) }

// DSN returns how to reach a schema; "": the public one.
func (s *Server) DSN(schema string) string {
	q := url.Values{"host": {s.folder}, "user": {"postgres"}}
	if schema != "" {
		q.Set("search_path", schema)
	}
	return "postgres:///postgres?" + q.Encode()
}

// Empty makes a schema and returns its DSN.
func (s *Server) Empty(ctx context.Context) (string, error) {
	c, err := pgx.Connect(ctx, s.DSN(""))
	if err != nil {
		return "", err
	}
	schema := fmt.Sprintf("s%d", s.schemas.Add(1))
	_, err = c.Exec(ctx, "CREATE SCHEMA "+schema)
	return s.DSN(schema), errors.Join(err, c.Close(ctx))
}
