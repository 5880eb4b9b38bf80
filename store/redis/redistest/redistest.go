// Package redistest starts a Redis server for tests, in a folder of its own.
//
//	server, err := redistest.Start()
//	if err != nil {
//		log.Fatal(err)
//	}
//	defer server.Stop()
//	store, err := redis.Open(ctx, server.DSN(), redis.Options{})
package redistest

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// EnvProgram names the environment variable that names another program to start than redis-server, as
// valkey-server is.
const EnvProgram = "COUNTERFOIL_TEST_REDIS"

// Server is a redis-server that listens on a socket in its folder and nowhere else. It loses nothing
// that it acknowledged. One goroutine may use it at a time.
type Server struct {
	folder string
	args   []string
	cmd    *exec.Cmd
	ready  chan error // gets nil, or why the server ended before it was ready
}

// Start starts a server on an empty folder and waits until it is ready. Arguments are settings as
// redis-server takes them, after our own.
func Start(args ...string) (_ *Server, err error) {
	parent := ""
	if _, err := os.Stat("/dev/shm"); err == nil {
		parent = "/dev/shm" // in memory: tests crash servers, not machines
	}
	folder, err := os.MkdirTemp(parent, "redis")
	if err != nil {
		return nil, err
	}
	s := &Server{folder: folder, args: append([]string{
		"--port", "0", "--unixsocket", filepath.Join(folder, "s"), "--unixsocketperm", "700", "--dir", folder,
		"--save", "", "--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction",
	}, args...)}
	if err := s.Recover(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	return s, nil
}

// Begin starts a server that crashed on what it left, and does not wait until it has read that: the
// server answers LOADING meanwhile. Arguments are for this one life.
func (s *Server) Begin(args ...string) error {
	program := cmp.Or(os.Getenv(EnvProgram), "redis-server")
	s.cmd = exec.Command(program, append(append([]string{}, s.args...), args...)...)
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("there is no server to test with; install the package %s: %w", program, err)
	}
	s.ready = make(chan error, 1)
	go s.read(bufio.NewReader(out)) // ends with the server
	return nil
}

// read waits until the server says that it is ready, and then throws away what it says.
func (s *Server) read(r *bufio.Reader) {
	var said strings.Builder
	for {
		line, err := r.ReadString('\n')
		said.WriteString(line)
		if err != nil {
			s.ready <- fmt.Errorf("redis-server: %w\n%s", err, said.String())
			return
		}
		if strings.Contains(strings.ToLower(line), "ready to accept connections") {
			s.ready <- nil
			io.Copy(io.Discard, r)
			return
		}
	}
}

// Ready waits until a server that was begun is ready.
func (s *Server) Ready() error { return <-s.ready }

// Recover starts a server that crashed, on what it left, and waits until it is ready.
func (s *Server) Recover() error {
	if err := s.Begin(); err != nil {
		return err
	}
	if err := s.Ready(); err != nil {
		s.Crash()
		return err
	}
	return nil
}

// Crash ends the server at once and without its doing anything more.
func (s *Server) Crash() {
	_ = s.cmd.Process.Kill() // one that has ended already is waited for all the same
	_ = s.cmd.Wait()         // says only that it was killed
}

// Stop crashes the server and removes its folder.
func (s *Server) Stop() error {
	s.Crash()
	return os.RemoveAll(s.folder)
}

// Socket is the path of the server's socket.
func (s *Server) Socket() string { return filepath.Join(s.folder, "s") }

// DSN returns how a store reaches the server.
func (s *Server) DSN() string { return "unix://" + s.Socket() }
