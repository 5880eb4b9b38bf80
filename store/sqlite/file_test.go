package sqlite_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/counterfoil/counterfoil/store/internal/killtest"
	"github.com/counterfoil/counterfoil/store/internal/sample"
	"github.com/counterfoil/counterfoil/store/sqlite"
)

// P65, P96
func TestModes(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	folder := filepath.Join(t.TempDir(), "data")
	path := filepath.Join(folder, "sessions.db")
	s := open(t, path)
	if _, err := s.Create(context.Background(), sample.Session(sample.Subject()), sample.SignIn()); err != nil {
		t.Fatal(err)
	}
	want := map[string]os.FileMode{folder: 0o700, path: 0o600, path + "-wal": 0o600, path + "-shm": 0o600, path + ".lock": 0o600}
	for name, mode := range want {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != mode {
			t.Errorf("%s: mode %#o, want %#o", name, got, mode)
		}
	}
	if os.Geteuid() != 0 {
		return // the modes are the proof; only root can become somebody else
	}
	forEverybody(t, folder)
	for name := range want {
		tool := "cat"
		if name == folder {
			tool = "ls"
		}
		if out, err := as(nobody, tool, "LC_ALL=C", name); err == nil || !strings.Contains(out, "Permission denied") {
			t.Errorf("user %d reads %s: %v, %.80q", nobody, name, err, out)
		}
	}
}

// P66: the names of the files give nothing away. What is in them is looked at by e2e/TestCanaries.
func TestNoNames(t *testing.T) {
	path := temp(t)
	s := open(t, path)
	r := sample.Session(sample.Subject())
	if _, err := s.Create(context.Background(), r, sample.SignIn()); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !strings.HasPrefix(f.Name(), "sessions.db") {
			t.Errorf("a file named %s", f.Name())
		}
		if strings.Contains(f.Name(), r.ID.String()) {
			t.Errorf("the file name %s has a session in it", f.Name())
		}
	}
}

// P96: what others could read or replace is refused, and not changed.
func TestUnsafe(t *testing.T) {
	made := func(t *testing.T) string {
		path := filepath.Join(t.TempDir(), "data", "sessions.db")
		if err := open(t, path).Close(); err != nil {
			t.Fatal(err)
		}
		return path
	}
	chmod := func(t *testing.T, path string, mode os.FileMode) {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	for name, prepare := range map[string]func(t *testing.T) string{
		"readable by others":           func(t *testing.T) string { p := made(t); chmod(t, p, 0o644); return p },
		"readable by the group":        func(t *testing.T) string { p := made(t); chmod(t, p, 0o640); return p },
		"folder writable by others":    func(t *testing.T) string { p := made(t); chmod(t, filepath.Dir(p), 0o777); return p },
		"folder like /tmp":             func(t *testing.T) string { p := made(t); chmod(t, filepath.Dir(p), 0o777|os.ModeSticky); return p },
		"folder writable by the group": func(t *testing.T) string { p := made(t); chmod(t, filepath.Dir(p), 0o770); return p },
		"symlink": func(t *testing.T) string {
			p := made(t)
			link := filepath.Join(filepath.Dir(p), "link.db")
			if err := os.Symlink(p, link); err != nil {
				t.Fatal(err)
			}
			return link
		},
		"dangling symlink": func(t *testing.T) string {
			link := filepath.Join(filepath.Dir(made(t)), "link.db")
			if err := os.Symlink(filepath.Join(t.TempDir(), "elsewhere"), link); err != nil {
				t.Fatal(err)
			}
			return link
		},
		"symlink as lock": func(t *testing.T) string {
			p := made(t)
			if err := errors.Join(os.Remove(p+".lock"), os.Symlink(filepath.Join(t.TempDir(), "elsewhere"), p+".lock")); err != nil {
				t.Fatal(err)
			}
			return p
		},
		"hard link": func(t *testing.T) string {
			p := made(t)
			if err := os.Link(p, filepath.Join(filepath.Dir(p), "second.db")); err != nil {
				t.Fatal(err)
			}
			return p
		},
		"folder in its place": func(t *testing.T) string {
			p := filepath.Join(t.TempDir(), "data.db")
			if err := os.Mkdir(p, 0o700); err != nil {
				t.Fatal(err)
			}
			return p
		},
		"pipe in its place": func(t *testing.T) string {
			p := temp(t)
			if err := syscall.Mkfifo(p, 0o600); err != nil {
				t.Fatal(err)
			}
			return p
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := prepare(t)
			before, _ := os.ReadDir(filepath.Dir(path))
			s, err := sqlite.Open(context.Background(), path, sqlite.Options{})
			if !errors.Is(err, sqlite.ErrUnsafe) {
				t.Errorf("got %v, want ErrUnsafe", err)
			}
			if s != nil {
				_ = s.Close()
			}
			if after, _ := os.ReadDir(filepath.Dir(path)); len(after) != len(before) {
				t.Errorf("the folder went from %d to %d entries", len(before), len(after))
			}
		})
	}
}

