package audit

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// openFile opens the file for appending, or makes it. Only its owner may read or write it, and only
// the folder's owner may put another in its place.
func openFile(path string) (f *os.File, size int64, err error) {
	dir := filepath.Dir(path)
	di, err := os.Stat(dir)
	switch {
	case err != nil:
		return nil, 0, fmt.Errorf("audit: make the folder of the audit file, mode 0700: %w", err)
	case !di.IsDir():
		return nil, 0, fmt.Errorf("audit: %s is not a folder; name another path for the audit file", dir)
	case di.Mode().Perm()&0o022 != 0 && di.Mode()&fs.ModeSticky == 0:
		return nil, 0, fmt.Errorf("audit: others may write to the folder %s (mode %04o); chmod 0700 it", dir, di.Mode().Perm())
	}
	before, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return createFile(path, dir)
	case err != nil:
		return nil, 0, fmt.Errorf("audit: %w", err)
	case !before.Mode().IsRegular():
		return nil, 0, fmt.Errorf("audit: %s is not a regular file; move it away or name another path", path)
	case before.Mode().Perm()&0o077 != 0:
		return nil, 0, fmt.Errorf("audit: others may read or write %s (mode %04o); chmod 0600 it", path, before.Mode().Perm())
	}
	f, err = os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		return nil, 0, fmt.Errorf("audit: %w", err)
	}
	after, err := f.Stat()
	if err == nil && !os.SameFile(before, after) {
		err = fmt.Errorf("%s was exchanged while it was opened", path)
	}
	if err != nil {
		return nil, 0, errors.Join(fmt.Errorf("audit: %w", err), f.Close())
	}
	return f, after.Size(), nil
}

func createFile(path, dir string) (*os.File, int64, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, 0, fmt.Errorf("audit: the file cannot be made: %w", err)
	}
	if err := syncDir(dir); err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, 0, nil
}

// syncDir makes a new file's name durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("audit: the folder %s cannot be synced: %w", dir, err)
	}
	return nil
}

// lineEndingAt reads the line whose line break is the last byte before offset.
func lineEndingAt(r io.ReaderAt, offset int64) ([]byte, error) {
	buf := make([]byte, min(offset, MaxLine+1))
	if n, err := r.ReadAt(buf, offset-int64(len(buf))); n < len(buf) {
		return nil, fmt.Errorf("audit: the file cannot be read: %w", err)
	}
	if len(buf) == 0 || buf[len(buf)-1] != '\n' {
		return nil, errForm
	}
	buf = buf[:len(buf)-1]
	for i := len(buf) - 1; i >= 0; i-- {
		if buf[i] == '\n' {
			return buf[i+1:], nil
		}
	}
	return buf, nil
}
