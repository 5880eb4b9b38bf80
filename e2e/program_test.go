// Package e2e tests the built program from outside: HTTP in, HTTP out, in a real browser, by curl with
// the saved bytes of a cookie, and by killing the process. It imports nothing of what it tests.
//
// E2E_SHOTS=FOLDER leaves pictures of all pages there; KILL_ROUNDS=N kills more often; GOFLAGS=-race
// builds the program, too, with the race detector.
package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var program string // path of the built program, set once by TestMain

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "counterfoil-e2e")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	program = filepath.Join(dir, "counterfoil")
	build := exec.Command("go", "build", "-o", program, "./cmd/counterfoil")
	build.Dir = ".."
	build.Stderr = os.Stderr
	code := 1
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "the program does not build:", err)
	} else {
		code = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// patience is how long a test waits for what must happen; a busy machine is slow.
const patience = 30 * time.Second

const passphrase = "quiet lantern over the harbour 7"

// run is one command of the program: its exit code, and standard output and error together.
func run(t *testing.T, stdin string, args ...string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = environment()
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if ended := (*exec.ExitError)(nil); err != nil && !errors.As(err, &ended) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// must is run for what has to end well.
func must(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	code, out := run(t, stdin, args...)
	if code != 0 {
		t.Fatalf("counterfoil %s: exit code %d\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

func environment(more ...string) []string {
	return append([]string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent"}, more...)
}

// folder returns the place of a data folder that is not there yet.
func folder(t *testing.T) string { return filepath.Join(t.TempDir(), "data") }

func addUser(t *testing.T, dir, name string) {
	t.Helper()
	must(t, passphrase+"\n", "user", "add", name, "--password-stdin", "--data", dir)
}

// record gathers what a process writes.
type record struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.String()
}

// server is a running `counterfoil serve`.
type server struct {
	t      *testing.T
	cmd    *exec.Cmd
	url    string
	output *record       // standard output and error
	ended  chan struct{} // closed when the process has ended
}

// serve starts a server on a free port, and waits until it is ready.
func serve(t *testing.T, dir string, args ...string) *server {
	t.Helper()
	return serveAt(t, dir, "127.0.0.1:0", args...)
}

func serveAt(t *testing.T, dir, address string, args ...string) *server {
	t.Helper()
	return launch(t, environment(), append([]string{"serve", "--dev", "--listen", address, "--data", dir}, args...)...)
}

func launch(t *testing.T, env []string, args ...string) *server {
	t.Helper()
	s := &server{t: t, cmd: exec.Command(program, args...), output: &record{}, ended: make(chan struct{})}
	s.cmd.Env = env
	s.cmd.Stderr = s.output
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
			fmt.Fprintln(s.output, scan.Text())
			if at, ok := strings.CutPrefix(scan.Text(), "listening: "); ok {
				listening <- at
			}
		}
		s.cmd.Wait()
	}()
	t.Cleanup(func() {
		s.kill()
		for _, bad := range []string{"panic:", "fatal error:", "goroutine ", "DATA RACE"} {
			if strings.Contains(s.output.String(), bad) {
				t.Errorf("%q in the log: %s", bad, s.output)
			}
		}
	})
	select {
	case s.url = <-listening:
	case <-s.ended:
		t.Fatalf("the server ended: %s", s.output)
	case <-time.After(patience):
		t.Fatalf("the server does not listen: %s", s.output)
	}
	s.until("ready", func() bool { return s.ready() })
	return s
}

func (s *server) ready() bool {
	answer, err := client().Get(s.url + "/readyz")
	if err != nil {
		return false
	}
	answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// until waits for what must become true.
func (s *server) until(what string, happened func() bool) {
	s.t.Helper()
	for end := time.Now().Add(patience); !happened(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("not %s: %s", what, s.output)
		}
	}
}

// address is where the server listens, for its next life.
func (s *server) address() string {
	u, err := url.Parse(s.url)
	if err != nil {
		s.t.Fatal(err)
	}
	return u.Host
}

// setupLink is the one-time link that a first start prints.
func (s *server) setupLink() (link string) {
	s.t.Helper()
	s.until("a set-up link", func() bool {
		for line := range strings.Lines(s.output.String()) {
			if after, ok := strings.CutPrefix(strings.TrimSpace(line), "set-up: "); ok {
				link = after
			}
		}
		return link != ""
	})
	return link
}

// kill is kill -9.
func (s *server) kill() {
	s.cmd.Process.Kill()
	<-s.ended
}

// stop is SIGTERM.
func (s *server) stop() {
	s.t.Helper()
	s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(patience):
		s.t.Fatalf("SIGTERM does not stop the server: %s", s.output)
	}
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		s.t.Fatalf("SIGTERM: exit code %d\n%s", code, s.output)
	}
}

// client follows nothing, keeps no cookie and no connection, takes self-made certificates, and comes
// from some address of this machine, so that the limits of one address do not stop a test.
func client() *http.Client {
	from := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, byte(1+rand.IntN(250)), byte(rand.IntN(250)), 1)}}
	return &http.Client{
		Timeout:       patience,
		Transport:     &http.Transport{DialContext: from.DialContext, DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// request sends one request with a Cookie header as it is, and reads the answer.
func (s *server) request(ctx context.Context, method, path, cookie, body string, header http.Header) (*http.Response, string, error) {
	r, err := http.NewRequestWithContext(ctx, method, s.url+path, strings.NewReader(body))
	if err != nil {
		return nil, "", err
	}
	maps.Copy(r.Header, header)
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	answer, err := client().Do(r)
	if err != nil {
		return nil, "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return answer, string(text), err
}

// send gets a path, or posts a form there.
func (s *server) send(ctx context.Context, path, cookie string, form url.Values) (*http.Response, string, error) {
	if form == nil {
		return s.request(ctx, http.MethodGet, path, cookie, "", nil)
	}
	return s.request(ctx, http.MethodPost, path, cookie, form.Encode(), http.Header{"Content-Type": {"application/x-www-form-urlencoded"}})
}

// do is send for requests that must be answered.
func (s *server) do(path, cookie string, form url.Values) (*http.Response, string) {
	s.t.Helper()
	answer, body, err := s.send(context.Background(), path, cookie, form)
	if err != nil {
		s.t.Fatalf("%s: %v\n%s", path, err, s.output)
	}
	return answer, body
}

// signIn returns the bytes of the session's cookie, and its Set-Cookie line.
func (s *server) signIn(name, password string) (cookie, line string) {
	s.t.Helper()
	answer, body := s.do("/auth/login", "", url.Values{"username": {name}, "password": {password}})
	cookie, line = sessionCookie(answer)
	if cookie == "" {
		s.t.Fatalf("sign-in answers %d: %s\n%s", answer.StatusCode, body, s.output)
	}
	return cookie, line
}

// sessionCookie finds the session's cookie in an answer.
func sessionCookie(answer *http.Response) (cookie, line string) {
	for _, line := range answer.Header.Values("Set-Cookie") {
		cookie, _, _ := strings.Cut(line, ";")
		if name, value, _ := strings.Cut(cookie, "="); strings.HasSuffix(name, "session") && value != "" {
			return cookie, line
		}
	}
	return "", ""
}
