package cluster_test

import (
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
	worst    time.Duration
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
		status, tries := 0, 0
		for status == 0 && tries < 10*len(b.c.nodes) {
			answer, _, err := b.c.nodes[(first+tries)%len(b.c.nodes)].send(by, http.MethodGet, "/auth/check", session, nil)
			if tries++; err == nil {
				status = answer.StatusCode
			}
		}
		b.mu.Lock()
		b.statuses[status]++
		b.retried += tries - 1
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
			b := &balancer{c: c, stop: make(chan struct{}), statuses: map[int]int{}}
			for _, session := range sessions {
				b.busy.Go(func() { b.serve(session) })
			}
			for range rounds {
				for _, n := range c.nodes {
					stop(n)
					n.start()
				}
			}
			close(b.stop)
			b.busy.Wait()
			if len(b.statuses) != 1 || b.statuses[http.StatusOK] < 100 {
				t.Errorf("%s: answers %v, want 200 alone", name, b.statuses)
			}
			if b.retried == 0 {
				t.Errorf("%s: no node was ever away", name)
			}
			t.Logf("%s, each of three nodes %d times: answers %v, %d sent to another node, the slowest %v", name, rounds, b.statuses, b.retried, b.worst)
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
