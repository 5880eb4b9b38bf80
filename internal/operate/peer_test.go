package operate_test

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/counterfoil/counterfoil/internal/operate"
)

// The kernel says who connects: we are let in and, even where the files' modes would let them,
// other users are not. (Only root can try that; others try the first half.)
func TestStrangersAreSentAway(t *testing.T) {
	dir := t.TempDir()
	lock, err := operate.TakeLock(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release()
	l, err := operate.ListenControl(dir, lock)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, operate.SocketName)
	for p, mode := range map[string]os.FileMode{filepath.Dir(dir): 0o755, dir: 0o755, path: 0o777} {
		if err := os.Chmod(p, mode); err != nil {
			t.Fatal(err)
		}
	}
	served := make(chan int)
	go func() {
		n := 0
		for {
			c, err := l.Accept()
			if err != nil {
				served <- n
				return
			}
			n++
			io.WriteString(c, "hello")
			c.Close()
		}
	}()
	want := 0
	try := func(uid int) {
		t.Helper()
		got := make(chan string)
		go func() {
			runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
			if uid != os.Geteuid() {
				if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)); errno != 0 {
					got <- errno.Error()
					return
				}
			}
			c, err := net.DialTimeout("unix", path, 5*time.Minute)
			if err != nil {
				got <- err.Error()
				return
			}
			text, _ := io.ReadAll(c) // a reset is an empty answer
			c.Close()
			got <- string(text)
		}()
		text := <-got
		if expect := map[bool]string{true: "hello"}[uid == os.Geteuid()]; text != expect {
			t.Errorf("user %d hears %q, want %q", uid, text, expect)
		}
		if text == "hello" {
			want++
		}
	}
	try(os.Geteuid())
	if os.Geteuid() == 0 {
		try(65534)
		try(1)
	}
	l.Close()
	if n := <-served; n != want {
		t.Errorf("%d connections were served, want %d", n, want)
	}
}
