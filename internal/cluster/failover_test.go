package cluster_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/counterfoil/counterfoil/internal/programtest"
	"github.com/counterfoil/counterfoil/store/redis/redistest"
)

// standby is a second server that follows the first by way of a proxy.
type standby struct {
	socket string
	caughtUp,
	promote func() error
	way *proxy
}

func postgresStandby(t *testing.T, on *backend, synchronous bool) *standby {
	t.Helper()
	way := newProxy(t, on.socket())
	second, err := on.pg.Standby(way.address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := second.Stop(); err != nil {
			t.Error(err)
		}
	})
	ctx := context.Background()
	if synchronous {
		if err := on.pg.Set(ctx, map[string]string{"synchronous_standby_names": "standby"}); err != nil {
			t.Fatal(err)
		}
	}
	c := connect(t, on)
	return &standby{
		way: way, socket: second.Socket(), promote: second.Promote,
		caughtUp: func() error {
			for start := time.Now(); time.Since(start) < patience; time.Sleep(10 * time.Millisecond) {
				var there bool
				var state string
				err := c.QueryRow(ctx, "SELECT replay_lsn >= pg_current_wal_lsn(), sync_state FROM pg_stat_replication").Scan(&there, &state)
				if err == nil && there && (state == "sync") == synchronous {
					return nil
				}
			}
			return fmt.Errorf("the standby does not follow")
		},
	}
}

// connect is a connection of the test's own, beside those of the nodes.
func connect(t *testing.T, on *backend) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(context.Background(), on.pg.DSN(""))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.Background()) })
	return c
}

func redisStandby(t *testing.T, on *backend, _ bool) *standby {
	t.Helper()
	way := newProxy(t, on.socket())
	host, port := way.address()
	second, err := redistest.Start("--replicaof", host+" "+port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := second.Stop(); err != nil {
			t.Error(err)
		}
	})
	return &standby{
		way: way, socket: second.Socket(),
		promote: func() error {
			_, err := ask(second.Socket(), "REPLICAOF NO ONE")
			return err
		},
		caughtUp: func() error {
			for start := time.Now(); time.Since(start) < patience; time.Sleep(10 * time.Millisecond) {
				offset := func(socket, field string) string {
					info, _ := ask(socket, "INFO replication")
					_, after, _ := strings.Cut(info, field+":")
					value, _, _ := strings.Cut(after, "\r")
					return value
				}
				if is := offset(second.Socket(), "slave_repl_offset"); is != "" && is == offset(on.socket(), "master_repl_offset") &&
					offset(second.Socket(), "master_link_status") == "up" {
					return nil
				}
			}
			return fmt.Errorf("the replica does not follow")
		},
	}
}

// ask sends a Redis server one command and returns its answer, a line or a text.
func ask(socket, command string) (string, error) {
	c, err := net.Dial("unix", socket)
	if err != nil {
		return "", err
	}
	defer c.Close()
	fmt.Fprintf(c, "%s\r\nQUIT\r\n", command)
	r := bufio.NewReader(c)
	var all strings.Builder
	for {
		line, err := r.ReadString('\n')
		if line == "+OK\r\n" && all.Len() > 0 || err != nil {
			break
		}
		all.WriteString(line)
	}
	if strings.HasPrefix(all.String(), "-") {
		return "", fmt.Errorf("%s: %s", command, all.String())
	}
	return all.String(), nil
}

// A standby takes over from a primary that is cut off from it. Every node sees that the log is
// another one, drops what it has cached and says so; sessions that the standby has go on without a
// restart, within two seconds; as long as nobody can be written to the answer is 503, not 401. With
// synchronous replication nothing acknowledged is lost, and the old primary renews no lease, not even
// when its wait for the standby is broken off. G1, G2, P27, PD8, D1
func TestFailOver(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		start       func(*testing.T) *backend
		follow      func(*testing.T, *backend, bool) *standby
		synchronous bool
	}{
		"postgres, synchronous":  {startPostgres, postgresStandby, true},
		"postgres, asynchronous": {startPostgres, postgresStandby, false},
		"redis":                  {startRedis, redisStandby, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			programtest.InTime(t, back, func() time.Duration {
				on := c.start(t)
				return failOver(t, on, c.follow(t, on, c.synchronous), c.synchronous)
			})
		})
	}
}

