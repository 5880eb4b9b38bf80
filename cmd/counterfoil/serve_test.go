package main_test

import (
	"encoding/json"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/programtest"
)

// C1, C2, C33: a session outlives kill -9, SIGTERM and three restarts; the key is the same.
func TestStillSignedIn(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	addUser(t, dir, "alice")
	s := serve(t, dir)
	cookie, _ := s.SignIn("alice", passphrase)
	if status := s.Check(cookie); status != http.StatusOK {
		t.Fatalf("after sign-in: %d", status)
	}
	keys := keysOf(t, s)
	for i, kill := range []bool{true, false, true, false} {
		if kill {
			s.Kill()
		} else {
			s.Stop()
		}
		s = serve(t, dir)
		if status := s.Check(cookie); status != http.StatusOK {
			t.Fatalf("restart %d: %d\n%s", i+1, status, s.Log)
		}
		if again := keysOf(t, s); again != keys {
			t.Errorf("restart %d: fingerprint %s, was %s", i+1, again, keys)
		}
	}
	if other := keysOf(t, serve(t, folder(t))); other == keys {
		t.Error("two installations have the same key")
	}
}

// CD16: what was ended before a kill -9 stays ended after it; a sign-out works after a restart.
func TestStillSignedOut(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	addUser(t, dir, "alice")
	s := serve(t, dir)
	out, _ := s.SignIn("alice", passphrase)
	in, _ := s.SignIn("alice", passphrase)
	signOut(t, s.Site, out)
	s.Kill()
	s = serve(t, dir)
	if status := s.Check(out); status != http.StatusUnauthorized {
		t.Errorf("the session that signed out: %d", status)
	}
	if status := s.Check(in); status != http.StatusOK {
		t.Errorf("the other session: %d", status)
	}
	signOut(t, s.Site, in)
	if status := s.Check(in); status != http.StatusUnauthorized {
		t.Errorf("signed out after a restart: %d", status)
	}
}

// C9, D5: without its file an installation makes new keys; old cookies are no good, accounts are.
func TestKeyFileRemoved(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	addUser(t, dir, "alice")
	s := serve(t, dir)
	before, cookie := keysOf(t, s), ""
	cookie, _ = s.SignIn("alice", passphrase)
	s.Stop()
	if err := os.Remove(filepath.Join(dir, "keys")); err != nil {
		t.Fatal(err)
	}
	s = serve(t, dir)
	if keysOf(t, s) == before {
		t.Error("the same key without its file")
	}
	if strings.Count(s.Log.String(), "keys.replaced") != 1 {
		t.Errorf("the log does not say once that keys were replaced: %s", s.Log)
	}
	if status := s.Check(cookie); status != http.StatusUnauthorized {
		t.Errorf("the old cookie: %d", status)
	}
	fresh, _ := s.SignIn("alice", passphrase)
	if status := s.Check(fresh); status != http.StatusOK {
		t.Errorf("a new sign-in: %d", status)
	}
	s.Stop()
	cf("audit", "tail", "--data", dir).Want(t, 0, "replaced")
	cf("audit", "verify", "--data", dir).Want(t, 0, "not verifiable")
}

// C3, C15, CD8: files and folder of a first start, its store among them, are ours alone, whatever the
// umask, and there before the first answer. P74
func TestFilesOfAFirstStart(t *testing.T) {
	dir := folder(t)
	old := syscall.Umask(0)
	s := serve(t, dir)
	syscall.Umask(old)
	for name, mode := range map[string]fs.FileMode{"": 0o700 | fs.ModeDir, "keys": 0o600, "sessions.db": 0o600, "audit.jsonl": 0o600, "control.sock": 0o600 | fs.ModeSocket, "lock": 0o600} {
		if info, err := os.Lstat(filepath.Join(dir, name)); err != nil || info.Mode() != mode {
			t.Errorf("%q: %v, %v; want %v", name, info.Mode(), err, mode)
		}
	}
	if !strings.Contains(s.Log.String(), "not wrapped") {
		t.Errorf("the log does not say that keys are not wrapped: %s", s.Log)
	}
	if link := s.SetupLink(); !regexp.MustCompile(`^http://127\.0\.0\.1:[1-9][0-9]*/auth/setup#\S{20,}$`).MatchString(link) {
		t.Errorf("set-up link: %q", link)
	}
	s.Stop()
	if _, err := os.Lstat(filepath.Join(dir, "control.sock")); err == nil {
		t.Error("the control socket stays after the stop")
	}
	for _, c := range []struct {
		path string
		mode fs.FileMode
	}{{"keys", 0o644}, {"", 0o755}} {
		path := filepath.Join(dir, c.path)
		good, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, c.mode); err != nil {
			t.Fatal(err)
		}
		cf("serve", "--dev", "--listen", "127.0.0.1:0", "--data", dir).Want(t, 1, "chmod ")
		if err := os.Chmod(path, good.Mode()); err != nil {
			t.Fatal(err)
		}
	}
}

