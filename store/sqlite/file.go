package sqlite

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// prepareFile makes the path absolute and its folder exist, and refuses what others could read or
// replace.
func prepareFile(path string) (string, error) {
	if path == "" || strings.ContainsRune(path, 0) || path == ":memory:" {
		return "", fmt.Errorf("sqlite: %q is no path of a file", path)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("sqlite: %w", err)
	}
	folder := filepath.Dir(path)
	if err := os.Mkdir(folder, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("sqlite: %w; make the folder or give another path", err)
	}
	info, err := os.Stat(folder)
	if err != nil {
		return "", fmt.Errorf("sqlite: %w", err)
	}
	switch {
	case !info.IsDir():
		return "", fmt.Errorf("sqlite: %s is no folder; give another path", folder)
	case info.Mode().Perm()&0o022 != 0:
		return "", fmt.Errorf("%w: the folder %s has mode %#o; use one of its own with mode 0700", ErrUnsafe, folder, info.Mode().Perm())
	case foreignOwner(info):
		return "", fmt.Errorf("%w: the folder %s belongs to user %d, this process runs as %d; give it one of its own", ErrUnsafe, folder, owner(info), os.Geteuid())
	}
	for _, suffix := range []string{"", "-wal", "-shm", ".lock"} {
		if err := checkFile(path + suffix); err != nil {
			return "", err
		}
	}
	return path, nil
}

// checkFile refuses an existing file that is not a plain one of ours alone. It must not open it:
// closing any descriptor of a database file drops the locks that SQLite holds on it.
func checkFile(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	switch st, ok := info.Sys().(*syscall.Stat_t); {
	case !info.Mode().IsRegular():
		return fmt.Errorf("%w: %s is no regular file (%s); remove it or give another path", ErrUnsafe, path, info.Mode().Type())
	case ok && st.Nlink > 1:
		return fmt.Errorf("%w: %s has %d hard links; copy it to a file of its own", ErrUnsafe, path, st.Nlink)
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("%w: %s has mode %#o; chmod 600 it", ErrUnsafe, path, info.Mode().Perm())
	case foreignOwner(info):
		return fmt.Errorf("%w: %s belongs to user %d, this process runs as %d; run as its owner", ErrUnsafe, path, owner(info), os.Geteuid())
	}
	return nil
}

func owner(info fs.FileInfo) int {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid)
	}
	return os.Geteuid()
}

// foreignOwner reports whether another user than this process' or root owns the file. Root may
// work on anybody's: SQLite gives what it makes beside it to the file's owner.
func foreignOwner(info fs.FileInfo) bool {
	uid := owner(info)
	return os.Geteuid() != 0 && uid != 0 && uid != os.Geteuid()
}

// createFile makes the database file if it is missing, so that it never has another mode than 0600;
// SQLite gives the same to the files beside it.
func createFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("sqlite: %w; check owner, mode and mount of the folder", err)
	}
	return f.Close()
}

// takeLock makes this process the owner until the lock is closed or the process dies, however it
// dies. The file stays: removing it would let two owners hold two files of that name.
func takeLock(path string) (io.Closer, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("sqlite: %w; check owner, mode and mount of the folder", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("sqlite: locking %s: %w; put the file on a local disk", path, err)
		}
		holder, _ := io.ReadAll(io.LimitReader(f, 20))
		if _, err := strconv.Atoi(string(holder)); err != nil {
			return nil, fmt.Errorf("%w (%s)", ErrOwned, path)
		}
		return nil, fmt.Errorf("%w (%s: process %s)", ErrOwned, path, holder)
	}
	// Who owns it is for the message above alone: on a full disk it may be missing.
	if f.Truncate(0) == nil {
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())), 0)
	}
	return f, nil
}
