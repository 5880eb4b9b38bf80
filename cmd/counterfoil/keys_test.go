package main_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// wrappingKey makes a key that lies apart from every data folder.
func wrappingKey(t *testing.T) (file, line string) {
	t.Helper()
	line = strings.TrimSpace(cf("key", "generate").Want(t, 0, "cfk1_").Out)
	file = filepath.Join(t.TempDir(), "wrapping-key")
	if err := os.WriteFile(file, []byte(line+"\n"), 0o400); err != nil {
		t.Fatal(err)
	}
	return file, line
}

// C4, C5, C8, CD4, CD7, D16: the key file of a running server is wrapped under a key that lies elsewhere,
// and under another one; nobody is signed out. Without that key, or with a wrong one, the start is
// refused and the file stays as it is.
func TestKeyWrap(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	path := filepath.Join(dir, "keys")
	file, line := wrappingKey(t)
	other, _ := wrappingKey(t)
	addUser(t, dir, "alice")
	s := serve(t, dir)
	cookie, _ := s.SignIn("alice", passphrase)
	cf("key", "wrap", file, "--data", dir).Want(t, 0, "COUNTERFOIL_WRAPPING_KEY_FILE="+file)
	cf("key", "list", "--data", dir).Want(t, 0, "wrapped by key:")
	cf("key", "rotate", "--data", dir).Want(t, 0, "nobody is signed out")
	if status := s.Check(cookie); status != http.StatusOK {
		t.Fatalf("wrapping signed out: %d", status)
	}
	s.Stop()
	text, err := os.ReadFile(path)
	if err != nil || strings.Contains(string(text), "cfk1_") || !strings.Contains(string(text), "\nwrap key:") {
		t.Fatalf("the key file is not wrapped: %v\n%s", err, text)
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	start := []string{"serve", "--dev", "--listen", "127.0.0.1:0", "--data", dir}
	beside := filepath.Join(dir, "wrapping-key")
	if err := os.WriteFile(beside, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	for env, want := range map[string]string{
		"":                                       "cannot be decrypted: it is wrapped in a way that this program cannot undo: by key:",
		"COUNTERFOIL_WRAPPING_KEY_FILE=" + other: "and the wrapping key that is given is key:",
		"COUNTERFOIL_WRAPPING_KEY_FILE=" + beside: "keep it elsewhere",
		"COUNTERFOIL_WRAPPING_KEY_FILE=/nowhere":  "COUNTERFOIL_WRAPPING_KEY_FILE",
		"COUNTERFOIL_WRAPPING_KEY=ADMIN123":       "COUNTERFOIL_WRAPPING_KEY cannot be used",
		"COUNTERFOIL_WRAPPING_KEY=":               "COUNTERFOIL_WRAPPING_KEY cannot be used",
	} {
		c := cf(start...)
		if env != "" {
			c = c.With(env)
		}
		if o := c.Want(t, 1, want); strings.Contains(o.Err, line) {
			t.Error("the wrapping key stands in the log")
		}
	}
	if after, err := os.Stat(path); err != nil || !after.ModTime().Equal(before.ModTime()) || !os.SameFile(before, after) {
		t.Error("a refused start touched the key file:", err)
	}
	if err := os.Remove(beside); err != nil {
		t.Fatal(err)
	}
	s = cf(start...).With("COUNTERFOIL_WRAPPING_KEY_FILE=" + file).Serve(t)
	if !strings.Contains(s.Log.String(), "wrapped by key:") || strings.Contains(s.Log.String(), "not wrapped") {
		t.Errorf("the log does not say what wraps the keys: %s", s.Log)
	}
	if status := s.Check(cookie); status != http.StatusOK {
		t.Errorf("after a restart: %d", status)
	}
	cf("key", "wrap", beside, "--data", dir).Want(t, 1, "wrapping key file")
	cf("key", "wrap", other, "--data", dir).Want(t, 0, "nobody is signed out")
	s.Stop()
	cf(start...).With("COUNTERFOIL_WRAPPING_KEY_FILE="+file).Want(t, 1, "cannot be decrypted")
	cf("doctor", "--dev", "--data", dir).With("COUNTERFOIL_WRAPPING_KEY_FILE="+other).Want(t, 0, "wrapped by key:")
	cf("key", "unwrap", "--data", dir).With("COUNTERFOIL_WRAPPING_KEY_FILE="+other).Want(t, 0, "in the clear")
	cf(start...).With("COUNTERFOIL_WRAPPING_KEY_FILE="+other).Want(t, 1, "not wrapped, although a wrapping key is given") // CD6
	s = serve(t, dir)
	if status := s.Check(cookie); status != http.StatusOK {
		t.Errorf("unwrapped: %d", status)
	}
	cf("audit", "tail", "--data", dir, "--lines", "200").Want(t, 0, "wrapped")
	cf("audit", "verify", "--data", dir).Want(t, 0, "whole")
}

// CD13: a reset removes the key with all sessions; the old cookie opens nothing after it, not even when
// the backup from before is restored, and that holds no key. It never touches keys from outside.
func TestKeyReset(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	path, backup := filepath.Join(dir, "keys"), filepath.Join(t.TempDir(), "backup")
	addUser(t, dir, "alice")
	s := serve(t, dir)
	cookie, _ := s.SignIn("alice", passphrase)
	before := keysOf(t, s)
	cf("store", "backup", backup, "--data", dir).Want(t, 0, "")
	cf("key", "reset", "--yes", "--data", dir).Want(t, 1, "stop it before the keys are reset")
	s.Stop()
	key, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	saved, err := os.ReadFile(backup)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range strings.Fields(string(key)) {
		if strings.HasPrefix(word, "cf") && strings.Contains(string(saved), word) {
			t.Error("the backup holds a key")
		}
	}
	outside, _ := wrappingKey(t)
	cf("key", "reset", "--yes", "--data", dir).With("COUNTERFOIL_KEY_FILE="+outside).Want(t, 1, "come from outside")
	cf("key", "reset", "--data", dir).Want(t, 1, "removes the key file "+path+" and ends 1 session signed in or visiting; nothing was done")
	s = serve(t, dir)
	if status := s.Check(cookie); status != http.StatusOK || keysOf(t, s) != before {
		t.Fatalf("asking, or being refused, did something: %d", status)
	}
	s.Stop()
	cf("key", "reset", "--yes", "--data", dir).Want(t, 0, "1 session ended")
	if _, err := os.Stat(path); err == nil {
		t.Error("the key file is still there")
	}
	s = serve(t, dir)
	if status := s.Check(cookie); status != http.StatusUnauthorized || keysOf(t, s) == before {
		t.Errorf("the old cookie: %d", status)
	}
	fresh, _ := s.SignIn("alice", passphrase) // accounts stay
	if status := s.Check(fresh); status != http.StatusOK {
		t.Errorf("a new sign-in: %d", status)
	}
	s.Stop()
	cf("audit", "verify", "--data", dir).Want(t, 0, "not verifiable")
	cf("store", "restore", backup, "--foreign", "--end-all", "--yes", "--data", dir).Want(t, 0, "")
	s = serve(t, dir)
	if status := s.Check(cookie); status != http.StatusUnauthorized {
		t.Errorf("the old cookie, after the backup came back: %d", status)
	}
}
