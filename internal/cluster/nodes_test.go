package cluster_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/logtest"
	"github.com/counterfoil/counterfoil/internal/programtest"
)

var program programtest.Program // built once by TestMain

func TestMain(m *testing.M) {
	flag.Parse()
	flag.Set("test.parallel", "5") // those that are parallel wait for leases more than they work
	os.Exit(program.Main(m))
}

const (
	patience   = programtest.Patience
	passphrase = programtest.Passphrase
)

// lease is L of the nodes here: the shortest there is, so that tests are short.
const lease = time.Second

// roomy is for the nodes of tests that are not about the lease: the longest there is, which a machine
// holds that stands still for a while, too.
const roomy = "--lease=1m"

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
	log   *logtest.Log

	site    *programtest.Site // the same in all lives; nil before the first
	process *programtest.Server
}

// newCluster starts three nodes on a server, with one account, alice.
func newCluster(t *testing.T, on *backend, args ...string) *cluster {
	t.Helper()
	c := &cluster{t: t, on: on, args: args, keys: filepath.Join(t.TempDir(), "keys")}
	if err := os.WriteFile(c.keys, []byte(program.Command("key", "generate").Must(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b", "c"} {
		c.nodes = append(c.nodes, &node{c: c, name: name, dir: filepath.Join(t.TempDir(), "data"), store: on.way(t), log: &logtest.Log{}})
	}
	c.nodes[0].must(passphrase+"\n", "user", "add", "alice", "--password-stdin")
	for _, n := range c.nodes {
		n.start()
	}
	return c
}

// command is one command line of the program on this node.
func (n *node) command(args ...string) programtest.Command {
	c := program.Command(args...).With(n.c.on.env...).With("COUNTERFOIL_DATA="+n.dir, "COUNTERFOIL_KEY_FILE="+n.c.keys,
		"COUNTERFOIL_STORE="+n.store.dsn, "COUNTERFOIL_LEASE="+lease.String(), "COUNTERFOIL_STORE_WAIT=4m") // a busy disk is no outage
	c.Log = n.log
	return c
}

// run is one command of the program on this node: its exit code, and all that it writes.
func (n *node) run(stdin string, args ...string) (int, string) {
	n.c.t.Helper()
	o := n.command(args...).Typing(stdin).Run(n.c.t)
	return o.Code, o.String()
}

// must is run for what has to end well, and again as long as the store does not answer in time.
func (n *node) must(stdin string, args ...string) string {
	n.c.t.Helper()
	const unreachable = 4
	code, out := n.run(stdin, args...)
	for start := time.Now(); code == unreachable && time.Since(start) < patience; code, out = n.run(stdin, args...) {
		time.Sleep(pause)
	}
	if code != 0 {
		n.c.t.Fatalf("counterfoil %s: exit code %d\n%s\n%s", strings.Join(args, " "), code, out, n.log)
	}
	return out
}

// start begins a life of the node and waits until it is ready.
func (n *node) start() {
	n.c.t.Helper()
	at := "127.0.0.1:0"
	if n.process != nil {
		at = n.process.Address()
	}
	n.process = n.command(append([]string{"serve", "--dev", "--listen", at}, n.c.args...)...).Serve(n.c.t)
	if n.site == nil {
		n.site = n.process.Site
	}
}

// kill is kill -9.
func (n *node) kill() { n.process.Kill() }

// stop is SIGTERM.
func (n *node) stop() {
	n.c.t.Helper()
	n.process.Stop()
}

// freeze is SIGSTOP; it returns when every thread of the process stands still.
func (n *node) freeze() {
	n.c.t.Helper()
	n.process.Signal(syscall.SIGSTOP)
	n.c.until("node "+n.name+" stands still", func() bool {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", n.process.Process()))
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
func (n *node) thaw() { n.process.Signal(syscall.SIGCONT) }

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

func client() *http.Client { return programtest.Client() }

// send gets a path, or posts a form there, and reads the answer.
func (n *node) send(by *http.Client, method, path, cookie string, form url.Values) (*http.Response, string, error) {
	return n.sendWith(by, nil, method, path, cookie, form)
}

func (n *node) sendWith(by *http.Client, header http.Header, method, path, cookie string, form url.Values) (*http.Response, string, error) {
	header = maps.Clone(header)
	if form != nil {
		if header == nil {
			header = http.Header{}
		}
		header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return n.site.RequestBy(context.Background(), by, method, path, cookie, form.Encode(), header)
}

// do is send for requests that must be answered.
func (n *node) do(method, path, cookie string, form url.Values) (*http.Response, string) {
	n.c.t.Helper()
	answer, body, err := n.send(client(), method, path, cookie, form)
	if err != nil {
		n.c.t.Fatalf("node %s, %s: %v\n%s", n.name, path, err, n.said())
	}
	return answer, body
}

// sure is do, and again as long as the node says that it does not know and when to come back, as clients
// do.
func (n *node) sure(method, path, cookie string, form url.Values) (answer *http.Response, body string) {
	n.c.t.Helper()
	answer, body = n.do(method, path, cookie, form)
	for start := time.Now(); unknown(answer) && time.Since(start) < patience; answer, body = n.do(method, path, cookie, form) {
		time.Sleep(pause)
	}
	return answer, body
}

// pause is between two tries.
const pause = 250 * time.Millisecond

func unknown(answer *http.Response) bool {
	return answer.StatusCode == http.StatusServiceUnavailable && answer.Header.Get("Retry-After") != ""
}

// said is all that the node has written: it is killed first, since what it wrote last may be on its way.
func (n *node) said() string {
	n.kill()
	return n.log.String()
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

// verdict is check of a node that has to know in the end.
func (n *node) verdict(cookie string) int {
	n.c.t.Helper()
	answer, _ := n.sure(http.MethodGet, "/auth/check", cookie, nil)
	return answer.StatusCode
}

// signIn returns the bytes of a new session's cookie, and the session's ID.
func (n *node) signIn(name string) (cookie, id string) {
	n.c.t.Helper()
	answer, body := n.sure(http.MethodPost, "/auth/login", "", url.Values{"username": {name}, "password": {passphrase}})
	if cookie, _ = programtest.SessionCookie(answer); cookie == "" {
		n.c.t.Fatalf("sign-in answers %d: %s\n%s", answer.StatusCode, body, n.said())
	}
	answer, _ = n.sure(http.MethodGet, "/auth/check", cookie, nil)
	if id = answer.Header.Get("X-Auth-Session"); id == "" {
		n.c.t.Fatalf("after sign-in the check answers %d\n%s", answer.StatusCode, n.said())
	}
	return cookie, id
}