// failOver is one, and how long after the promotion all nodes went on.
func failOver(t *testing.T, on *backend, second *standby, synchronous bool) time.Duration {
	c := newCluster(t, on)
	keep, _ := c.nodes[0].signIn("alice")
	gone, _ := c.nodes[1].signIn("alice")
	doubt, _ := c.nodes[2].signIn("alice")
	signOut := func(n *node, cookie string) int {
		answer, _ := n.do(http.MethodPost, "/auth/logout", cookie, url.Values{})
		return answer.StatusCode
	}
	for _, n := range c.nodes {
		c.until("node "+n.name+" admits", func() bool {
			return n.check(keep) == http.StatusOK && n.check(gone) == http.StatusOK && n.check(doubt) == http.StatusOK
		})
	}
	if err := second.caughtUp(); err != nil {
		t.Fatal(err)
	}
	if answer, body := c.nodes[0].sure(http.MethodPost, "/auth/logout", gone, url.Values{}); answer.StatusCode != http.StatusNoContent {
		t.Fatalf("a sign-out answers %d: %s", answer.StatusCode, body)
	}
	if err := second.caughtUp(); err != nil {
		t.Fatal(err)
	}
	w := watch(c, keep)
	time.Sleep(lease / 4)

	// The primary runs on without its standby.
	second.way.set(swallow)
	cut := time.Now()
	if synchronous {
		stop := breakOff(t, on)
		if status := signOut(c.nodes[0], doubt); status != http.StatusServiceUnavailable {
			t.Errorf("a sign-out that the standby never heard of answers %d", status)
		}
		if status := signOut(c.nodes[1], doubt); status != http.StatusServiceUnavailable {
			t.Errorf("the same on another node, where the session has ended already, answers %d", status)
		}
		time.Sleep(time.Until(cut.Add(lease + lease/4)))
		for _, n := range c.nodes {
			if status := n.check(keep); status != http.StatusServiceUnavailable {
				t.Errorf("node %s answers %d on a primary without its standby", n.name, status)
			}
		}
		stop()
	} else if answer, body := c.nodes[0].sure(http.MethodPost, "/auth/logout", doubt, url.Values{}); answer.StatusCode != http.StatusNoContent {
		t.Errorf("a sign-out answers %d: %s", answer.StatusCode, body)
	}
	alone := time.Now()

	// Its address leads to the standby, first before that takes writes.
	for _, n := range c.nodes {
		n.store.proxy.lead(second.socket)
	}
	c.until("nobody admits by a standby", func() bool {
		for _, n := range c.nodes {
			if status := n.check(keep); status != http.StatusServiceUnavailable {
				return false
			}
		}
		return true
	})
	if err := second.promote(); err != nil {
		t.Fatal(err)
	}
	took := c.until("all nodes go on with the standby", func() bool {
		for _, n := range c.nodes {
			if n.check(keep) != http.StatusOK {
				return false
			}
		}
		return true
	})
	for _, s := range w.end() {
		after := s.since.Sub(cut)
		if s.status != http.StatusOK && s.status != http.StatusServiceUnavailable {
			t.Errorf("node %s answers %d, %v after the cut", s.node.name, s.status, after)
		}
		if synchronous && s.status == http.StatusOK && after > lease && s.answered.Before(alone) {
			t.Errorf("node %s admits by the old primary, %v after that lost its standby", s.node.name, after)
		}
	}
	for _, n := range c.nodes {
		if status := n.verdict(gone); status != http.StatusUnauthorized {
			t.Errorf("node %s answers %d for a session whose end was acknowledged", n.name, status)
		}
		c.until("node "+n.name+" says that the log is another one", func() bool { return strings.Contains(n.log.String(), "another incarnation") })
	}
	if synchronous { // the node that could not write the end tries until it can
		c.until("what was asked for is done", func() bool { return c.nodes[1].check(doubt) == http.StatusUnauthorized })
	} else {
		t.Logf("an end that was acknowledged while the standby did not follow: node b now answers %d", c.nodes[1].check(doubt))
	}
	fresh, _ := c.nodes[2].signIn("alice")
	if status := c.nodes[1].verdict(fresh); status != http.StatusOK {
		t.Errorf("a new session: %d", status)
	}
	t.Logf("all nodes went on %v after the promotion", took)
	return took
}

// breakOff ends again and again the waits for the standby, as an impatient operator does: the server
// then says that it has committed, with a warning. Nodes poll all the while, so that somebody waits.
func breakOff(t *testing.T, on *backend) (stop func()) {
	c := connect(t, on)
	over := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		broken, enough := int64(0), false
		for start := time.Now(); !enough || broken == 0; time.Sleep(20 * time.Millisecond) {
			tag, err := c.Exec(context.Background(), "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
			broken += tag.RowsAffected()
			if err != nil || time.Since(start) > patience {
				t.Errorf("%d waits for the standby were broken off: %v; this test looks for the wrong thing", broken, err)
				return
			}
			select {
			case <-over:
				enough = true
			default:
			}
		}
	})
	return func() {
		close(over)
		running.Wait()
	}
}
