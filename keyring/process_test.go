package keyring_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/keyring"
)

// The test binary is also the processes that these tests start: with this variable it is one of
// them. Each says "ready", waits for its standard input to end, and does what its name says.
const childEnv = "KEYRING_TEST_CHILD"

func TestMain(m *testing.M) {
	if act := os.Getenv(childEnv); act != "" {
		os.Exit(child(act, os.Args[1]))
	}
	os.Exit(m.Run())
}

func child(act, path string) int {
	fmt.Println("ready")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return 2
	}
	if strings.Contains(act, "nobody") && os.Geteuid() == 0 {
		if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(65534), syscall.Setuid(65534)); err != nil {
			fmt.Println(err)
			return 2
		}
	}
	if strings.Contains(act, "full") { // a disk that has room for 100 bytes
		signal.Ignore(syscall.SIGXFSZ)
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 100, Max: 100}); err != nil {
			fmt.Println(err)
			return 2
		}
	}
	o := keyring.Options{OwnPath: path, Now: t0}
	if strings.Contains(act, "named") {
		o = keyring.Options{Env: env{keyring.EnvKeyFile: path}.lookup}
	}
	r, src, err := keyring.Resolve(o)
	if err == nil && strings.Contains(act, "rotate") {
		_, err = r.Rotate(t0)
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(r.Fingerprint(), r.Primary(), src.Kind)
	return 0
}

type process struct {
	cmd *exec.Cmd
	in  io.Closer
	out *bufio.Reader
}

func start(t testing.TB, act, path string) *process {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, path)
	cmd.Env = []string{childEnv + "=" + act, "GOCOVERDIR=" + os.Getenv("GOCOVERDIR")}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{cmd, in, bufio.NewReader(out)}
	if line, err := p.out.ReadString('\n'); line != "ready\n" {
		t.Fatalf("the process began with %q, %v", line, err)
	}
	return p
}

func (p *process) finish(t testing.TB) (string, error) {
	t.Helper()
	p.in.Close()
	said, err := io.ReadAll(p.out)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(said)), p.cmd.Wait()
}

// shared returns a folder that other users can reach but not write.
func shared(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "keyring")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		os.Chmod(dir, 0o755)
		os.Chmod(filepath.Join(dir, "data"), 0o700)
		os.RemoveAll(dir)
	})
	chmod(t, dir, 0o755)
	return dir
}

// C31, CD9, P11: 20 processes start at once without a key file and end with one key.
func TestManyProcessesMakeOneKey(t *testing.T) {
	for round := range 3 {
		path := filepath.Join(t.TempDir(), "data", "keys")
		var all []*process
		for range 20 {
			all = append(all, start(t, "resolve", path))
		}
		for _, p := range all {
			p.in.Close() // now they all go
		}
		keys, made := map[string]bool{}, 0
		for _, p := range all {
			said, err := p.finish(t)
			if err != nil {
				t.Fatalf("round %d: %v: %s", round, err, said)
			}
			f := strings.Fields(said)
			keys[f[0]] = true
			if f[2] == string(keyring.SourceGenerated) {
				made++
			}
		}
		if len(keys) != 1 || made != 1 {
			t.Errorf("round %d: %d keys, %d processes made one", round, len(keys), made)
		}
		if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
			t.Errorf("round %d: %d files", round, len(left))
		}
	}
}

// CD15: rotations of several processes at once are all kept.
func TestManyProcessesRotate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data", "keys")
	first, _ := resolve(t, keyring.Options{OwnPath: path})
	var all []*process
	for range 8 {
		all = append(all, start(t, "rotate", path))
	}
	for _, p := range all {
		p.in.Close()
	}
	primaries := map[string]bool{}
	for _, p := range all {
		said, err := p.finish(t)
		if err != nil {
			t.Fatal(err, said)
		}
		primaries[strings.Fields(said)[1]] = true
	}
	if err := first.Reload(); err != nil {
		t.Fatal(err)
	}
	if len(first.Usable()) != 9 || len(primaries) != 8 {
		t.Errorf("%d usable keys, %d primaries", len(first.Usable()), len(primaries))
	}
	for _, k := range first.Keys()[1:] {
		if !primaries[k.ID.String()] {
			t.Errorf("nobody made %s", k.ID)
		}
	}
}

