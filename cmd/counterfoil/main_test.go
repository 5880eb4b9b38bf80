package main_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
)

// These tests run the built program as a user does: processes, signals, files, HTTP with saved
// cookie bytes.

var program string // path of the built binary, set once by TestMain

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "counterfoil-program")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	program = filepath.Join(dir, "counterfoil")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "the program does not build:", err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

var clock = counterfoil.SystemClock()

const passphrase = "quiet lantern over the harbour 7"

// outcome of one command.
type outcome struct {
	code     int
	out, err string
}

// command is one command line with its environment.
type command struct {
	env   []string
	stdin string
	args  []string
}

func cf(args ...string) command { return command{args: args} }

func (c command) with(env ...string) command { c.env = append(c.env, env...); return c }
func (c command) typing(text string) command { c.stdin = text; return c }

func (c command) cmd() *exec.Cmd {
	cmd := exec.Command(program, c.args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent"}, c.env...)
	cmd.Stdin = strings.NewReader(c.stdin)
	return cmd
}

func (c command) run(t *testing.T) outcome {
	t.Helper()
	cmd := c.cmd()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		t.Fatal(err)
	}
	return outcome{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// want runs the command and checks its exit code, and that its outputs hold a text.
func (c command) want(t *testing.T, code int, text string) outcome {
	t.Helper()
	o := c.run(t)
	if o.code != code || !strings.Contains(o.out+o.err, text) {
		t.Fatalf("counterfoil %s: exit code %d, want %d and %q\nout: %s\nerr: %s", strings.Join(c.args, " "), o.code, code, text, o.out, o.err)
	}
	if code != 0 && !strings.HasPrefix(o.err, "counterfoil: ") {
		t.Fatalf("counterfoil %s: standard error does not begin with the reason: %s", strings.Join(c.args, " "), o.err)
	}
	return o
}

// folder returns a place for a data folder.
func folder(t *testing.T) string { return filepath.Join(t.TempDir(), "data") }

// addUser makes an account while nobody serves, or while somebody does.
func addUser(t *testing.T, dir, name string) {
	t.Helper()
	cf("user", "add", name, "--password-stdin", "--data", dir).typing(passphrase+"\n").want(t, 0, "user "+name+" is made")
}

// server is a running `counterfoil serve`.
type server struct {
	t     *testing.T
	cmd   *exec.Cmd
	url   string
	setup chan string // gets the set-up link, if one is printed
	log   *lockedBuffer
	ended chan error
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// serve starts a server on a free port and waits until it is ready.
func serve(t *testing.T, dir string, args ...string) *server {
	t.Helper()
	return serveWith(t, cf(append([]string{"serve", "--dev", "--listen", "127.0.0.1:0", "--data", dir}, args...)...))
}

func serveWith(t *testing.T, c command) *server {
	t.Helper()
	s := &server{t: t, cmd: c.cmd(), log: &lockedBuffer{}, ended: make(chan error, 1)}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.cmd.Stderr = s.log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string)
	go func() {
		defer close(lines)
		for scan := bufio.NewScanner(out); scan.Scan(); {
			lines <- scan.Text()
		}
	}()
	t.Cleanup(func() { s.kill() })
	limit := time.After(20 * time.Second)
	for s.url == "" {
		select {
		case line, ok := <-lines:
			if !ok {
				s.cmd.Wait()
				t.Fatalf("the server ended: %s", s.log)
			}
			s.url, _ = strings.CutPrefix(line, "listening: ")
		case <-limit:
			t.Fatalf("the server does not listen: %s", s.log)
		}
	}
	s.setup = make(chan string, 1)
	go func() {
		for line := range lines {
			if link, ok := strings.CutPrefix(line, "set-up: "); ok {
				s.setup <- link
			}
		}
		s.ended <- s.cmd.Wait()
	}()
	for tries := 0; ; tries++ {
		if status, _ := s.get("/readyz", ""); status == http.StatusOK {
			break
		} else if tries == 200 {
			t.Fatalf("/readyz answers %d: %s", status, s.log)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return s
}

// kill ends the server with -9.
func (s *server) kill() {
	if s.cmd.ProcessState == nil && s.ended != nil {
		s.cmd.Process.Kill()
		<-s.ended
		s.ended = nil
	}
}

// stop ends it with SIGTERM and returns the exit code.
func (s *server) stop() int {
	s.t.Helper()
	s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
		s.ended = nil
	case <-time.After(20 * time.Second):
		s.t.Fatalf("the server does not stop: %s", s.log)
	}
	return s.cmd.ProcessState.ExitCode()
}

// do sends one request with a Cookie header as it is, and follows nothing.
func (s *server) do(method, path, cookie string, form url.Values) *http.Response {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	s.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, method, s.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		s.t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	client := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	answer, err := client.Do(r)
	if err != nil {
		s.t.Fatalf("%s %s: %v\n%s", method, path, err, s.log)
	}
	return answer
}

func (s *server) get(path, cookie string) (int, string) {
	s.t.Helper()
	answer := s.do(http.MethodGet, path, cookie, nil)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

// signIn returns the cookie's bytes and its whole Set-Cookie line.
func (s *server) signIn(name, password string) (cookie, line string) {
	s.t.Helper()
	answer := s.do(http.MethodPost, "/auth/login", "", url.Values{"username": {name}, "password": {password}, "next": {"/"}})
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusSeeOther {
		text, _ := io.ReadAll(answer.Body)
		s.t.Fatalf("sign-in answers %d: %s\n%s", answer.StatusCode, text, s.log)
	}
	for _, line := range answer.Header.Values("Set-Cookie") {
		if cookie, _, _ := strings.Cut(line, ";"); strings.Contains(cookie, "session=") && !strings.HasSuffix(cookie, "=") {
			return cookie, line
		}
	}
	s.t.Fatalf("sign-in sets no session cookie: %q", answer.Header)
	return "", ""
}

// check is what /auth/check says of a cookie.
func (s *server) check(cookie string) int {
	s.t.Helper()
	status, _ := s.get("/auth/check", cookie)
	return status
}

var fingerprint = regexp.MustCompile(`"fingerprint":"([0-9a-f]+)"`)

// keys returns the fingerprint that the start log names.
func (s *server) keys() string {
	s.t.Helper()
	m := fingerprint.FindStringSubmatch(s.log.String())
	if m == nil {
		s.t.Fatalf("the log names no fingerprint: %s", s.log)
	}
	return m[1]
}
