package cluster_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
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
	dir, err := os.MkdirTemp("", "counterfoil-cluster")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	program = filepath.Join(dir, "counterfoil")
	build := exec.Command("go", "build", "-o", program, "../../cmd/counterfoil")
	build.Stderr = os.Stderr
	code := 1
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "the program does not build:", err)
	} else {
		flag.Parse()
		flag.Set("test.parallel", "5") // those that are parallel wait for leases more than they work
		code = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// patience is how long a test waits for what must happen; a busy machine is slow.
const patience = 60 * time.Second

const passphrase = "quiet lantern over the harbour 7"

// lease is L of the nodes here: the shortest there is, so that tests are short.
const lease = time.Second

// cluster is several nodes of the built program on one store, each with a way there of its own.
type cluster struct {
	t     *testing.T
	on    *backend
	keys  string
	args  []string
	nodes []*node
}

// node is one of them: its folder and address stay through all its lives.
type node struct {
	c     *cluster
	name  string
	dir   string
	store way
	at    string // host:port; "" before the first life
	log   *record

	cmd   *exec.Cmd
	ended chan struct{} // closed when the process has ended
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

// newCluster starts three nodes on a server, with one account, alice.
func newCluster(t *testing.T, on *backend, args ...string) *cluster {
	t.Helper()
	c := &cluster{t: t, on: on, args: args, keys: filepath.Join(t.TempDir(), "keys")}
	key, err := exec.Command(program, "key", "generate").Output()
	if err == nil {
		err = os.WriteFile(c.keys, key, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b", "c"} {
		c.nodes = append(c.nodes, &node{c: c, name: name, dir: filepath.Join(t.TempDir(), "data"), store: on.way(t), log: &record{}})
	}
	c.nodes[0].must(passphrase+"\n", "user", "add", "alice", "--password-stdin")
	for _, n := range c.nodes {
		n.start()
		t.Cleanup(func() {
			n.kill()
			for _, bad := range []string{"panic:", "fatal error:", "goroutine ", "DATA RACE"} {
				if strings.Contains(n.log.String(), bad) {
					t.Errorf("%q in the log of node %s: %s", bad, n.name, n.log)
				}
			}
		})
	}
	return c
}

func (n *node) environment() []string {
	return append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "COUNTERFOIL_DATA=" + n.dir, "COUNTERFOIL_KEY_FILE=" + n.c.keys,
		"COUNTERFOIL_STORE=" + n.store.dsn, "COUNTERFOIL_LEASE=" + lease.String(),
	}, n.c.on.env...)
}

// run is one command of the program on this node: its exit code, and all that it writes.
func (n *node) run(stdin string, args ...string) (int, string) {
	n.c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env, cmd.Stdin = n.environment(), strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if ended := (*exec.ExitError)(nil); err != nil && !errors.As(err, &ended) {
		n.c.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// must is run for what has to end well.
func (n *node) must(stdin string, args ...string) string {
	n.c.t.Helper()
	code, out := n.run(stdin, args...)
	if code != 0 {
		n.c.t.Fatalf("counterfoil %s: exit code %d\n%s\n%s", strings.Join(args, " "), code, out, n.log)
	}
	return out
}

// start begins a life of the node and waits until it is ready.
func (n *node) start() {
	n.c.t.Helper()
	at := n.at
	if at == "" {
		at = "127.0.0.1:0"
	}
	cmd := exec.Command(program, append([]string{"serve", "--dev", "--listen", at}, n.c.args...)...)
	cmd.Env, cmd.Stderr = n.environment(), n.log
	out, err := cmd.StdoutPipe()
	if err != nil {
		n.c.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		n.c.t.Fatal(err)
	}
	ended, listening := make(chan struct{}), make(chan string, 1)
	n.cmd, n.ended = cmd, ended
	go func() {
		defer close(ended)
		for scan := bufio.NewScanner(out); scan.Scan(); {
			if at, ok := strings.CutPrefix(scan.Text(), "listening: http://"); ok {
				listening <- at
			}
		}
		cmd.Wait()
	}()
	select {
	case at = <-listening:
		if n.at == "" {
			n.at = at
		}
	case <-ended:
		n.c.t.Fatalf("node %s ended: %s", n.name, n.log)
	case <-time.After(patience):
		n.c.t.Fatalf("node %s does not listen: %s", n.name, n.log)
	}
	n.c.until("node "+n.name+" is ready", func() bool { return n.get("/readyz", "") == http.StatusOK })
}

// kill is kill -9.
func (n *node) kill() {
	if n.cmd != nil {
		n.cmd.Process.Kill()
		<-n.ended
	}
}

// stop is SIGTERM.
func (n *node) stop() {
	n.c.t.Helper()
	n.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-n.ended:
	case <-time.After(patience):
		n.c.t.Fatalf("SIGTERM does not stop node %s: %s", n.name, n.log)
	}
	if code := n.cmd.ProcessState.ExitCode(); code != 0 {
		n.c.t.Fatalf("SIGTERM: exit code %d\n%s", code, n.log)
	}
}

// freeze is SIGSTOP; it returns when every thread of the process stands still.
func (n *node) freeze() {
	n.c.t.Helper()
	n.cmd.Process.Signal(syscall.SIGSTOP)
	n.c.until("node "+n.name+" stands still", func() bool {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", n.cmd.Process.Pid))
		if err != nil || len(threads) == 0 {
			return false
		}
		for _, path := range threads {
			stat, err := os.ReadFile(path)
			if err != nil {
				return false
			}
			_, after, _ := strings.Cut(string(stat), ") ")
			if !strings.HasPrefix(after, "T") {
				return false
			}
		}
		return true
	})
}

// thaw is SIGCONT.
func (n *node) thaw() { n.cmd.Process.Signal(syscall.SIGCONT) }

// until waits for what must become true, and returns how long that took.
func (c *cluster) until(what string, happened func() bool) time.Duration {
	c.t.Helper()
	for start := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if happened() {
			return time.Since(start)
		}
		if time.Since(start) > patience {
			var logs strings.Builder
			for _, n := range c.nodes {
				fmt.Fprintf(&logs, "node %s: %s\n", n.name, n.log)
			}
			c.t.Fatalf("not true: %s\n%s", what, &logs)
		}
	}
}

// client keeps no cookie and comes from some address of this machine, so that the limits of one
// address do not stop a test.
func client() *http.Client {
	from := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, byte(1+rand.IntN(250)), byte(rand.IntN(250)), 1)}}
	return &http.Client{
		Timeout:       patience,
		Transport:     &http.Transport{DialContext: from.DialContext, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// send gets a path, or posts a form there, and reads the answer.
func (n *node) send(by *http.Client, method, path, cookie string, form url.Values) (*http.Response, string, error) {
	return n.sendWith(by, nil, method, path, cookie, form)
}

func (n *node) sendWith(by *http.Client, header http.Header, method, path, cookie string, form url.Values) (*http.Response, string, error) {
	r, err := http.NewRequest(method, "http://"+n.at+path, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, "", err
	}
	maps.Copy(r.Header, header)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	answer, err := by.Do(r)
	if err != nil {
		return nil, "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return answer, string(text), err
}

// do is send for requests that must be answered.
func (n *node) do(method, path, cookie string, form url.Values) (*http.Response, string) {
	n.c.t.Helper()
	return n.doWith(nil, method, path, cookie, form)
}

func (n *node) doWith(header http.Header, method, path, cookie string, form url.Values) (*http.Response, string) {
	n.c.t.Helper()
	answer, body, err := n.sendWith(client(), header, method, path, cookie, form)
	if err != nil {
		n.c.t.Fatalf("node %s, %s: %v\n%s", n.name, path, err, n.log)
	}
	return answer, body
}

// get is the status of an answer; 0: there was none.
func (n *node) get(path, cookie string) int {
	answer, _, err := n.send(client(), http.MethodGet, path, cookie, nil)
	if err != nil {
		return 0
	}
	return answer.StatusCode
}

// check is what the node says of a session.
func (n *node) check(cookie string) int { return n.get("/auth/check", cookie) }

// signIn returns the bytes of a new session's cookie, and the session's ID.
func (n *node) signIn(name string) (cookie, id string) {
	n.c.t.Helper()
	answer, body := n.do(http.MethodPost, "/auth/login", "", url.Values{"username": {name}, "password": {passphrase}})
	if cookie = sessionCookie(answer); cookie == "" {
		n.c.t.Fatalf("sign-in answers %d: %s\n%s", answer.StatusCode, body, n.log)
	}
	answer, _ = n.do(http.MethodGet, "/auth/check", cookie, nil)
	if id = answer.Header.Get("X-Auth-Session"); id == "" {
		n.c.t.Fatalf("after sign-in the check answers %d", answer.StatusCode)
	}
	return cookie, id
}

// sessionCookie finds the session's cookie in an answer.
func sessionCookie(answer *http.Response) string {
	for _, line := range answer.Header.Values("Set-Cookie") {
		cookie, _, _ := strings.Cut(line, ";")
		if name, value, _ := strings.Cut(cookie, "="); strings.HasSuffix(name, "session") && value != "" {
			return cookie
		}
	}
	return ""
}
