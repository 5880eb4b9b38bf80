package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/programtest"
)

// curl runs the real curl, which obeys no expiry, with the saved bytes of a cookie ("": without), and
// returns the status and the body.
func (s *server) curl(cookie, path string, args ...string) (int, string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	args = append([]string{"--silent", "--show-error", "--insecure", "--write-out", "\n%{http_code}"}, args...)
	if cookie != "" {
		args = append(args, "--header", "Cookie: "+cookie)
	}
	cmd := exec.CommandContext(ctx, "curl", append(args, s.URL+path)...)
	var problem bytes.Buffer
	cmd.Stderr = &problem
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("curl %s: %v %s\n%s", path, err, problem.String(), s.Log)
	}
	end := bytes.LastIndexByte(out, '\n')
	status, err := strconv.Atoi(string(out[end+1:]))
	if err != nil {
		s.t.Fatalf("curl %s: %s", path, out)
	}
	return status, string(out[:end])
}

// private holds what a session is needed for.
var private = []string{"/", "/auth/check", "/auth/account", "/auth/api/v1/sessions"}

// good checks that a saved cookie opens everything.
func (s *server) good(what, cookie string) {
	s.t.Helper()
	for _, path := range private {
		if status, body := s.curl(cookie, path); status != http.StatusOK {
			s.t.Errorf("%s: %s answers %d: %s", what, path, status, body)
		}
	}
}

// worthless checks that a saved cookie opens nothing, and that nobody falls over it.
func (s *server) worthless(what, cookie string) {
	s.t.Helper()
	for _, path := range private {
		if status, body := s.curl(cookie, path); status != http.StatusUnauthorized {
			s.t.Errorf("%s: %s answers %d: %s", what, path, status, body)
		}
	}
	if status, body := s.curl(cookie, "/auth/api/v1/session"); status != http.StatusOK || !strings.Contains(body, `{"session":null}`) {
		s.t.Errorf("%s: the state of the session is %d %s", what, status, body)
	}
	if status, _ := s.curl(cookie, "/", "--data", "note=from the thief"); status != http.StatusUnauthorized {
		s.t.Errorf("%s: a change answers %d", what, status)
	}
	if status, body := s.curl(cookie, "/", "--header", "Accept: text/html"); status != http.StatusSeeOther {
		s.t.Errorf("%s: a browser gets %d: %s", what, status, body)
	}
	if status, _ := s.curl(cookie, "/auth/login", "--header", "Accept: text/html"); status != http.StatusOK {
		s.t.Errorf("%s: the sign-in page answers %d", what, status)
	}
}

// The copy of a cookie is worth nothing once its session has ended, however it ended, also after the
// next kill -9. C30, T38, F19
func TestCopiedCookie(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	addUser(t, dir, "alice")
	s := serve(t, dir)
	ends := []struct {
		how string
		end func(cookie string)
	}{
		{"signed out", func(cookie string) {
			if status, body := s.curl(cookie, "/auth/logout", "--data", ""); status != http.StatusNoContent {
				t.Errorf("sign-out: %d %s", status, body)
			}
		}},
		{"ended by its user from elsewhere", func(cookie string) {
			other, _ := s.SignIn("alice", passphrase)
			if status, body := s.curl(other, "/auth/account/end-others", "--data", ""); status != http.StatusNoContent {
				t.Errorf("end others: %d %s", status, body)
			}
			s.good("who ended the others", other)
		}},
		{"ended by an operator", func(string) { must(t, "session", "end", "--user", "alice", "--data", dir) }},
		{"password changed", func(cookie string) {
			form := url.Values{"current": {passphrase}, "new": {passphrase + " 2"}}
			if status, body := s.curl(cookie, "/auth/account/password", "--data", form.Encode()); status != http.StatusNoContent {
				t.Errorf("password change: %d %s", status, body)
			}
			program.Command("user", "passwd", "alice", "--password-stdin", "--data", dir).Typing(passphrase + "\n").Must(t)
		}},
		{"password changed by an operator", func(string) {
			program.Command("user", "passwd", "alice", "--password-stdin", "--data", dir).Typing(passphrase + "\n").Must(t)
		}},
		{"disabled", func(string) {
			must(t, "user", "disable", "alice", "--data", dir)
			if answer, _ := s.Do("/auth/login", "", url.Values{"username": {"alice"}, "password": {passphrase}}); answer.StatusCode != http.StatusUnauthorized {
				t.Errorf("a disabled user's sign-in: %d", answer.StatusCode)
			}
			must(t, "user", "enable", "alice", "--data", dir)
		}},
	}
	saved := map[string]string{}
	for _, e := range ends {
		cookie, _ := s.SignIn("alice", passphrase)
		s.good(e.how+", before", cookie)
		e.end(cookie)
		s.worthless(e.how, cookie)
		saved[e.how] = cookie
	}
	s.Kill()
	s = serve(t, dir)
	for how, cookie := range saved {
		s.worthless(how+", after kill -9", cookie)
	}
	fresh, _ := s.SignIn("alice", passphrase)
	s.good("a new sign-in", fresh)
}

