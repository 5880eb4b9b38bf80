package cluster_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"
)

// balancer sends each request to some node, and to another if that one does not take it, as a load
// balancer does with requests that may be sent again.
type balancer struct {
	c    *cluster
	stop chan struct{}
	busy sync.WaitGroup

	mu       sync.Mutex
	statuses map[int]int
	retried  int
	stood    int // nodes that waited for a store that stood still, and said so
	worst    time.Duration
}

// balance begins to ask about each session all the time.
func (c *cluster) balance(sessions ...string) *balancer {
	b := &balancer{c: c, stop: make(chan struct{}), statuses: map[int]int{}}
	for _, session := range sessions {
		b.busy.Go(func() { b.serve(session) })
	}
	return b
}

// end ends the asking, when there was enough of it. All answers have to say that the session lives. Only a
// machine that stands still may keep a node from that, not often; the node then has waited for the store.
func (b *balancer) end(what string) {
	b.c.t.Helper()
	b.c.until(what+": asked often", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.statuses[http.StatusOK] >= 100 || len(b.statuses) > 1
	})
	close(b.stop)
	b.busy.Wait()
	if len(b.statuses) != 1 || b.stood > b.statuses[http.StatusOK]/10 {
		b.c.t.Errorf("%s: answers %v, want 200 alone; %d times a store stood still", what, b.statuses, b.stood)
	}
	b.c.t.Logf("%s: answers %v, %d sent to another node, %d times a store stood still, the slowest %v", what, b.statuses, b.retried, b.stood, b.worst)
}

func (b *balancer) serve(session string) {
	by := client()
	for {
		select {
		case <-b.stop:
			return
		default:
		}
		start, first := time.Now(), rand.IntN(len(b.c.nodes))
		status, tries, stood := 0, 0, 0
		for status == 0 && tries < 10*len(b.c.nodes) {
			sent := time.Now()
			answer, _, err := b.c.nodes[(first+tries)%len(b.c.nodes)].send(by, http.MethodGet, "/auth/check", session, nil)
			tries++
			switch {
			case err != nil:
			case unknown(answer) && time.Since(sent) > time.Second:
				stood++
			default:
				status = answer.StatusCode
			}
		}
		b.mu.Lock()
		b.statuses[status]++
		b.retried += tries - 1 - stood
		b.stood += stood
		b.worst = max(b.worst, time.Since(start))
		b.mu.Unlock()
	}
}

// Three nodes are stopped and started again, one after the other, under load: nobody with a live
// session is told that he has none, nor that nobody knows. So with SIGTERM, which lets requests in
// flight finish, and with kill -9. C1, T22
func TestRollingRestart(t *testing.T) {
	rounds := 1
	if soak() {
		rounds = 50
	}
	onEveryStore(t, func(t *testing.T, on *backend) {
		c := newCluster(t, on, roomy)
		var sessions []string
		for i := range 6 {
			cookie, _ := c.nodes[i%len(c.nodes)].signIn("alice")
			sessions = append(sessions, cookie)
		}
		for name, stop := range map[string]func(*node){"SIGTERM": (*node).stop, "kill -9": (*node).kill} {
			b := c.balance(sessions...)
			for range rounds {
				for _, n := range c.nodes {
					stop(n)
					n.start()
				}
			}
			b.end(fmt.Sprintf("%s, each of three nodes %d times", name, rounds))
			if b.retried == 0 {
				t.Errorf("%s: no node was ever away", name)
			}
		}
		fresh, _ := c.nodes[2].signIn("alice")
		for _, n := range c.nodes {
			for _, session := range append(sessions, fresh) {
				if status := n.verdict(session); status != http.StatusOK {
					t.Errorf("node %s answers %d in the end", n.name, status)
				}
			}
		}
	})
}
