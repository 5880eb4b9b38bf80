package cluster_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"
)

// A copied cookie is worth nothing on any node after its session was ended, whoever ended it and on
// whichever node, and after all of them were killed with -9 as well. T22, C30, CD16
func TestCopiedCookieOverNodes(t *testing.T) {
	t.Parallel()
	onEveryStore(t, func(t *testing.T, on *backend) {
		c := newCluster(t, on)
		a, b := c.nodes[0], c.nodes[1]
		post := func(cookie, path string, form url.Values) {
			t.Helper()
			if answer, body := b.sure(http.MethodPost, path, cookie, form); answer.StatusCode >= 400 {
				t.Errorf("%s answers %d: %s", path, answer.StatusCode, body)
			}
		}
		password := func() { b.must(passphrase+"\n", "user", "passwd", "alice", "--password-stdin") }
		saved := map[string]string{}
		for _, end := range []struct {
			how string
			do  func(cookie string)
		}{
			{"signed out", func(cookie string) { post(cookie, "/auth/logout", url.Values{}) }},
			{"ended from elsewhere", func(string) {
				other, _ := b.signIn("alice")
				post(other, "/auth/account/end-others", url.Values{})
			}},
			{"ended by an operator", func(string) { b.must("", "session", "end", "--user", "alice") }},
			{"password changed", func(cookie string) {
				post(cookie, "/auth/account/password", url.Values{"current": {passphrase}, "new": {passphrase + " 2"}})
				password()
			}},
			{"password changed by an operator", func(string) { password() }},
			{"disabled", func(string) {
				b.must("", "user", "disable", "alice")
				b.must("", "user", "enable", "alice")
			}},
		} {
			cookie, _ := a.signIn("alice")
			for _, n := range c.nodes {
				if status := n.verdict(cookie); status != http.StatusOK {
					t.Fatalf("%s, before, on node %s: %d", end.how, n.name, status)
				}
			}
			end.do(cookie)
			saved[end.how] = cookie
		}
		time.Sleep(lease) // then no node goes by what it knew
		worthless := func(when string) {
			t.Helper()
			for how, cookie := range saved {
				for _, n := range c.nodes {
					if status := n.verdict(cookie); status != http.StatusUnauthorized {
						t.Errorf("%s, %s, on node %s: %d", how, when, n.name, status)
					}
				}
			}
		}
		worthless("afterwards")
		for _, n := range c.nodes {
			n.kill()
		}
		for _, n := range c.nodes {
			n.start()
		}
		worthless("after kill -9")
		fresh, _ := a.signIn("alice")
		if status := b.verdict(fresh); status != http.StatusOK {
			t.Errorf("a new sign-in: %d", status)
		}
	})
}