// A thief's file of cookies is worth nothing after the end; until then the copy works, a value with it,
// whatever the client thinks of the time. C11, C12, C14, C29, F2, F3, F4, F9, F18, F20
func TestExpiredCookies(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	const users, each = 4, 10
	for i := range users {
		addUser(t, dir, fmt.Sprint("user", i))
	}
	s := serve(t, dir, "--absolute", "0.0001d", "--persistent")
	begin := time.Now()
	cookie, line := s.SignIn("user0", passphrase)
	if !strings.Contains(line+";", "; Max-Age=8;") && !strings.Contains(line+";", "; Max-Age=7;") {
		t.Errorf("0.0001 days are not 8 whole seconds in %s", line)
	}
	if status, body := s.curl(cookie, "/", "--data", "note=set"); status != http.StatusNoContent {
		t.Fatalf("set: %d %s", status, body)
	}
	dates := []string{time.Now().Add(24 * time.Hour).Format(http.TimeFormat), time.Now().Add(-24 * time.Hour).Format(http.TimeFormat)}
	for _, date := range dates {
		if status, body := s.curl(cookie, "/", "--header", "Date: "+date); status != http.StatusOK || !strings.Contains(body, `"note":"set"`) {
			t.Errorf("get before the end, at %s by the client's clock: %d %s", date, status, body)
		}
	}

	var mu sync.Mutex
	var file []string // the thief's
	var all sync.WaitGroup
	for i := range users {
		all.Go(func() {
			for range each {
				answer, _, err := s.Send(context.Background(), "/auth/login", "", url.Values{"username": {fmt.Sprint("user", i)}, "password": {passphrase}})
				if err != nil {
					t.Error(err)
					return
				}
				saved, _ := programtest.SessionCookie(answer)
				mu.Lock()
				file = append(file, saved)
				mu.Unlock()
			}
		})
	}
	late, _ := s.SignIn("user0", passphrase)
	signedIn := time.Now()
	time.Sleep(time.Until(signedIn.Add(5 * time.Second)))
	if status, _ := s.curl(late, "/auth/check"); status != http.StatusOK {
		t.Errorf("5 seconds after the sign-in: %d", status)
	}
	all.Wait()
	time.Sleep(8700 * time.Millisecond) // the last is over, too

	if took := time.Since(begin); took < 9*time.Second {
		t.Fatalf("only %v went by", took)
	}
	jar := filepath.Join(t.TempDir(), "jar") // this client believes that it has a month
	name, value, _ := strings.Cut(cookie, "=")
	month := time.Now().Add(30 * 24 * time.Hour).Unix()
	if err := os.WriteFile(jar, fmt.Appendf(nil, "# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t%d\t%s\t%s\n", month, name, value), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, body := s.curl("", "/", "--cookie", jar); status != http.StatusUnauthorized {
		t.Errorf("after the end: %d %s", status, body)
	}
	for _, date := range dates {
		if status, body := s.curl(cookie, "/", "--header", "Date: "+date); status != http.StatusUnauthorized {
			t.Errorf("after the end, at %s by the client's clock: %d %s", date, status, body)
		}
	}
	s.worthless("expired", cookie)
	if len(file) != users*each {
		t.Fatalf("the file has %d cookies", len(file))
	}
	for range 25 { // a thousand tries
		for _, cookie := range file {
			answer, _ := s.Do("/", cookie, nil)
			if c := answer.StatusCode; c != http.StatusUnauthorized && c != http.StatusTooManyRequests {
				t.Fatalf("an expired cookie: %d", c)
			}
		}
	}
}

// Who keeps coming stays past the idle time, and not past the absolute end; reading sets no cookie.
// T37, F10
func TestSlidingUpToTheEnd(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	addUser(t, dir, "alice")
	const idle, absolute = 3 * time.Second, 8 * time.Second
	s := serve(t, dir, "--idle", idle.String(), "--absolute", absolute.String())
	before := time.Now()
	cookie, _ := s.SignIn("alice", passphrase)
	signedIn := time.Now()
	for last := signedIn; ; time.Sleep(100 * time.Millisecond) {
		sent := time.Now()
		answer, body := s.Do("/", cookie, nil)
		if answer.StatusCode == http.StatusUnauthorized {
			if sent.Sub(last) < idle/2 && time.Since(before) < absolute {
				t.Errorf("ended after %v, %v after the last request", time.Since(before), sent.Sub(last))
			}
			break
		}
		if answer.StatusCode != http.StatusOK || sent.Sub(signedIn) > absolute {
			t.Fatalf("%v after the sign-in: %d %s", sent.Sub(signedIn), answer.StatusCode, body)
		}
		if lines := answer.Header.Values("Set-Cookie"); len(lines) != 0 {
			t.Errorf("a read sets %q", lines)
		}
		last = sent
	}
	s.worthless("past the absolute end", cookie)
}

// A browser stays signed in through three restarts, however the server was stopped. C1, C2, C33
func TestThreeRestarts(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	addUser(t, dir, "alice")
	s := serve(t, dir)
	cookie, _ := s.SignIn("alice", passphrase)
	s.curl(cookie, "/", "--data", "note=kept")
	for _, end := range []func(){func() { s.Stop() }, func() { s.Kill() }, func() { s.Kill() }} {
		end()
		s = serve(t, dir)
		s.good("after a restart", cookie)
		if _, body := s.curl(cookie, "/"); !strings.Contains(body, `"note":"kept"`) {
			t.Errorf("the value is gone: %s", body)
		}
	}
}

// Who is told "signed out" is, though the power fails in that moment. CD16
func TestSignOutThenPowerFails(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	addUser(t, dir, "alice")
	for range 3 {
		s := serve(t, dir)
		out, _ := s.SignIn("alice", passphrase)
		ended, _ := s.SignIn("alice", passphrase)
		by, _ := s.SignIn("alice", passphrase)
		for cookie, path := range map[string]string{out: "/auth/logout", by: "/auth/account/end-others"} {
			answer, body, err := s.Send(context.Background(), path, cookie, url.Values{})
			if path == "/auth/logout" && err == nil && answer.StatusCode == http.StatusNoContent {
				continue
			}
			s.Kill() // at once
			if err != nil || answer.StatusCode != http.StatusNoContent {
				t.Fatalf("%s: %v %s", path, err, body)
			}
			break
		}
		s.Kill()
		s = serve(t, dir)
		s.worthless("signed out", out)
		s.worthless("ended", ended)
		s.Kill()
	}
}

// Without its key file an installation makes new keys: old cookies are no good, accounts are. C9
func TestKeyFileIsGone(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	addUser(t, dir, "alice")
	s := serve(t, dir)
	old, _ := s.SignIn("alice", passphrase)
	before := must(t, "key", "list", "--data", dir)
	s.Stop()
	if err := os.Remove(filepath.Join(dir, "keys")); err != nil {
		t.Fatal(err)
	}
	s = serve(t, dir)
	s.worthless("under the old key", old)
	fresh, _ := s.SignIn("alice", passphrase)
	s.good("under the new key", fresh)
	if after := must(t, "key", "list", "--data", dir); after == before {
		t.Errorf("the same key: %s", after)
	}
}