func TestBadPath(t *testing.T) {
	file := temp(t)
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"", ":memory:", "a\x00b", filepath.Join(t.TempDir(), "no", "such", "folder.db"), filepath.Join(file, "under.db")} {
		if s, err := sqlite.Open(context.Background(), path, sqlite.Options{}); err == nil {
			_ = s.Close()
			t.Errorf("%q was opened", path)
		}
	}
	for _, name := range []string{"a b.db", "q?mode=memory", "50%25.db", "#x", "ü.db", "-rf"} {
		path := filepath.Join(t.TempDir(), name)
		if err := open(t, path).Close(); err != nil {
			t.Errorf("%q: %v", name, err)
		}
		if _, err := os.Stat(path); err != nil {
			t.Errorf("%q: the file is elsewhere: %v", name, err)
		}
	}
}

func TestOwner(t *testing.T) {
	path, ctx := temp(t), context.Background()
	s := open(t, path)
	_, err := sqlite.Open(ctx, path, sqlite.Options{})
	if !errors.Is(err, sqlite.ErrOwned) || !strings.Contains(err.Error(), "process "+strconv.Itoa(os.Getpid())) {
		t.Errorf("a second opener got %v, want ErrOwned that names this process", err)
	}
	if _, err := s.Create(ctx, sample.Session(sample.Subject()), sample.SignIn()); err != nil {
		t.Errorf("the owner was hurt: %v", err)
	}
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), killtest.Env(path))
	if out, err := child.CombinedOutput(); err == nil || !strings.Contains(string(out), sqlite.ErrOwned.Error()) {
		t.Errorf("another process got %v, %s", err, out)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path + "-wal"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Close left a connection open: %v", err)
	}
	if err := open(t, path).Close(); err != nil {
		t.Errorf("after Close: %v", err)
	}
}

// A folder that cannot be written is a start refused with a reason. Root may write everywhere, so
// the child runs as somebody else.
func TestReadOnlyFolder(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "data")
	path := filepath.Join(folder, "sessions.db")
	if err := open(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		for _, mode := range []struct {
			name string
			mode os.FileMode
		}{{path, 0o400}, {path + ".lock", 0o400}, {folder, 0o500}} {
			if err := os.Chmod(mode.name, mode.mode); err != nil {
				t.Fatal(err)
			}
		}
		defer os.Chmod(folder, 0o700)
		if _, err := sqlite.Open(context.Background(), path, sqlite.Options{}); !errors.Is(err, os.ErrPermission) {
			t.Errorf("got %v, want a permission error", err)
		}
		return
	}
	program := forEverybody(t, folder)
	for _, name := range []string{path, path + ".lock", folder} {
		if err := os.Chown(name, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Chmod(path, 0o400), os.Chmod(path+".lock", 0o400), os.Chmod(folder, 0o500)); err != nil {
		t.Fatal(err)
	}
	if out, err := as(nobody, program, killtest.Env(path)); err == nil || !strings.Contains(out, "check owner, mode and mount") {
		t.Errorf("got %v, %s", err, out)
	}
}

// P96: a store that belongs to somebody else is refused. Only root can set that up; for others the
// modes of TestModes are the proof.
func TestForeignOwner(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "data")
	path := filepath.Join(folder, "sessions.db")
	if err := open(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		return
	}
	program := forEverybody(t, folder)
	if err := errors.Join(os.Chmod(folder, 0o755), os.Chown(folder, nobody-1, nobody-1)); err != nil {
		t.Fatal(err)
	}
	if out, err := as(nobody, program, killtest.Env(path)); err == nil || !strings.Contains(out, "others could read or replace the file: the folder") {
		t.Errorf("a folder of another user: %v, %s", err, out)
	}
	if err := errors.Join(os.Chown(folder, nobody, nobody), os.Chown(path, nobody-1, nobody-1)); err != nil {
		t.Fatal(err)
	}
	if out, err := as(nobody, program, killtest.Env(path)); err == nil || !strings.Contains(out, "run as its owner") {
		t.Errorf("a file of another user: %v, %s", err, out)
	}
}

// nobody is a user that owns nothing.
const nobody = 65534

// forEverybody opens the way to a folder of the test and puts this program beside it.
func forEverybody(t *testing.T, folder string) (program string) {
	t.Helper()
	for _, dir := range []string{filepath.Dir(folder), filepath.Dir(filepath.Dir(folder))} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	binary, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	program = filepath.Join(filepath.Dir(folder), "child")
	if err := os.WriteFile(program, binary, 0o755); err != nil {
		t.Fatal(err)
	}
	return program
}

// as runs a program as another user.
func as(uid uint32, program, env string, args ...string) (string, error) {
	cmd := exec.Command(program, args...)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), env)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	out, err := cmd.CombinedOutput()
	return string(out), err
}
