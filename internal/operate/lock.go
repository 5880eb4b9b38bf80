package operate

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrLocked says that another process owns the installation.
var ErrLocked = errors.New("in use by another process")

// Lock is the ownership of a data folder. The kernel frees it when its holder dies.
type Lock struct{ file *os.File }

// TakeLock takes the ownership of a data folder, without waiting. [ErrLocked].
func TakeLock(dir string) (*Lock, error) {
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the lock of the data folder: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("the lock of the data folder, %s: %w", path, err)
		}
		return nil, fmt.Errorf("data folder %s is %w%s", dir, ErrLocked, holder(f))
	}
	if err := f.Truncate(0); err == nil {
		fmt.Fprintf(f, "%d\n", os.Getpid()) // for people; the lock itself is the kernel's
	}
	return &Lock{f}, nil
}

// holder says who wrote its number into the lock file, if anybody did.
func holder(f *os.File) string {
	text := make([]byte, 16)
	n, _ := f.Read(text)
	if pid := strings.TrimSpace(string(text[:n])); pid != "" && strings.Trim(pid, "0123456789") == "" {
		return ", number " + pid
	}
	return ""
}

// Release gives the ownership up. The file stays: removing it would let two processes lock two files
// of one name.
func (l *Lock) Release() error { return l.file.Close() }
