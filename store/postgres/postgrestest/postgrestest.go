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

	"github.com/jackc/pgx/v5"
)

// Server is a running server that listens on a socket in its folder and nowhere else. Only Empty may
// be called by several goroutines at once.
type Server struct {
	folder   string
	bin      string
	as       *syscall.SysProcAttr
	settings []string
	schemas  atomic.Int64
}

// Start makes a database in memory, where there is such a folder, and starts a server on it: tests
// crash servers, not machines.
func Start() (*Server, error) {
	parent := ""
	if _, err := os.Stat("/dev/shm"); err == nil {
		parent = "/dev/shm"
	}
	return StartIn(parent)
}

// StartIn is Start below that folder, "" for the one for temporary files, with further settings, each
// "name=value". Where the tests run as root, which PostgreSQL refuses, the server runs as the user
// postgres or nobody.
func StartIn(parent string, settings ...string) (_ *Server, err error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	s := &Server{bin: bin, settings: settings}
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
	return s, s.Recover()
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

// control runs pg_ctl on our server, which it knows by its process ID.
func (s *Server) control(args ...string) error {
	c := s.command("pg_ctl", append([]string{"-D", s.data(), "-w", "-t", "600"}, args...)...)
	if err := c.Run(); err != nil { // its output must be no pipe: the server would hold it open
		log, _ := os.ReadFile(filepath.Join(s.folder, "log"))
		return fmt.Errorf("pg_ctl %s: %w\n%s", args[0], err, log)
	}
	return nil
}

// Crash stops the server at once and without its doing anything more.
func (s *Server) Crash() error { return s.control("stop", "-m", "immediate") }

// Recover starts a server that crashed, on what it left.
func (s *Server) Recover() error {
	options := "-k " + s.folder
	for _, setting := range append([]string{
		"listen_addresses=", "fsync=on", "shared_buffers=32MB", "max_connections=100", "max_wal_size=128MB",
	}, s.settings...) {
		options += " -c " + setting
	}
	return s.control("start", "-l", filepath.Join(s.folder, "log"), "-o", options)
}

// Socket is the path of the server's socket.
func (s *Server) Socket() string { return filepath.Join(s.folder, ".s.PGSQL.5432") }

// Set changes settings for all connections, those that are open included.
func (s *Server) Set(ctx context.Context, settings map[string]string) error {
	c, err := pgx.Connect(ctx, s.DSN(""))
	if err != nil {
		return err
	}
	for name, value := range settings {
		_, e := c.Exec(ctx, "ALTER SYSTEM SET "+name+" = '"+value+"'")
		err = errors.Join(err, e)
	}
	_, e := c.Exec(ctx, "SELECT pg_reload_conf()")
	return errors.Join(err, e, c.Close(ctx))
}

// Standby copies the server and starts the copy as a standby that follows it, under the name
// "standby", by way of a TCP address of this machine.
func (s *Server) Standby(host, port string) (_ *Server, err error) {
	n := &Server{bin: s.bin, as: s.as}
	if n.folder, err = os.MkdirTemp(filepath.Dir(s.folder), "cfpg"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(n.folder))
		}
	}()
	if s.as != nil {
		if err := os.Chown(n.folder, int(s.as.Credential.Uid), int(s.as.Credential.Gid)); err != nil {
			return nil, err
		}
	}
	backup := n.command("pg_basebackup", "-D", n.data(), "-R", "-X", "stream", "-c", "fast",
		"-d", "host="+host+" port="+port+" user=postgres application_name=standby sslmode=disable gssencmode=disable")
	if out, err := backup.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("pg_basebackup: %w\n%s", err, out)
	}
	return n, n.Recover()
}

// Promote makes a standby a server that takes writes, on a timeline of its own.
func (s *Server) Promote() error { return s.control("promote") }

// Stop stops the server and removes its folder.
func (s *Server) Stop() error { return errors.Join(s.Crash(), os.RemoveAll(s.folder)) }

// DSN returns how to reach a schema; "": the public one.
func (s *Server) DSN(schema string) string {
	q := url.Values{"host": {s.folder}, "user": {"postgres"}, "connect_timeout": {"60"}} // a busy machine is slow
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
