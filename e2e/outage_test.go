package e2e

import (
	"net/http"
	"net/url"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/internal/programtest"
)

// A full disk: who is signed in stays so; nobody is told that he is signed out or that something is
// kept when it is not; a sign-out holds here at once, and for good when there is room again. G9
func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	addUser(t, dir, "alice")
	s := serve(t, dir)
	stays, _ := s.SignIn("alice", passphrase)
	leaves, _ := s.SignIn("alice", passphrase)
	s.good("before", stays)

	limitFiles(t, s, "0")
	for what, request := range map[string]struct {
		path string
		form url.Values
	}{
		"a sign-in":  {"/auth/login", url.Values{"username": {"alice"}, "password": {passphrase}}},
		"a value":    {"/", url.Values{"note": {"lost"}}},
		"a sign-out": {"/auth/logout", url.Values{}},
	} {
		cookie := stays
		if request.path == "/auth/logout" {
			cookie = leaves
		}
		answer, body, err := s.Send(t.Context(), request.path, cookie, request.form)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %v %s", what, answer.StatusCode, answer.Header, body)
		}
		if got, _ := programtest.SessionCookie(answer); got != "" {
			t.Errorf("%s: a cookie for what is not kept", what)
		}
	}
	if status, _ := s.curl(stays, "/auth/check"); status != http.StatusOK {
		t.Errorf("who is signed in: %d", status)
	}
	if status, _ := s.curl(leaves, "/auth/check"); status == http.StatusOK {
		t.Error("who signed out is let in")
	}

	limitFiles(t, s, "unlimited")
	s.Until("signed out for good", func() bool {
		return strings.Count(must(t, "session", "list", "--json", "--data", dir), `"id"`) == 1
	})
	fresh, _ := s.SignIn("alice", passphrase)
	s.good("a sign-in when there is room again", fresh)
	s.good("who is signed in", stays)
	s.Kill()
	s = serve(t, dir)
	s.worthless("who signed out", leaves)
	s.good("who is signed in, after kill -9", stays)
	must(t, "audit", "verify", "--data", dir)
}

// limitFiles sets how many bytes a file of the server may have: "0" is a full disk.
func limitFiles(t *testing.T, s *server, bytes string) {
	t.Helper()
	if out, err := exec.Command("prlimit", "--pid", strconv.Itoa(s.Process()), "--fsize="+bytes+":").CombinedOutput(); err != nil {
		t.Fatalf("prlimit: %v %s", err, out)
	}
}
