package keyring

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

var (
	// ErrUnsafe says that others could have written a key file, or could read one that is ours.
	ErrUnsafe = errors.New("not safe")
	// ErrBusy says that another process holds the folder of the key file for longer than a change takes.
	ErrBusy = errors.New("keyring: another process is changing the keys: try again, and look for a process that is stopped")
)

const (
	tempMark  = ".tmp-"
	lockTry   = 10 * time.Millisecond
	lockTries = 200
)

func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// readNamed reads a file that somebody else manages: a mounted secret may be a link and readable by
// others, but nobody besides root and us may be able to write it.
func readNamed(path string) ([]byte, error) {
	if path == "" {
		return nil, fmt.Errorf("it is set but empty: %w", ErrNotKey)
	}
	return read(path, 0, func(st *syscall.Stat_t) error {
		if st.Mode&0o022 != 0 {
			return fmt.Errorf("%w: others may write it (mode %04o), run: chmod go-w on it", ErrUnsafe, st.Mode&0o7777)
		}
		if int(st.Uid) != os.Geteuid() && st.Uid != 0 && st.Mode&0o200 != 0 {
			return fmt.Errorf("%w: user %d owns it and may write it, run: chown root or chmod a-w on it", ErrUnsafe, st.Uid)
		}
		return nil
	})
}

// readOwn reads our own file, which nobody else may be able to read or write.
func readOwn(path string) ([]byte, error) {
	if err := checkFolder(filepath.Dir(path)); err != nil {
		return nil, err
	}
	return read(path, syscall.O_NOFOLLOW, func(st *syscall.Stat_t) error {
		if st.Mode&0o7177 != 0 {
			return fmt.Errorf("%w: its mode is %04o, run: chmod 600 on it", ErrUnsafe, st.Mode&0o7777)
		}
		return checkOwner(st)
	})
}

func checkOwner(st *syscall.Stat_t) error {
	if int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("%w: user %d owns it and this program runs as user %d, run: chown on it", ErrUnsafe, st.Uid, os.Geteuid())
	}
	return nil
}

func read(path string, flag int, check func(*syscall.Stat_t) error) ([]byte, error) {
	// Without O_NONBLOCK a named pipe would hold the start for ever.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|flag, 0)
	if errors.Is(err, syscall.ELOOP) {
		return nil, fmt.Errorf("%w: it is a symbolic link, put the file itself there", ErrUnsafe)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("it is no regular file (%s): %w", info.Mode().Type(), ErrNotKey)
	}
	if err := check(info.Sys().(*syscall.Stat_t)); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, fileLimit+1))
	if err != nil {
		return nil, err
	}
	if len(data) > fileLimit {
		return nil, fmt.Errorf("it has more than %d bytes: %w", fileLimit, ErrNotKey)
	}
	return data, nil
}

// checkFolder requires that the folder is ours alone.
func checkFolder(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is no folder: %w", dir, syscall.ENOTDIR)
	}
	st := info.Sys().(*syscall.Stat_t)
	if st.Mode&0o077 != 0 {
		return fmt.Errorf("%w: the mode of its folder is %04o, run: chmod 700 %s", ErrUnsafe, st.Mode&0o7777, dir)
	}
	if err := checkOwner(st); err != nil {
		return fmt.Errorf("folder %s: %w", dir, err)
	}
	return nil
}

// makeFolder makes the file's folder if it is missing, and checks it.
func makeFolder(path string) error {
	dir := filepath.Dir(path)
	if _, err := os.Stat(dir); isMissing(err) {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		err := os.Chmod(dir, 0o700) // #nosec G302 -- a folder: an umask may have taken our own rights to it
		if err != nil {
			return err
		}
	}
	return checkFolder(dir)
}

// lockFolder makes sure that one process at a time changes the file. The kernel frees the lock when
// its holder dies.
func lockFolder(path string) (unlock func(), err error) {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	for range lockTries {
		if err = syscall.Flock(int(dir.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
			return func() { dir.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			dir.Close()
			return nil, fmt.Errorf("locking the folder: %w", err)
		}
		time.Sleep(lockTry)
	}
	dir.Close()
	return nil, ErrBusy
}

// writeOwn writes a temporary file beside path, complete and on the disk, and then gives it its
// name: by os.Link, which never replaces, or os.Rename. At no moment is there a part of a file
// under that name. The folder must be locked.
func writeOwn(path string, data []byte, name func(from, to string) error) error {
	dir, base := filepath.Split(path)
	dir = filepath.Clean(dir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), base+tempMark) { // left by a process that died: we hold the lock
			os.Remove(filepath.Join(dir, e.Name()))
		}
	}
	f, err := os.CreateTemp(dir, base+tempMark+"*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if err := f.Chmod(0o600); err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return name(f.Name(), path)
}

func syncFolder(path string) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