// C31, P9: kill -9 in the midst of 200 first starts leaves the file absent or complete, and what is
// left beside it stops nobody and goes with the next change.
func TestKilledWhileMakingTheFile(t *testing.T) {
	dir := folder(t)
	path := filepath.Join(dir, "keys")
	random := rand.New(rand.NewSource(1))
	absent, complete := 0, 0
	for i := range 200 {
		p := start(t, "resolve", path)
		p.in.Close()
		for range random.Intn(400) { // some microseconds of work, spread over the making of the file
			syscall.Getpid()
		}
		if i%2 == 0 {
			time.Sleep(time.Duration(random.Intn(1500)) * time.Microsecond)
		}
		p.cmd.Process.Kill()
		p.cmd.Wait()
		data, err := os.ReadFile(path)
		switch {
		case errors.Is(err, os.ErrNotExist):
			absent++
			continue
		case err != nil:
			t.Fatal(err)
		}
		complete++
		if _, err := keyring.Parse(data); err != nil {
			t.Fatalf("a part of a file was left: %v", err)
		}
		os.Remove(path)
	}
	t.Logf("killed 200 times: %d absent, %d complete", absent, complete)
	write(t, path+".tmp-123", "left by the dead", 0o600)
	r, src := resolve(t, keyring.Options{OwnPath: path})
	if src.Kind != keyring.SourceGenerated || len(r.Usable()) != 1 {
		t.Error(src)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("%d files are left", len(left))
	}
}

// CD10, P12: a full disk refuses the start and leaves nothing; a rotation on one changes nothing.
func TestDiskFull(t *testing.T) {
	path := filepath.Join(folder(t), "keys")
	said, err := start(t, "full", path).finish(t)
	if err == nil || !strings.Contains(said, "file too large") || !strings.Contains(said, "--ephemeral-key") {
		t.Errorf("%v: %s", err, said)
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 0 {
		t.Error("something is left")
	}
	resolve(t, keyring.Options{OwnPath: path})
	before := tree(t, filepath.Dir(path))
	said, err = start(t, "full rotate", path).finish(t)
	if err == nil || !strings.Contains(said, "unchanged") {
		t.Errorf("%v: %s", err, said)
	}
	if tree(t, filepath.Dir(path)) != before {
		t.Error("the failed rotation changed the folder")
	}
}

// C27, CD8, CD10: a folder or file that this user may not use, or that another user owns.
func TestOtherUsers(t *testing.T) {
	line := newKey(t).Line()
	for _, c := range []struct {
		name, act string
		make      func(t *testing.T, dir, path string)
		says      string // empty: it is taken
	}{
		{"folder that cannot be made", "nobody", func(t *testing.T, dir, _ string) { os.Remove(dir); chmod(t, filepath.Dir(dir), 0o555) }, "permission denied"},
		{"read-only folder", "nobody", func(t *testing.T, dir, _ string) { chown(t, dir); chmod(t, dir, 0o500) }, "permission denied"},
		{"file without rights", "nobody", func(t *testing.T, dir, path string) {
			chown(t, dir)
			write(t, path, line, 0o000)
			chown(t, path)
		}, "permission denied"},
		{"named file that cannot be read", "named nobody", func(t *testing.T, dir, path string) {
			chmod(t, dir, 0o755)
			write(t, path, line, 0o200)
			chown(t, path)
		}, "permission denied"},
		{"named file of root", "named nobody", func(t *testing.T, dir, path string) {
			chmod(t, dir, 0o755)
			write(t, path, line, 0o644)
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(shared(t), "data")
			mkdir(t, dir)
			path := filepath.Join(dir, "keys")
			c.make(t, dir, path)
			said, err := start(t, c.act, path).finish(t)
			if c.says == "" {
				if err != nil {
					t.Errorf("%v: %s", err, said)
				}
			} else if err == nil || !strings.Contains(said, c.says) {
				t.Errorf("%v: %q, want %q", err, said, c.says)
			}
		})
	}
}

// CD8: what another user owns. Only root can give files away, so only root can set the stage; run
// by anybody else this test checks the one stage there is, a folder that root owns.
func TestForeignFiles(t *testing.T) {
	if os.Geteuid() != 0 {
		_, _, err := keyring.Resolve(keyring.Options{OwnPath: "/keys"})
		if !errors.Is(err, keyring.ErrUnsafe) {
			t.Error(err)
		}
		return
	}
	line := newKey(t).Line()
	dir := filepath.Join(shared(t), "data")
	mkdir(t, dir)
	path := filepath.Join(dir, "keys")
	if said, err := start(t, "nobody", path).finish(t); err == nil || !strings.Contains(said, "user 0 owns it") {
		t.Errorf("folder: %v: %s", err, said)
	}
	write(t, path, line, 0o600)
	if err := os.Chown(path, 4711, 4711); err != nil {
		t.Fatal(err)
	}
	refuse(t, keyring.Options{OwnPath: path}, dir, keyring.ErrUnsafe, "user 4711 owns it")
	named := keyring.Options{Env: env{keyring.EnvKeyFile: path}.lookup}
	refuse(t, named, dir, keyring.ErrUnsafe, "user 4711 owns it")
	chmod(t, path, 0o444)
	resolve(t, named) // its owner may not write it either
	if err := os.Chown(dir, 4711, 4711); err != nil {
		t.Fatal(err)
	}
	refuse(t, keyring.Options{OwnPath: path}, dir, keyring.ErrUnsafe, "folder")
}

// chown gives a path to the user that the children become.
func chown(t testing.TB, path string) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	if err := os.Chown(path, 65534, 65534); err != nil {
		t.Fatal(err)
	}
}
