package cluster_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/programtest"
)

// 50 people with one name sign in at once, over three nodes, with a limit of 3: exactly 3 stay.
// SD5, T22
func TestLimitOverNodes(t *testing.T) {
	onEveryStoreInTurn(t, func(t *testing.T, on *backend) {
		c := newCluster(t, on, "--max-sessions", "3")
		const people = 50
		var mu sync.Mutex
		cookies := map[string]bool{}
		doubt := 0 // sign-ins of which nobody knows whether they were done
		var signing sync.WaitGroup
		for i := range people {
			signing.Go(func() {
				n := c.nodes[i%len(c.nodes)]
				for start := time.Now(); time.Since(start) < patience; time.Sleep(pause) {
					// From another address each time: where a store is too slow to give an attempt back that was not
					// looked at, it counts.
					answer, body, err := n.send(client(), http.MethodPost, "/auth/login", "", url.Values{"username": {"alice"}, "password": {passphrase}})
					if err != nil {
						t.Error(err)
						return
					}
					if unknown(answer) {
						if !strings.Contains(body, `"busy"`) { // with the others' passwords
							mu.Lock()
							doubt++
							mu.Unlock()
						}
						continue
					}
					cookie, _ := programtest.SessionCookie(answer)
					if cookie == "" {
						t.Errorf("a sign-in answers %d: %s", answer.StatusCode, body)
					}
					mu.Lock()
					defer mu.Unlock()
					cookies[cookie] = true
					return
				}
				t.Error("nobody had time for a sign-in")
			})
		}
		signing.Wait()
		if len(cookies) != people {
			t.Errorf("%d sign-ins, want %d", len(cookies), people)
		}
		time.Sleep(lease) // then no node goes by what it knew
		for _, n := range c.nodes {
			live := 0
			for cookie := range cookies {
				if n.verdict(cookie) == http.StatusOK {
					live++
				}
			}
			if live > 3 || live < 3-doubt {
				t.Errorf("node %s admits %d sessions, want 3; %d sign-ins are in doubt", n.name, live, doubt)
			}
		}
		var list []struct{ ID string }
		if err := json.Unmarshal([]byte(c.nodes[2].must("", "session", "list", "--json")), &list); err != nil || len(list) != 3 {
			t.Errorf("the list has %d sessions, %v", len(list), err)
		}
	})
}
