package cluster_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// Keys are rotated with traffic on three nodes: the new file is put where all of them look, then they
// are told of it, one after the other. Nobody is signed out, neither on nodes that know the new key
// nor on those that do not yet. CD15
func TestKeyRotationOverNodes(t *testing.T) {
	t.Parallel()
	onEveryStore(t, func(t *testing.T, on *backend) {
		c := newCluster(t, on, roomy)
		dir := filepath.Join(t.TempDir(), "keys")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		line, err := os.ReadFile(c.keys)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "keys"), line, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		var sessions []string
		for _, n := range c.nodes {
			cookie, _ := n.signIn("alice")
			sessions = append(sessions, cookie)
		}
		b := c.balance(sessions...)
		everywhere := func(when string) {
			t.Helper()
			for _, n := range c.nodes {
				for i, session := range sessions {
					if status := n.verdict(session); status != http.StatusOK {
						t.Errorf("%s: node %s answers %d for session %d", when, n.name, status, i)
					}
				}
			}
		}
		program.Command("key", "rotate", "--data", dir).Must(t)
		fresh, err := os.ReadFile(filepath.Join(dir, "keys"))
		if err == nil {
			err = os.WriteFile(c.keys+".new", fresh, 0o600)
		}
		if err == nil {
			err = os.Rename(c.keys+".new", c.keys)
		}
		if err != nil {
			t.Fatal(err)
		}
		for i, n := range c.nodes {
			before := n.fingerprint()
			n.process.Signal(syscall.SIGHUP)
			c.until("node "+n.name+" has read the keys", func() bool { return i > 0 || n.fingerprint() != before })
			cookie, _ := n.signIn("alice")
			sessions = append(sessions, cookie)
			next := c.nodes[(i+1)%len(c.nodes)]
			if answer, body := n.sure(http.MethodPost, "/", sessions[0], url.Values{"note": {before + n.name}}); answer.StatusCode >= 400 {
				t.Errorf("node %s: %d %s", n.name, answer.StatusCode, body)
			}
			var got struct{ Note string }
			if answer, body := next.sure(http.MethodGet, "/", sessions[0], nil); json.Unmarshal([]byte(body), &got) != nil || got.Note != before+n.name {
				t.Errorf("node %s: %d %s", next.name, answer.StatusCode, body)
			}
			everywhere("told node " + n.name)
		}
		b.end("keys are rotated")
	})
}

// fingerprint is that of the keys which the node works with.
func (n *node) fingerprint() string {
	n.c.t.Helper()
	var keys struct{ Fingerprint string }
	out := n.must("", "key", "list", "--json")
	if err := json.Unmarshal([]byte(out), &keys); err != nil || keys.Fingerprint == "" {
		n.c.t.Fatalf("key list says %s", out)
	}
	return keys.Fingerprint
}
