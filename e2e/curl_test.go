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
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// curl runs the real curl, which obeys no expiry, with the saved bytes of a cookie ("": without), and
// returns the status and the body: what comes after 503, which says to try again.
func (s *server) curl(cookie, path string, args ...string) (int, string) {
	s.t.Helper()
	args = append([]string{"--silent", "--show-error", "--insecure", "--write-out", "\n%{http_code}"}, args...)
	if cookie != "" {
		args = append(args, "--header", "Cookie: "+cookie)
	}
	const pause = time.Second
	for range patience / pause {
		status, body := s.curlOnce(append(args, s.URL+path))
		if status != http.StatusServiceUnavailable {
			return status, body
		}
		time.Sleep(pause)
	}
	s.t.Fatalf("curl %s: 503 all the while\n%s", path, s.Log)
	return 0, ""
}

func (s *server) curlOnce(args []string) (int, string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "curl", args...)
	var problem bytes.Buffer
	cmd.Stderr = &problem
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("curl %s: %v %s\n%s", args[len(args)-1], err, problem.String(), s.Log)
	}
	end := bytes.LastIndexByte(out, '\n')
	status, err := strconv.Atoi(string(out[end+1:]))
	if err != nil {
		s.t.Fatalf("curl %s: %s", args[len(args)-1], out)
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
			form := url.Values{"username": {"alice"}, "current": {passphrase}, "new": {passphrase + " 2"}, "nonce": {"AAAAAAAAAAAAAAAAAAAAAA"}} // may be sent twice
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
	dates := []string{time.Now().Add(24 * time.Hour).Format(http.TimeFormat), time.Now().Add(-24 * time.Hour).Format(http.TimeFormat)}
	var s *server
	var cookie string
	var file []string // the thief's
	lifetimes(t, 8*time.Second, func(lifetime time.Duration) (slow bool) {
		s = serve(t, dir, "--absolute", fmt.Sprintf("%.4fd", lifetime.Hours()/24), "--persistent") // whole seconds of that many days
		begin := time.Now()
		var line string
		cookie, line = s.SignIn("user0", passphrase)
		age, err := strconv.Atoi(regexp.MustCompile(`; Max-Age=(\d+)(;|$)|$`).FindStringSubmatch(line)[1])
		if least := lifetime - time.Since(begin) - time.Second; err != nil || age > int(1.1*lifetime.Seconds()) || age < int(least.Seconds()) {
			t.Errorf("%.4f days are not %v in %s", lifetime.Hours()/24, lifetime, line)
		}
		set, _ := s.curl(cookie, "/", "--data", "note=set")
		answers := []string{fmt.Sprint(set)}
		for _, date := range dates {
			status, body := s.curl(cookie, "/", "--header", "Date: "+date)
			answers = append(answers, fmt.Sprint(status, strings.Contains(body, `"note":"set"`)))
		}
		if slow = time.Since(begin) > lifetime-time.Second; slow {
			s.Stop()
			return true
		}
		if got := strings.Join(answers, ", "); got != "204, 200 true, 200 true" {
			t.Fatalf("before the end, at %q by the client's clock: %s", dates, got)
		}

		begin = time.Now()
		late, _ := s.SignIn("user0", passphrase)
		signIns := s.signIns(users, each)
		time.Sleep(time.Until(begin.Add(lifetime * 5 / 8)))
		status, _ := s.curl(late, "/auth/check")
		took := time.Since(begin)
		file = signIns()
		if slow = took > lifetime-time.Second; slow {
			s.Stop()
			return true
		}
		if status != http.StatusOK {
			t.Errorf("%v after the sign-in: %d", took, status)
		}
		time.Sleep(lifetime*11/10 + 700*time.Millisecond) // the last is over, too
		return false
	})
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

// signIns begins to sign that many users in, each so often. What it returns waits for all the cookies.
func (s *server) signIns(users, each int) (wait func() []string) {
	cookies := make([][]string, users)
	var all sync.WaitGroup
	for i := range users {
		all.Go(func() {
			for range each {
				cookie, _ := s.SignIn(fmt.Sprint("user", i), passphrase)
				cookies[i] = append(cookies[i], cookie)
			}
		})
	}
	return func() []string {
		all.Wait()
		return slices.Concat(cookies...)
	}
}

// Who keeps coming stays past the idle time, and not past the absolute end; reading sets no cookie.
// T37, F10
func TestSlidingUpToTheEnd(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	addUser(t, dir, "alice")
	lifetimes(t, 3*time.Second, func(idle time.Duration) (slow bool) {
		absolute := idle * 8 / 3
		s := serve(t, dir, "--idle", idle.String(), "--absolute", absolute.String())
		defer s.Stop()
		before := time.Now()
		cookie, _ := s.SignIn("alice", passphrase)
		signedIn := time.Now()
		for last := before; ; time.Sleep(100 * time.Millisecond) {
			sent := time.Now()
			answer, body, err := s.Send(t.Context(), "/", cookie, nil)
			switch {
			case err != nil:
				t.Fatal(err)
			case answer.StatusCode == http.StatusServiceUnavailable:
				continue
			case answer.StatusCode == http.StatusUnauthorized:
				s.worthless("past the end", cookie)
				if time.Since(before) >= absolute {
					return false
				}
				if time.Since(last) < idle/2 {
					t.Errorf("ended after %v, %v after the last request", time.Since(before), time.Since(last))
				}
				return true // it came too seldom
			case answer.StatusCode != http.StatusOK || sent.Sub(signedIn) > absolute:
				t.Fatalf("%v after the sign-in: %d %s", sent.Sub(signedIn), answer.StatusCode, body)
			}
			if lines := answer.Header.Values("Set-Cookie"); len(lines) != 0 {
				t.Errorf("a read sets %q", lines)
			}
			last = sent
		}
	})
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
			answer, body := s.Do(path, cookie, url.Values{})
			if path == "/auth/logout" && answer.StatusCode == http.StatusNoContent {
				continue
			}
			s.Kill() // at once
			if answer.StatusCode != http.StatusNoContent {
				t.Fatalf("%s: %d %s", path, answer.StatusCode, body)
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
