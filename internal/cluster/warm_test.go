package cluster_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// Checks of a warm session ask the store nothing: what passes between node and store while thousands
// of them are answered is the node's own beat. G6, T24
func TestWarmChecksAskNothing(t *testing.T) {
	onEveryServer(t, func(t *testing.T, on *backend) {
		c := newCluster(t, on, roomy)
		n := c.nodes[1]
		cookie, _ := c.nodes[0].signIn("alice")
		by := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		}}}
		c.until("node b has it in memory", func() bool { return n.check(cookie) == http.StatusOK })
		before, start := n.store.proxy.messages(), time.Now()
		const checks = 3000
		for range checks {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.site.URL+"/auth/check", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Cookie", cookie)
			answer, err := by.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, answer.Body)
			answer.Body.Close()
			if answer.StatusCode != http.StatusOK {
				t.Fatalf("a check answers %d", answer.StatusCode)
			}
		}
		took, sent := time.Since(start), n.store.proxy.messages()-before
		if most := 50 + int(20*took/time.Second); sent > most {
			t.Errorf("%d messages to the store during %d warm checks in %v, want %d at most", sent, checks, took, most)
		}
		t.Logf("%d warm checks in %v: %d messages to the store", checks, took, sent)
	})
}