// CD9: twenty first starts at once end with one key, and one server a folder.
func TestFirstStartsAtOnce(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	results := make(chan programtest.Outcome, 20)
	for range cap(results) {
		go func() { results <- cf("key", "list", "--data", dir, "--json").Run(t) }()
	}
	said := map[string]int{}
	for range cap(results) {
		o := <-results
		if m := regexp.MustCompile(`"fingerprint": "([0-9a-f]+)"`).FindStringSubmatch(o.Out); m != nil {
			said[m[1]]++
		} else if o.Code != 4 { // a busy machine: others had the folder for too long
			t.Errorf("exit code %d: %s", o.Code, o.Err)
		}
	}
	s := serve(t, dir)
	if len(said) != 1 || said[keysOf(t, s)] == 0 {
		t.Errorf("fingerprints %v, and the server's is %s", said, keysOf(t, s))
	}
	programtest.InTime(t, 5*time.Second, func() time.Duration {
		_, begin := clock.Now()
		cf("serve", "--dev", "--listen", "127.0.0.1:0", "--data", dir).Want(t, 1, "in use by another process, number ")
		_, end := clock.Now()
		return end - begin
	})
}

// CD10: where no key can be kept the start is refused; a key in memory must be asked for, and shows.
func TestEphemeralKey(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	if err := os.MkdirAll(filepath.Join(dir, "keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	cf("serve", "--dev", "--listen", "127.0.0.1:0", "--data", dir).Want(t, 1, "cannot be used")
	s := serve(t, dir, "--ephemeral-key")
	if _, body := s.Do("/readyz", "", nil); !strings.Contains(body, "degraded") || !strings.Contains(body, "ephemeral key") {
		t.Errorf("/readyz says %s", body)
	}
	if !strings.Contains(s.Log.String(), "ephemeral") {
		t.Errorf("the log does not say it: %s", s.Log)
	}
}

// C11, C12, C14, C29: 0.0001 days are 8 whole seconds, on the cookie and on the server.
func TestFractionOfADay(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	addUser(t, dir, "alice")
	s := serve(t, dir, "--absolute", "0.0001d", "--persistent")
	const life = 8 * time.Second
	_, begin := clock.Now()
	cookie, line := s.SignIn("alice", passphrase)
	_, signedIn := clock.Now()
	maxAge(t, line, life, signedIn-begin)
	for {
		_, asked := clock.Now()
		status := s.Check(cookie)
		_, answered := clock.Now()
		switch {
		case status == http.StatusUnauthorized && answered >= begin+life-time.Millisecond: // it was made in some whole one
		case status == http.StatusOK && asked < signedIn+life:
			time.Sleep(100 * time.Millisecond)
			continue
		default:
			t.Errorf("asked %v after the sign-in, answered %v after it was asked for: %d", asked-signedIn, answered-begin, status)
		}
		break
	}
	if status := s.Status("/auth/account", cookie); status != http.StatusSeeOther && status != http.StatusUnauthorized {
		t.Errorf("a page after the end: %d", status)
	}
}

// C10, C12: lifetimes in days reach the cookie in whole seconds.
func TestLifetimeInDays(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	addUser(t, dir, "alice")
	for days, seconds := range map[string]int{"7d": 604800, "1d": 86400, "0.5d": 43200, "30d": 2592000} {
		s := serve(t, dir, "--absolute", days, "--persistent")
		_, begin := clock.Now()
		_, line := s.SignIn("alice", passphrase)
		_, end := clock.Now()
		maxAge(t, line, time.Duration(seconds)*time.Second, end-begin)
		s.Stop()
	}
}

// maxAge checks that a cookie's line gives it that life, less at most what the sign-in took and a second
// that is not whole.
func maxAge(t *testing.T, line string, life, took time.Duration) {
	t.Helper()
	age := regexp.MustCompile(`; Max-Age=(\d+)(;|$)`).FindStringSubmatch(line)
	if age == nil {
		t.Errorf("no Max-Age: %s", line)
		return
	}
	seconds, err := strconv.Atoi(age[1])
	if given := time.Duration(seconds) * time.Second; err != nil || given > life || given < life-took-time.Second {
		t.Errorf("%s; want Max-Age=%d", line, life/time.Second)
	}
}

// CD11, CD12: a shorter limit holds for sessions that exist; a longer one revives none.
func TestLimitsChange(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	addUser(t, dir, "alice")
	s := serve(t, dir)
	cookie, _ := s.SignIn("alice", passphrase)
	s.Stop()
	time.Sleep(1500 * time.Millisecond)
	s = serve(t, dir, "--absolute", "1s")
	if status := s.Check(cookie); status != http.StatusUnauthorized {
		t.Errorf("under the shorter limit: %d", status)
	}
	short, _ := s.SignIn("alice", passphrase)
	time.Sleep(1500 * time.Millisecond)
	s.Stop()
	s = serve(t, dir, "--absolute", "30d", "--idle", "7d")
	if status := s.Check(short); status != http.StatusUnauthorized {
		t.Errorf("an ended session under the longer limit: %d", status)
	}
}

// C26: each message of a start stands in the log once.
func TestEachMessageOnce(t *testing.T) {
	t.Parallel()
	s := serve(t, folder(t))
	s.Stop()
	seen := map[string]int{}
	for line := range strings.Lines(s.Log.String()) {
		var entry struct{ Msg string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatalf("a line that is no JSON: %s", line)
		}
		if seen[entry.Msg]++; seen[entry.Msg] > 1 {
			t.Errorf("twice: %s", entry.Msg)
		}
	}
	if len(seen) < 3 {
		t.Errorf("the log has hardly anything: %v", seen)
	}
}

// P110: alive and ready, with nothing secret in either.
func TestHealth(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	s := serve(t, dir)
	for _, path := range []string{"/healthz", "/readyz"} {
		answer, body := s.Do(path, "", nil)
		if answer.StatusCode != http.StatusOK || !json.Valid([]byte(body)) {
			t.Errorf("%s: %d %s", path, answer.StatusCode, body)
		}
		for _, secret := range []string{"cfk1_", dir} {
			if strings.Contains(body, secret) {
				t.Errorf("%s tells %s: %s", path, secret, body)
			}
		}
	}
}

// A store that keeps nothing says so in log and health.
func TestMemoryStore(t *testing.T) {
	t.Parallel()
	s := serve(t, folder(t), "--store", "memory:")
	if !strings.Contains(s.Log.String(), "are lost when this process ends") {
		t.Errorf("the log does not say it: %s", s.Log)
	}
	if _, body := s.Do("/readyz", "", nil); !strings.Contains(body, "store in memory") {
		t.Errorf("/readyz says %s", body)
	}
}

// A port that is taken, a folder that is a file: refused, quickly, and said.
func TestRefusedStarts(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	damaged := folder(t)
	if err := os.Mkdir(damaged, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(damaged, "sessions.db"), []byte(strings.Repeat("no database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ data, listen, want string }{
		{folder(t), taken.Addr().String(), "address already in use"},
		{file, "127.0.0.1:0", "not a directory"},
		{damaged, "127.0.0.1:0", "sessions.db"},
	} {
		programtest.InTime(t, 10*time.Second, func() time.Duration {
			_, begin := clock.Now()
			o := cf("serve", "--dev", "--listen", c.listen, "--data", c.data).Run(t)
			_, end := clock.Now()
			if o.Code != 1 || !strings.Contains(o.Err, c.want) || strings.Contains(o.Out, "listening") {
				t.Errorf("exit code %d, out %q, err %s; want 1 and %q", o.Code, o.Out, o.Err, c.want)
			}
			return end - begin
		})
	}
}
