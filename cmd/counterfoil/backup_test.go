package main_test

import (
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/programtest"
	"github.com/counterfoil/counterfoil/store/sqlite"
)

// A backup is made while the server works; after the store was lost it brings back who was signed in,
// and nobody who was signed out since, nor a password that was changed since. It holds no token, and
// others cannot read it.
func TestStoreBackup(t *testing.T) {
	t.Parallel()
	_, dsn := postgresServer(t)
	for name, dsn := range map[string]string{"sqlite": "", "postgres": dsn, "redis": redisDSN(t), "folder": "file://" + filepath.Join(t.TempDir(), "objects")} {
		t.Run(name, func(t *testing.T) {
			dir := folder(t)
			addUser(t, dir, "nobody") // makes the key
			flags, keys := []string{"--data", dir}, []string{}
			if dsn != "" {
				flags, keys = append(flags, "--store", dsn), []string{sharing(dir)}
			}
			run := func(args ...string) programtest.Command { return cf(append(args, flags...)...).With(keys...) }
			for _, name := range []string{"alice", "bob"} {
				run("user", "add", name, "--password-stdin").Typing(passphrase+"\n").Want(t, 0, "is made")
			}
			serving := func() *programtest.Server { return run("serve", "--dev", "--listen", "127.0.0.1:0").Serve(t) }
			s := serving()
			kept, _ := s.SignIn("alice", passphrase)
			ended, _ := s.SignIn("alice", passphrase)
			bobs, _ := s.SignIn("bob", passphrase)
			file := filepath.Join(t.TempDir(), "backup")
			for range 2 { // the second takes the place of the first
				run("store", "backup", file).Want(t, 0, "3 sessions and ")
			}
			if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%v, %v; want mode 0600", info, err)
			}
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, cookie := range []string{kept, ended, bobs} {
				if _, token, _ := strings.Cut(cookie, "="); strings.Contains(string(raw), token[:20]) {
					t.Error("the backup holds a token")
				}
			}
			run("store", "restore", file).Want(t, 1, "stop it before")
			signOut(t, s.Site, ended)
			run("user", "passwd", "bob", "--password-stdin").Typing(passphrase+" two\n").Want(t, 0, "new password")
			s.Stop()
			run("store", "restore", file).Want(t, 1, "nothing was done. To do it")
			o := run("store", "restore", file, "--yes", "--json").Want(t, 0, `"sessions": 1`) // into the same
			var done struct{ Ended, Kept int }
			if err := json.Unmarshal([]byte(o.Out), &done); err != nil || done.Ended != 2 || done.Kept < 2 {
				t.Errorf("%+v, %v: %s", done, err, o.Out)
			}
			if dsn == "" { // and once more, after the store was lost
				for _, suffix := range []string{"", "-wal", "-shm"} {
					if err := os.Rename(filepath.Join(dir, "sessions.db"+suffix), filepath.Join(t.TempDir(), "lost"+suffix)); err != nil && suffix == "" {
						t.Fatal(err)
					}
				}
				run("store", "restore", file).Want(t, 0, "1 session and 3 accounts")
			}
			s = serving()
			for cookie, want := range map[string]int{kept: 200, ended: 401, bobs: 401} {
				if got := s.Check(cookie); got != want {
					t.Errorf("after the restore a session answers %d, want %d", got, want)
				}
			}
			answer, _ := s.Do("/auth/login", "", url.Values{"username": {"bob"}, "password": {passphrase}})
			if answer.StatusCode != 401 {
				t.Errorf("the password of before answers %d", answer.StatusCode)
			}
			s.Stop()
			run("audit", "verify").Want(t, 0, "whole")
			run("store", "restore", filepath.Join(dir, "none")).Want(t, 3, "no such file")
			run("store", "restore", filepath.Join(dir, "keys")).Want(t, 1, "no whole backup")
			run("store", "restore", file, "--audit", file, "--end-all").Want(t, 2, "leave one of the two out")
			run("store", "restore", file, "--end-all", "--yes").Want(t, 0, "no session came back")
			s = serving()
			if got := s.Check(kept); got != 401 {
				t.Errorf("after --end-all the session answers %d", got)
			}
		})
	}
}

// kill -9 at any moment of a restore: until it was run to its end nothing starts on the store.
func TestStoreRestoreIsKilled(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	const n = 2000
	db := filepath.Join(dir, "sessions.db")
	fill(t, db, n)
	file := filepath.Join(t.TempDir(), "backup")
	s := serve(t, dir)
	cf("store", "backup", file, "--data", dir).Want(t, 0, "2000 sessions")
	s.Stop()
	restoring := cf("store", "restore", file, "--yes", "--data", dir)
	refused := 0
	killUntilDone(t, restoring, 40*time.Millisecond, func() {
		if o := cf("user", "list", "--data", dir).Run(t); o.Code == 1 && strings.Contains(o.Err, "a backup was being restored") {
			refused++
		} else if o.Code != 0 {
			t.Fatalf("%d %s", o.Code, o.Err)
		}
	})
	if refused == 0 {
		t.Error("the restore was never killed in the middle")
	}
	store, err := sqlite.Open(t.Context(), db, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if all, err := store.Scan(t.Context(), counterfoil.ID{}, 2*n); err != nil || len(all) != n {
		t.Errorf("%d of %d records, %v", len(all), n, err)
	}
}
