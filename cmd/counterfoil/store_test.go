package main_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/logtest"
	"github.com/counterfoil/counterfoil/internal/programtest"
	"github.com/counterfoil/counterfoil/store/blob"
	"github.com/counterfoil/counterfoil/store/postgres/postgrestest"
	"github.com/counterfoil/counterfoil/store/redis/redistest"
	"github.com/counterfoil/counterfoil/store/sqlite"
)

func postgresServer(t *testing.T) (*postgrestest.Server, string) {
	t.Helper()
	server, err := postgrestest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Stop() })
	dsn, err := server.Empty(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return server, dsn
}

func redisDSN(t *testing.T) string {
	t.Helper()
	server, err := redistest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Stop() })
	return server.DSN()
}

// sharing is how a node of several is told where the key is.
func sharing(dir string) string { return "COUNTERFOIL_KEY_FILE=" + filepath.Join(dir, "keys") }

// From one file to PostgreSQL, on to Redis, into a folder of objects and back into a file: the cookies of before are good all the
// way, what was ended stays ended, and the audit is whole. Nothing starts on a store that was left.
func TestStoreCopy(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	addUser(t, dir, "alice")
	s := serve(t, dir)
	cookie, _ := s.SignIn("alice", passphrase)
	ended, _ := s.SignIn("alice", passphrase)
	cf("session", "end", "--user", "nobody", "--data", dir).Want(t, 3, "no user")
	signOut(t, s.Site, ended)
	first := "sqlite:" + filepath.Join(dir, "sessions.db")
	_, second := postgresServer(t)
	third, fourth, last := redisDSN(t), "file://"+filepath.Join(dir, "objects"), "sqlite:"+filepath.Join(dir, "again.db")
	cf("store", "copy", "--from", first, "--to", second, "--data", dir).Want(t, 1, "another process has this store open")
	s.Stop()
	for _, step := range [][2]string{{first, second}, {second, third}, {third, fourth}, {fourth, last}} {
		from, to := step[0], step[1]
		cf("store", "copy", "--from", from, "--to", to, "--data", dir).Want(t, 0, "copied 1 session and 1 account")
		node := func(dsn string) programtest.Command {
			c := cf("serve", "--dev", "--listen", "127.0.0.1:0", "--data", dir, "--store", dsn)
			if !strings.HasPrefix(dsn, "sqlite:") {
				c = c.With(sharing(dir))
			}
			return c
		}
		if o := node(from).Run(t); o.Code != 1 || !strings.Contains(o.Err, "this store was moved to") {
			t.Fatalf("a start on the old store: %d %s", o.Code, o.Err)
		}
		s := node(to).Serve(t)
		if got := s.Check(cookie); got != 200 {
			t.Fatalf("after the copy to %s the session answers %d", to, got)
		}
		if got := s.Check(ended); got != 401 {
			t.Fatalf("after the copy to %s the ended session answers %d", to, got)
		}
		s.Stop()
		verify := cf("audit", "verify", "--data", dir, "--store", to)
		if !strings.HasPrefix(to, "sqlite:") {
			verify = verify.With(sharing(dir))
		}
		verify.Want(t, 0, "the audit is whole")
	}
	cf("store", "copy", "--from", first, "--undo", "--data", dir).Want(t, 0, "may be used again")
	cf("store", "copy", "--from", first, "--undo", "--data", dir).Want(t, 1, "nothing was done")
	cf("store", "copy", "--from", first, "--to", last, "--data", dir).Want(t, 1, "is not empty")
	cf("store", "copy", "--from", "sqlite:"+filepath.Join(dir, "none.db"), "--to", last, "--data", dir).Want(t, 3, "there is no store")
	cf("store", "copy", "--from", first, "--data", dir).Want(t, 2, "--to is missing")
	cf("store", "copy", "--from", "memory:", "--to", first, "--data", dir).Want(t, 2, "gone with its server")
	cf("store", "copy", "--from", first, "--to", "mysql:x", "--data", dir).Want(t, 2, "is no store")
	const soon = "COUNTERFOIL_STORE_WAIT=1s"
	cf("store", "copy", "--from", first, "--to", "redis://"+nobody, "--data", dir).With(soon).Want(t, 4, "does not answer")
	file := filepath.Join(t.TempDir(), "dsn")
	if err := os.WriteFile(file, []byte("redis://:hunter2@"+nobody+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if o := cf("store", "copy", "--from", first, "--to", "@"+file, "--data", dir).With(soon).Want(t, 4, "does not answer"); strings.Contains(o.Err, "hunter2") {
		t.Errorf("the password is shown: %s", o.Err)
	}
}

// fill puts plain records into a store that nobody uses.
func fill(t *testing.T, path string, n int) {
	t.Helper()
	ctx := context.Background()
	s, err := sqlite.Open(ctx, path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	now, _ := clock.Now()
	now = now.UTC().Truncate(time.Millisecond)
	errs := make(chan error, 64)
	for w := range cap(errs) {
		go func() {
			for i := w; i < n; i += cap(errs) {
				r := &counterfoil.Record{
					Version: 1, Kind: counterfoil.KindBrowser, Created: now, Seen: now, IdleEnd: now.Add(time.Hour), AbsoluteEnd: now.Add(time.Hour),
					Identity: []byte(fmt.Sprint("sealed ", i)), IdentityCount: 1,
				}
				rand.Read(r.ID[:])
				rand.Read(r.Subject[:])
				if _, err := s.Create(ctx, r, counterfoil.Creation{Entry: counterfoil.Entry{Kind: counterfoil.EntryCreated, Time: now}}); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
}

// kill -9 at any moment of a copy: the same command goes on, and at the end nothing is missing.
func TestStoreCopyIsKilled(t *testing.T) {
	t.Parallel()
	for kind, c := range map[string]struct {
		to   func(dir string) string
		open func(t *testing.T, dsn string) (counterfoil.Store, error)
	}{
		"into a file": {
			func(dir string) string { return "sqlite:" + filepath.Join(dir, "new.db") },
			func(t *testing.T, dsn string) (counterfoil.Store, error) {
				return sqlite.Open(t.Context(), strings.TrimPrefix(dsn, "sqlite:"), sqlite.Options{})
			},
		},
		"into a folder": {
			func(dir string) string { return "file://" + filepath.Join(dir, "objects") },
			func(t *testing.T, dsn string) (counterfoil.Store, error) {
				return blob.Open(t.Context(), dsn, blob.Options{})
			},
		},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			dir := folder(t)
			to := c.to(dir)
			copyIsKilled(t, dir, to, func() (counterfoil.Store, error) { return c.open(t, to) })
		})
	}
}

func copyIsKilled(t *testing.T, dir, to string, open func() (counterfoil.Store, error)) {
	const n = 3000
	from := filepath.Join(dir, "sessions.db")
	fill(t, from, n)
	copying := cf("store", "copy", "--from", "sqlite:"+from, "--to", to, "--data", dir)
	killed := killUntilDone(t, copying, 60*time.Millisecond, func() {})
	s, err := open()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	all, err := s.Scan(t.Context(), counterfoil.ID{}, 2*n)
	if err != nil || len(all) != n {
		t.Errorf("killed %d times: %d of %d records, %v", killed, len(all), n, err)
	}
	o := cf("serve", "--dev", "--listen", "127.0.0.1:0", "--data", dir).Run(t)
	if o.Code != 1 || !strings.Contains(o.Err, "was moved to") {
		t.Errorf("a start on the old store: %d %s", o.Code, o.Err)
	}
}

// A store that does not answer at the start is asked again for as long as was said, each failure once;
// then the start is refused. SIGTERM ends the wait. One that comes up meanwhile is used. D1
func TestStartWaitsForTheStore(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	addUser(t, dir, "alice") // makes the key
	node := func(dsn string) programtest.Command {
		return program.Command("serve", "--dev", "--listen", "127.0.0.1:0", "--data", dir, "--store", dsn).With(sharing(dir))
	}
	for _, dsn := range []string{"postgres://cf:hunter2@" + nobody + "/cf", "redis://:hunter2@" + nobody} {
		programtest.InTime(t, 5*time.Second, func() time.Duration {
			_, begin := clock.Now()
			o := node(dsn).Run(t)
			_, end := clock.Now()
			if o.Code != 4 || !strings.Contains(o.Err, "does not answer (") || strings.Contains(o.Err, "hunter2") {
				t.Errorf("%s after %v: exit code %d: %s", dsn, end-begin, o.Code, o.Err)
			}
			if tries := strings.Count(o.Err, "trying again"); tries > 6 {
				t.Errorf("%d lines of trying: %s", tries, o.Err)
			}
			return end - begin
		})
	}
	server, dsn := postgresServer(t)
	if err := server.Crash(); err != nil {
		t.Fatal(err)
	}
	waiting := func() (*logtest.Log, func() error, func(os.Signal)) {
		cmd := node(dsn).With(programtest.Patient).Cmd(t.Context())
		log := &logtest.Log{}
		cmd.Stderr = log
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		const pause = 20 * time.Millisecond
		for left := programtest.Patience; strings.Count(log.String(), "trying again") < 2; left -= pause {
			if left <= 0 {
				cmd.Process.Kill()
				t.Fatalf("no lines about trying: %s", log)
			}
			time.Sleep(pause)
		}
		return log, cmd.Wait, func(s os.Signal) { cmd.Process.Signal(s) }
	}
	programtest.InTime(t, 2*time.Second, func() time.Duration {
		log, wait, send := waiting()
		_, begin := clock.Now()
		send(syscall.SIGTERM)
		err := wait()
		_, end := clock.Now()
		if err != nil {
			t.Errorf("SIGTERM while waiting: %v after %v: %s", err, end-begin, log)
		}
		return end - begin
	})
	recovered := make(chan error, 1)
	go func() { recovered <- server.Recover() }()
	s := node(dsn).Serve(t)
	s.Stop()
	if err := <-recovered; err != nil {
		t.Error(err)
	}
}

// P76, D1: a storage that is asked for and not ready refuses the start, after a bounded number of tries.
// There is no other store that sessions, or the ends of sessions, could go to meanwhile, and nothing to
// ask for one with.
func TestNoFallback(t *testing.T) {
	t.Parallel()
	key, _ := wrappingKey(t)
	env := []string{"COUNTERFOIL_KEY_FILE=" + key, "AWS_ACCESS_KEY_ID=a", "AWS_SECRET_ACCESS_KEY=b", "AZURE_STORAGE_KEY=YQ=="}
	for _, dsn := range []string{
		"s3://bucket/p?endpoint=http://" + nobody, "gs://bucket/p?endpoint=http://" + nobody,
		"azblob://box/p?account=name&endpoint=http://" + nobody, "postgres://cf@" + nobody + "/cf", "redis://" + nobody,
	} {
		t.Run(dsn[:2], func(t *testing.T) {
			t.Parallel()
			dir := folder(t)
			programtest.InTime(t, 5*time.Second, func() time.Duration {
				_, begin := clock.Now()
				o := cf("serve", "--dev", "--listen", "127.0.0.1:0", "--data", dir, "--store", dsn, "--store-wait", "1s").With(env...).Run(t)
				_, end := clock.Now()
				if o.Code != 4 || o.Out != "" || !strings.Contains(o.Err, "does not answer (") {
					t.Errorf("after %v exit code %d: %s", end-begin, o.Code, o)
				}
				return end - begin
			})
			if left, err := filepath.Glob(filepath.Join(dir, "sessions.db*")); err != nil || len(left) > 0 {
				t.Errorf("a store was made in its place: %v, %v", left, err)
			}
		})
	}
	dir := folder(t)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "counterfoil.yaml"), []byte("fallback: local\nstore_fallback: \"memory:\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := cf("serve", "--dev", "--data", dir, "--fallback", "local").Want(t, 2, "--fallback: no such flag")
	for _, name := range []string{"fallback", "store_fallback"} {
		if !strings.Contains(o.Err, name+": unknown field") {
			t.Errorf("%s is not refused: %s", name, o.Err)
		}
	}
}

// Two nodes with different keys on one store: the second is told so in words and refused, unless the
// key is replaced on purpose. A rotated key is the same key file.
func TestOneKeyForAllNodes(t *testing.T) {
	t.Parallel()
	_, dsn := postgresServer(t)
	stores := map[string]string{"postgres": dsn, "redis": redisDSN(t)}
	for name, dsn := range stores {
		t.Run(name, func(t *testing.T) {
			dirs := [2]string{folder(t), folder(t)}
			for _, dir := range dirs {
				addUser(t, dir, "alice") // makes a key each
			}
			node := func(dir, keys string) programtest.Command {
				return cf("serve", "--dev", "--listen", "127.0.0.1:0", "--data", dir, "--store", dsn).With(sharing(keys))
			}
			on := func(dir, keys string, args ...string) programtest.Command {
				return cf(append(args, "--data", dir, "--store", dsn)...).With(sharing(keys))
			}
			on(dirs[0], dirs[0], "user", "add", "bob", "--password-stdin").Typing(passphrase+"\n").Want(t, 0, "is made")
			s := node(dirs[0], dirs[0]).Serve(t)
			cookie, _ := s.SignIn("bob", passphrase)
			if o := node(dirs[1], dirs[1]).Run(t); o.Code != 1 || !strings.Contains(o.Err, "this node's key is not the one") || !strings.Contains(o.Err, "--reset-key") {
				t.Fatalf("another key: %d %s", o.Code, o.Err)
			}
			if o := on(dirs[1], dirs[1], "session", "end", "--all", "--reset-key").Run(t); o.Code != 1 || !strings.Contains(o.Err, "stop them") {
				t.Fatalf("reset while a node runs: %d %s", o.Code, o.Err)
			}
			if got := s.Check(cookie); got != 200 {
				t.Fatalf("the first node's session answers %d", got)
			}
			s.Stop()
			cf("key", "rotate", "--data", dirs[0]).Want(t, 0, "is primary now")
			s = node(dirs[1], dirs[0]).Serve(t)
			if got := s.Check(cookie); got != 200 {
				t.Fatalf("after key rotate the session answers %d: %s", got, s.Log)
			}
			s.Stop()
			on(dirs[1], dirs[1], "session", "end", "--all", "--reset-key").Want(t, 0, "1 session ended")
			s = node(dirs[1], dirs[1]).Serve(t)
			if got := s.Check(cookie); got != 401 {
				t.Fatalf("under the new key the old session answers %d", got)
			}
			s.SignIn("bob", passphrase)
		})
	}
}
