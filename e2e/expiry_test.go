package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// checkExpiry runs the script that tells from outside who enforces expiry.
func checkExpiry(t *testing.T, stdin string, args ...string) (int, string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "../scripts/check-expiry", args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, _ := cmd.CombinedOutput()
	return cmd.ProcessState.ExitCode(), strings.TrimSpace(string(out))
}

// Anybody can prove from outside, for an application that is not his, whether the server enforces
// expiry; the gateway does. F12, F14
func TestCheckExpiry(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	addUser(t, dir, "alice")
	for _, limit := range []string{"--idle", "--absolute"} {
		lifetimes(t, 3*time.Second, func(lifetime time.Duration) (slow bool) {
			s := serve(t, dir, limit, lifetime.String())
			defer s.Stop()
			begin := time.Now()
			cookie, _ := s.SignIn("alice", passphrase)
			code, out := checkExpiry(t, cookie+"\n", s.URL+"/auth/account", "-", fmt.Sprint(lifetime.Seconds()))
			if code == 2 && time.Since(begin) > lifetime { // ended before it was asked for
				return true
			}
			if code != 0 || out != "expiry is enforced by the server: yes" {
				t.Errorf("the gateway with %s %v: exit code %d, %s", limit, lifetime, code, out)
			}
			return false
		})
	}

	// The test of the test: a site that leaves expiry to the browser, and pages that tell nothing.
	lax := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := r.Cookie("session")
		if in := err == nil && c.Value == "abc"; r.URL.Path == "/private" && !in {
			http.Redirect(w, r, "/login", http.StatusSeeOther)
		} else if r.URL.Path == "/get" {
			fmt.Fprintf(w, "the value is %v", map[bool]string{true: "42", false: "None"}[in])
		}
	}))
	t.Cleanup(lax.Close)
	for _, c := range []struct {
		name string
		args []string
		code int
		out  string
	}{
		{"by status", []string{"/private", "session=abc", "1"}, 1, "expiry is enforced by the server: no"},
		{"by text", []string{"/get", "session=abc", "1", "42"}, 1, "expiry is enforced by the server: no"},
		{"same status", []string{"/get", "session=abc", "1"}, 2, "cannot tell: with the cookie and without it"},
		{"cookie that is no good", []string{"/private", "session=xyz", "1"}, 2, "cannot tell: with the cookie and without it"},
		{"no cookie", []string{"/private", "abc", "1"}, 2, "cannot tell: COOKIE"},
		{"a second header in the cookie", []string{"/private", "a=b\"\nurl = file:///etc/passwd", "1"}, 2, "cannot tell: COOKIE"},
	} {
		args := append([]string{lax.URL + c.args[0]}, c.args[1:]...)
		if code, out := checkExpiry(t, "", args...); code != c.code || !strings.HasPrefix(out, c.out) {
			t.Errorf("%s: exit code %d, %s", c.name, code, out)
		}
	}
	lax.Close()
	if code, out := checkExpiry(t, "", lax.URL, "session=abc", "1"); code != 2 || !strings.Contains(out, "no answer") {
		t.Errorf("a site that is gone: exit code %d, %s", code, out)
	}
}
