package operate_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/config"
	"github.com/counterfoil/counterfoil/internal/operate"
	"github.com/counterfoil/counterfoil/sessiontest"
)

func TestOneOwner(t *testing.T) {
	dir := t.TempDir()
	lock, err := operate.TakeLock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := operate.TakeLock(dir); !errors.Is(err, operate.ErrLocked) || !strings.Contains(err.Error(), "process, number ") {
		t.Errorf("a second owner: %v", err)
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	again, err := operate.TakeLock(dir)
	if err != nil {
		t.Fatal(err)
	}
	again.Release()
	if _, err := operate.TakeLock(filepath.Join(dir, "none")); err == nil || errors.Is(err, operate.ErrLocked) {
		t.Errorf("no folder: %v", err)
	}
}

// CD8: the data folder is ours alone, or it is refused.
func TestPrepareFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "data")
	if err := operate.PrepareFolder(dir); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := os.Chmod(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := operate.PrepareFolder(dir); err == nil || !strings.Contains(err.Error(), "chmod 700") {
		t.Errorf("a folder for the group: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := operate.PrepareFolder(file); err == nil {
		t.Error("a file passes for a folder")
	}
	if why := operate.Unwritable(filepath.Join(dir, "none")); why == "" {
		t.Error("a folder that is not there can be written")
	}
}

// The control socket: a stale one is replaced, mode 0600, long paths, requests both ways.
func TestControlSocket(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("x", 120))
	if err := operate.PrepareFolder(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := operate.DialControl(dir, time.Second); err == nil {
		t.Error("connected to nobody")
	}
	if err := operate.Remote(dir).Get(context.Background(), "/v1/users", nil, nil); !errors.Is(err, operate.ErrUnreachable) {
		t.Errorf("asking nobody: %v", err)
	}
	lock, err := operate.TakeLock(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release()
	if err := os.WriteFile(filepath.Join(dir, operate.SocketName), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := operate.ListenControl(dir, lock)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(dir, operate.SocketName)); err != nil || info.Mode() != 0o600|os.ModeSocket {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	b := set(t)
	srv := &http.Server{Handler: b.operations.Handler()}
	done := make(chan error)
	go func() { done <- srv.Serve(l) }()
	b.add(t, "alice")
	var users []operate.User
	if err := operate.Remote(dir).Get(context.Background(), "/v1/users", nil, &users); err != nil || len(users) != 1 {
		t.Errorf("%+v, %v", users, err)
	}
	if err := operate.Remote(dir).Post(context.Background(), "/v1/users/nobody/enable", nil, nil); !errors.Is(err, operate.ErrNotFound) {
		t.Errorf("over the socket: %v", err)
	}
	srv.Close()
	<-done
}

// An answer that is none of ours is an error, not an empty list.
func TestAnotherServerOnTheSocket(t *testing.T) {
	dir := t.TempDir()
	l, err := net.Listen("unix", filepath.Join(dir, operate.SocketName))
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.NotFoundHandler()}
	done := make(chan error)
	go func() { done <- srv.Serve(l) }()
	if err := operate.Remote(dir).Get(context.Background(), "/v1/users", nil, nil); err == nil || !strings.Contains(err.Error(), "another version") {
		t.Errorf("%v", err)
	}
	srv.Close()
	<-done
}

func load(t *testing.T, flags map[string]string) *config.Config {
	t.Helper()
	in := config.Input{Flags: map[string][]string{"data": {filepath.Join(t.TempDir(), "data")}, "store-wait": {"5m"}}}
	for name, value := range flags {
		in.Flags[name] = []string{value}
	}
	cfg, err := config.Load(in)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// R21: a clock that once was far ahead refuses the start, and the command that ends all sessions
// makes it good. Keys that are gone are told to the audit.
func TestOffline(t *testing.T) {
	ctx := context.Background()
	cfg := load(t, nil)
	if err := operate.PrepareFolder(cfg.Data); err != nil {
		t.Fatal(err)
	}
	place := operate.Place{Config: cfg, Clock: counterfoil.SystemClock(), Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
	open := func() *operate.Operations {
		t.Helper()
		o, done, err := operate.Offline(ctx, place)
		if err != nil {
			t.Fatal(err)
		}
		if err := done(ctx); err != nil {
			t.Fatal(err)
		}
		return o
	}
	open()
	if _, err := os.Stat(cfg.Path(operate.AuditName)); err == nil {
		t.Error("looking at an installation wrote its audit")
	}

	i, err := operate.Open(ctx, place)
	if err != nil {
		t.Fatal(err)
	}
	ahead := sessiontest.NewClock(time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC))
	m, err := counterfoil.New(ctx, counterfoil.Config{Store: i.Store, Keys: i.Keys, Clock: ahead, Logger: place.Logger})
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequest(http.MethodGet, "/", nil)
	if err != nil {
		t.Fatal(err)
	}
	sessiontest.SignIn(t, m, r, counterfoil.Identity{Subject: "alice"})
	for range 5 { // touches write session time
		ahead.Advance(5 * time.Minute)
		m.Check(r)
		ahead.Advance(5 * time.Second)
	}
	if err := errors.Join(m.Close(ctx), i.Store.Close()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := operate.Offline(ctx, place); !errors.Is(err, counterfoil.ErrClock) {
		t.Fatalf("a clock 70 years behind: %v", err)
	}
	if i, err = operate.Open(ctx, place); err != nil {
		t.Fatal(err)
	}
	if _, err := counterfoil.ResetClock(ctx, i.Store, place.Clock); err != nil {
		t.Fatal(err)
	}
	if err := i.Store.Close(); err != nil {
		t.Fatal(err)
	}
	open()

	if err := os.Remove(cfg.Path("keys")); err != nil {
		t.Fatal(err)
	}
	open()
	text, err := os.ReadFile(cfg.Path(operate.AuditName))
	if err != nil || !strings.Contains(string(text), `"kind":"keys","reason":"replaced"`) {
		t.Errorf("%s, %v", text, err)
	}
}

// Each fault of a configuration is found, with its fix.
func TestExamine(t *testing.T) {
	for _, c := range []struct {
		name, check, says string
		level             operate.Level
		flags             map[string]string
	}{
		{"no folder", "data folder", "no such file", operate.LevelFault, nil},
		{"plain http", "listener", "would be plain http", operate.LevelFault, nil},
		{"development", "listener", "development", operate.LevelNote, map[string]string{"dev": "true"}},
		{"no certificate", "listener", "cannot be used", operate.LevelFault, map[string]string{"tls-cert": "/nonexistent", "tls-key": "/nonexistent"}},
		{"wide proxy", "listener", "all of 10.0.0.0/8", operate.LevelWarn, map[string]string{"trusted-proxy": "10.0.0.0/8"}},
		{"proxy", "listener", "behind the proxy", operate.LevelOK, map[string]string{"trusted-proxy": "10.1.2.3"}},
		{"no name", "cookies and limits", "without --public-url", operate.LevelNote, map[string]string{"trusted-proxy": "10.1.2.3"}},
		{"application down", "listener", "does not answer", operate.LevelWarn, map[string]string{"dev": "true", "upstream": "http://127.0.0.1:1"}},
		{"idle without effect", "cookies and limits", "no effect", operate.LevelNote, map[string]string{"idle": "9h"}},
		{"loose", "cookies and limits", "looser than", operate.LevelNote, map[string]string{"idle": "2d", "absolute": "7d"}},
		{"plain limits", "cookies and limits", "idle 30m, absolute 8h", operate.LevelOK, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			found, there := operate.Examine(load(t, c.flags)), false
			for _, f := range found {
				there = there || f.Check == c.check && f.Level == c.level && strings.Contains(f.Says, c.says)
				if (f.Fix == "") != (f.Level == operate.LevelOK) {
					t.Errorf("%s says %q and has the fix %q", f.Level, f.Says, f.Fix)
				}
			}
			if !there {
				t.Errorf("not found: %+v", found)
			}
		})
	}
}

// ASVS 7.1.1: each limit in force has a reason, and a looser one the operator's.
func TestLimitsHaveReasons(t *testing.T) {
	for _, l := range operate.Limits(load(t, map[string]string{"absolute": "60d", "idle": "2d", "limits-reason": "kiosk without a keyboard", "at-limit": "deny", "persistent": "true"})) {
		if l.Reason == "" || l.Source == "" {
			t.Errorf("%+v", l)
		}
		if (l.Name == "absolute" || l.Name == "idle") && l.Reason != "kiosk without a keyboard" {
			t.Errorf("%+v", l)
		}
	}
}

// What is shown of a DSN has no password in it, wherever that was written.
func TestStoreName(t *testing.T) {
	for dsn, want := range map[string]string{
		"sqlite:/var/lib/s.db":                         "sqlite:/var/lib/s.db",
		"memory:":                                      "memory:",
		"redis://db:6379/1":                            "redis://db:6379/1",
		"redis://user:secret@db/1":                     "redis://db/1",
		"redis://:sec@ret@db":                          "redis://db",
		"redis://db/1?password=secret":                 "redis://db/1",
		"redis://db?password=a@secret":                 "redis:…",
		"redis://:a?secret@db":                         "redis:…",
		"redis://:1#secret@db":                         "redis:…",
		"unix://user:secret@/run/redis.sock?db=2":      "unix:///run/redis.sock?db=2",
		"unix:///run/redis.sock":                       "unix:///run/redis.sock",
		"file:///var/lib/blob":                         "file:///var/lib/blob",
		"s3://bucket/prefix?region=eu&secret=a":        "s3://bucket/prefix?region=eu",
		"postgres://user:secret@db/cf":                 "postgres://user@db/cf",
		"postgres://user@db/cf?password=secret&port=1": "postgres://user@db/cf?port=1",
	} {
		if got := operate.StoreName(dsn); got != want {
			t.Errorf("%s is shown as %s, want %s", dsn, got, want)
		}
	}
}
