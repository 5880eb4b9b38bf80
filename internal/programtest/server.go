package programtest

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/freeport"
	"github.com/counterfoil/counterfoil/internal/logtest"
)

// Server is a running `counterfoil serve`.
type Server struct {
	*Site
	Out *logtest.Log // standard output
	Log *logtest.Log // standard error

	t     testing.TB
	cmd   *exec.Cmd
	ended chan struct{} // closed when the process has ended
}

// Serve starts the command, which serves, and waits until it is ready. When the test ends, the server
// is killed; it must not have panicked.
func (c Command) Serve(t testing.TB) *Server {
	t.Helper()
	c.Env = slices.Concat([]string{Patient}, c.Env)
	s := &Server{Out: &logtest.Log{}, Log: c.Log, t: t, cmd: c.Cmd(context.Background()), ended: make(chan struct{})}
	if s.Log == nil {
		s.Log = &logtest.Log{}
	}
	s.cmd.Stderr = s.Log
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	listening := make(chan string, 1)
	go func() {
		defer close(s.ended)
		for scan := bufio.NewScanner(out); scan.Scan(); {
			fmt.Fprintln(s.Out, scan.Text())
			if at, ok := strings.CutPrefix(scan.Text(), "listening: "); ok {
				listening <- at
			}
		}
		s.cmd.Wait()
	}()
	t.Cleanup(func() {
		s.Kill()
		for _, bad := range []string{"panic:", "fatal error:", "goroutine ", "DATA RACE"} {
			if strings.Contains(s.Log.String(), bad) {
				t.Errorf("%q in the log: %s", bad, s.Log)
			}
		}
	})
	select {
	case at := <-listening:
		s.Site = At(t, at)
	case <-s.ended:
		t.Fatalf("the server ended: %s", s.Log)
	case <-time.After(Patience):
		t.Fatalf("the server does not listen: %s", s.Log)
	}
	s.Until("ready", func() bool {
		answer, _, err := s.Send(context.Background(), "/readyz", "", nil)
		return err == nil && answer.StatusCode == http.StatusOK
	})
	return s
}

// Until waits for what must become true while the server runs.
func (s *Server) Until(what string, happened func() bool) {
	s.t.Helper()
	const pause = 20 * time.Millisecond
	for range Patience / pause {
		if happened() {
			return
		}
		time.Sleep(pause)
	}
	s.t.Fatalf("not %s: %s", what, s.Log)
}

// FreeAddress is a place to listen on that stays free until somebody does.
func FreeAddress(t testing.TB) string {
	t.Helper()
	address, err := freeport.Address()
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// Address is where it listens, host and port, for its next life.
func (s *Server) Address() string {
	s.t.Helper()
	u, err := url.Parse(s.URL)
	if err != nil {
		s.t.Fatal(err)
	}
	return u.Host
}

// SetupLink is the one-time link that a first start prints.
func (s *Server) SetupLink() (link string) {
	s.t.Helper()
	s.Until("a set-up link", func() bool {
		for line := range strings.Lines(s.Out.String()) {
			if after, ok := strings.CutPrefix(strings.TrimSpace(line), "set-up: "); ok {
				link = after
			}
		}
		return link != ""
	})
	return link
}

// Process is the number of its process.
func (s *Server) Process() int { return s.cmd.Process.Pid }

// Signal sends a signal; a process that has ended gets none.
func (s *Server) Signal(what syscall.Signal) { s.cmd.Process.Signal(what) }

// Kill is kill -9; it returns when the process is gone.
func (s *Server) Kill() {
	s.Signal(syscall.SIGKILL)
	<-s.ended
}

// Stop is SIGTERM, after which the server has to end well.
func (s *Server) Stop() {
	s.t.Helper()
	s.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(Patience):
		s.t.Fatalf("SIGTERM does not stop the server: %s", s.Log)
	}
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		s.t.Fatalf("SIGTERM: exit code %d\n%s", code, s.Log)
	}
}
