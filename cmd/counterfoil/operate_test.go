package main_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Commands work on a running server, and its sessions obey at once. key rotate signs nobody out. T22, CD15
func TestOperatingARunningServer(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	s := serve(t, dir)
	addUser(t, dir, "alice")
	addUser(t, dir, "bob")
	var cookies [4]string
	for i := range cookies {
		cookies[i], _ = s.SignIn([]string{"alice", "alice", "bob", "bob"}[i], passphrase)
	}
	expect := func(when string, want ...int) {
		t.Helper()
		for i, status := range want {
			if got := s.Check(cookies[i]); got != status {
				t.Fatalf("%s: session %d: %d, want %d", when, i, got, status)
			}
		}
	}
	cf("key", "rotate", "--data", dir).Want(t, 0, "nobody is signed out")
	expect("after key rotate", 200, 200, 200, 200)

	type row struct {
		ID, User, Kind string
		Level          int
		Methods        []string
		Current        bool
	}
	list := func(args ...string) (rows []row) {
		t.Helper()
		out := cf(append([]string{"session", "list", "--json", "--data", dir}, args...)...).Want(t, 0, "").Out
		if err := json.Unmarshal([]byte(out), &rows); err != nil {
			t.Fatal(err)
		}
		var fields []map[string]any
		if err := json.Unmarshal([]byte(out), &fields); err != nil {
			t.Fatal(err)
		}
		for _, f := range fields {
			for _, name := range []string{"id", "user", "actor", "kind", "level", "methods", "created", "proved", "seen", "idle_end", "absolute_end", "ip", "label", "current"} {
				if _, ok := f[name]; !ok {
					t.Errorf("session list --json has no %s: %v", name, f)
				}
			}
		}
		return rows
	}
	if all := list(); len(all) != 4 {
		t.Fatalf("%d sessions: %+v", len(all), all)
	}
	alices := list("--user", "Alice")
	if len(alices) != 2 || alices[0].User != "alice" || alices[0].Kind != "browser" || alices[0].Level != 1 || len(alices[0].Methods) != 1 {
		t.Fatalf("alice's: %+v", alices)
	}
	cf("session", "end", "--data", dir, "--", alices[1].ID).Want(t, 0, "1 session ended") // her older one
	expect("after session end ID", 401, 200, 200, 200)
	cf("session", "end", "--data", dir, "--", alices[1].ID).Want(t, 3, "no session")
	cf("session", "end", "--user", "bob", "--wait", "--data", dir).Want(t, 0, "2 sessions ended, in force on 1 node after 0s")
	expect("after session end --user", 401, 200, 401, 401)
	cookies[2], _ = s.SignIn("bob", passphrase)
	cf("user", "disable", "bob", "--data", dir).Want(t, 0, "disabled")
	expect("after user disable", 401, 200, 401, 401)
	cf("user", "passwd", "alice", "--password-stdin", "--data", dir).Typing(passphrase+" two\n").Want(t, 0, "new password")
	expect("after user passwd", 401, 401, 401, 401)
	cookies[0], _ = s.SignIn("alice", passphrase+" two")
	cf("session", "end", "--all", "--data", dir).Want(t, 0, "1 session ended")
	expect("after session end --all", 401, 401, 401, 401)
	cf("doctor", "--data", dir, "--json").Want(t, 0, `"check": "store"`)
	cf("session", "end", "--all", "--reset-clock", "--data", dir).Want(t, 1, "stop it before the clock is reset")
	cf("audit", "verify", "--data", dir).Want(t, 0, "whole")
}

// A leaked key: first how many it signs out, then it ends them, those of other keys live on. CD15
func TestKeyRevoke(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	addUser(t, dir, "alice")
	s := serve(t, dir)
	old, _ := s.SignIn("alice", passphrase)
	cf("key", "rotate", "--data", dir).Want(t, 0, "is primary now")
	fresh, _ := s.SignIn("alice", passphrase)
	var keys struct {
		Keys []struct {
			ID, State string
			Sessions  int
		}
	}
	if err := json.Unmarshal([]byte(cf("key", "list", "--json", "--data", dir).Want(t, 0, "").Out), &keys); err != nil || len(keys.Keys) != 2 {
		t.Fatalf("%+v, %v", keys, err)
	}
	leaked := keys.Keys[0]
	if leaked.State != "enabled" || leaked.Sessions != 1 {
		t.Fatalf("the old key: %+v", leaked)
	}
	cf("key", "revoke", leaked.ID, "--data", dir).Want(t, 1, "ends 1 session")
	if status := s.Check(old); status != http.StatusOK {
		t.Fatalf("asking alone ended a session: %d", status)
	}
	cf("key", "revoke", leaked.ID, "--yes", "--data", dir).Want(t, 0, "1 session ended")
	if status := s.Check(old); status != http.StatusUnauthorized {
		t.Errorf("under the revoked key: %d", status)
	}
	if status := s.Check(fresh); status != http.StatusOK {
		t.Errorf("under the new key: %d", status)
	}
	cf("key", "list", "--data", dir).Want(t, 0, "disabled")
	s.Stop()
	s = serve(t, dir)
	if status := s.Check(fresh); status != http.StatusOK {
		t.Errorf("under the new key after a restart: %d", status)
	}
	cf("audit", "verify", "--data", dir).Want(t, 0, "whole")
}

// The way to the control socket may be longer than a socket's address, and a stale one is replaced.
func TestControlSocket(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 40), "data")
	s := serve(t, dir)
	cf("user", "list", "--data", dir).Want(t, 0, "NAME")
	s.Kill()
	if _, err := os.Lstat(filepath.Join(dir, "control.sock")); err != nil {
		t.Fatalf("kill -9 leaves the socket behind: %v", err)
	}
	cf("user", "list", "--data", dir).Want(t, 0, "NAME") // offline, beside a stale socket
	s = serve(t, dir)
	cf("user", "list", "--data", dir).Want(t, 0, "NAME")
	s.Signal(syscall.SIGSTOP)
	defer s.Signal(syscall.SIGCONT)
	cf("user", "list", "--data", dir).Want(t, 4, "starting or hung") // the kernel still connects
	if err := os.Remove(filepath.Join(dir, "control.sock")); err != nil {
		t.Fatal(err)
	}
	cf("user", "list", "--data", dir).Want(t, 4, "starting or hung")
}

// A broken audit: exit code 5 and the line.
func TestBrokenAudit(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	addUser(t, dir, "alice")
	s := serve(t, dir)
	s.SignIn("alice", passphrase)
	s.Stop()
	path := filepath.Join(dir, "audit.jsonl")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(text), `"subject":"alice"`, `"subject":"mallo"`, 1)
	if changed == string(text) {
		t.Fatalf("no line about alice:\n%s", text)
	}
	if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	cf("audit", "verify", "--data", dir).Want(t, 5, "broken at line 2")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	cf("audit", "verify", "--data", dir).Want(t, 5, "broken at line 1")
}
