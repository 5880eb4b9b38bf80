package cluster_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/programtest"
)

// back is how soon a node must go on with a store that is there again.
const back = 2 * time.Second

// outage is something that happens to the store, or to the way there.
type outage struct {
	name   string
	down   func() error
	up     func() error
	dark   bool          // it goes on until the leases are over, and longer
	lasts  time.Duration // where that is not so
	within time.Duration // how soon all nodes must go on afterwards
}

// What can happen to a store: warm sessions go on until the lease ends; then the answer is 503 with
// Retry-After, no cookie is touched, and nobody is told that he is signed out. When the store is back
// the same sessions work, without a restart, within two seconds. G9, PD8, D1, P27
func TestOutages(t *testing.T) {
	t.Parallel()
	onEveryStore(t, func(t *testing.T, on *backend) {
		c := newCluster(t, on)
		keep, _ := c.nodes[0].signIn("alice")
		leads := func(h how) func() error {
			return func() error {
				for _, n := range c.nodes {
					n.store.set(h)
				}
				return nil
			}
		}
		slow := func(d time.Duration) func() error {
			return func() error {
				for _, n := range c.nodes {
					n.store.proxy.slow(d)
				}
				return nil
			}
		}
		all := []outage{
			{"stopped", on.crash, on.recover, true, 0, back},
			{"started again at once", func() error { return errors.Join(on.crash(), on.recover()) }, func() error { return nil }, false, lease / 4, back},
			{"cut off", leads(refuse), leads(pass), true, 0, back},
			{"half open", leads(swallow), leads(pass), true, 0, 2 * back},
		}
		if on.folder == nil {
			all = append(all, []outage{
				{"held up", leads(hold), leads(pass), true, 0, back},
				{"slow", slow(lease / 8), slow(0), false, 2 * lease, back},
				{"too slow", slow(2 * lease), slow(0), true, 0, 2*lease + back},
			}...)
		}
		if on.redis != nil {
			all = append(all, outage{"loading", func() error {
				on.redis.Crash()
				return on.redis.Begin("--key-load-delay", "15000", "--loading-process-events-interval-bytes", "1024")
			}, on.redis.Ready, false, 0, back})
		}
		warm, most := 0, 0
		for _, o := range all {
			programtest.InTime(t, o.within, func() time.Duration {
				went, asked, took := c.through(o, keep)
				if o.dark {
					warm, most = warm+went, most+asked
				}
				return took
			})
		}
		// A busy machine may poll so late that little is left of a lease, but not each time.
		if warm < most/4 {
			t.Errorf("%d of %d times a node went on with warm sessions", warm, most)
		}
	})
}

// through lets an outage pass with requests all the time, and returns how many nodes admitted some of
// them after it had begun, before their leases ended, how many were asked and answered that soon, and how
// long after its end all went on.
func (c *cluster) through(o outage, session string) (went, asked int, took time.Duration) {
	t := c.t
	t.Helper()
	for _, n := range c.nodes {
		c.until("node "+n.name+" admits before: "+o.name, func() bool { return n.check(session) == http.StatusOK })
	}
	w := watch(c, session)
	time.Sleep(lease / 4)
	begins := time.Now()
	if err := o.down(); err != nil {
		t.Fatalf("%s: %v", o.name, err)
	}
	down := time.Now()
	if o.dark {
		time.Sleep(lease)
		c.dark(o, session)
	}
	time.Sleep(o.lasts)
	up := time.Now()
	if err := o.up(); err != nil {
		t.Fatalf("%s: %v", o.name, err)
	}
	there := time.Now()
	took = c.until("all nodes go on after: "+o.name, func() bool {
		for _, n := range c.nodes {
			if n.check(session) != http.StatusOK {
				return false
			}
		}
		return true
	})
	warm, soon := map[*node]bool{}, map[*node]bool{}
	count := map[int]int{}
	for _, s := range w.end() {
		count[s.status]++
		if s.since.After(down) && s.answered.Sub(begins) < lease/3 {
			soon[s.node] = true
		}
		switch after := s.since.Sub(down); {
		case s.status != http.StatusOK && s.status != http.StatusServiceUnavailable:
			t.Errorf("%s: node %s answers %d, %v after it began", o.name, s.node.name, s.status, after)
		case s.status != http.StatusOK || after < 0:
		case after < lease:
			warm[s.node], soon[s.node] = true, true
		case o.dark && s.answered.Before(up):
			t.Errorf("%s: node %s admits without the store, %v after it began", o.name, s.node.name, after)
		}
	}
	t.Logf("%s for %v: all nodes went on %v after it was over; answers %v", o.name, there.Sub(down), took, count)
	return len(warm), len(soon), took
}

// answers is how long a node may take to say that it does not know.
const answers = 8 * time.Second

// dark looks at what the nodes answer when their leases are over.
func (c *cluster) dark(o outage, session string) {
	c.t.Helper()
	page := http.Header{"Accept": {"text/html"}}
	var asked sync.WaitGroup
	var mu sync.Mutex
	var slowest time.Duration
	ask := func(n *node, what string, header http.Header, method, path, cookie string, form url.Values) {
		asked.Go(func() {
			start := time.Now()
			got, body, err := n.sendWith(client(), header, method, path, cookie, form)
			mu.Lock()
			slowest = max(slowest, time.Since(start))
			mu.Unlock()
			switch {
			case err != nil:
				c.t.Errorf("%s: node %s answers %s with %v", o.name, n.name, what, err)
			case !unknown(got) || len(got.Header.Values("Set-Cookie")) > 0:
				c.t.Errorf("%s: node %s answers %s with %d %v", o.name, n.name, what, got.StatusCode, got.Header)
			case header != nil && !strings.Contains(body, "</html>"):
				c.t.Errorf("%s: node %s answers %s with no page: %s", o.name, n.name, what, body)
			}
		})
	}
	programtest.InTime(c.t, answers, func() time.Duration {
		slowest = 0
		for _, n := range c.nodes {
			ask(n, "a check", nil, http.MethodGet, "/auth/check", session, nil)
			ask(n, "a page", page, http.MethodGet, "/", session, nil)
			ask(n, "a sign-in", page, http.MethodPost, "/auth/login", "", url.Values{"username": {"alice"}, "password": {passphrase}})
		}
		asked.Wait()
		return slowest
	})
}
