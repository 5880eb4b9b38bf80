package blob

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// files is a bucket in a folder. An object is written and synced under a name of its own and then
// linked to its name, which fails if that is taken: two processes never both create it, and a crash
// leaves the whole object or none.
type files struct{ dir string }

const unfinished = ".new-" // begins the names of files that are being written

func openFiles(dir string, now time.Time) (*files, error) {
	for _, d := range []string{".", journalDir, snapshotDir, partDir, probeDir} {
		d = filepath.Join(dir, d)
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, fmt.Errorf("blob: %w", err)
		}
		if err := syncDir(filepath.Dir(d)); err != nil {
			return nil, err
		}
		if err := removeUnfinished(d, now.Add(-keepJournal)); err != nil {
			return nil, err
		}
	}
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("blob: %w", err)
	}
	if info.Mode().Perm()&0o022 != 0 {
		return nil, fmt.Errorf("blob: others may write into %s; set its mode to 0700", dir)
	}
	return &files{dir}, nil
}

// removeUnfinished removes what a crash left behind.
func removeUnfinished(dir string, before time.Time) error {
	list, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("blob: %w", err)
	}
	for _, f := range list {
		if info, err := f.Info(); err == nil && strings.HasPrefix(f.Name(), unfinished) && info.ModTime().Before(before) {
			if err := os.Remove(filepath.Join(dir, f.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("blob: %w", err)
			}
		}
	}
	return nil
}

func (f *files) path(name string) string { return filepath.Join(f.dir, filepath.FromSlash(name)) }

func (f *files) get(ctx context.Context, name string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("blob: %w", err)
	}
	path := f.path(name)
	// What is not in the folder is absent. If the folder is not there, as when its file system is not
	// mounted, nobody knows.
	folder, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("blob: the folder is not there; is its file system mounted? %w", err)
	}
	defer folder.Close()
	file, err := folder.Open(filepath.Base(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errAbsent
	}
	if err != nil {
		return nil, fmt.Errorf("blob: %w", err)
	}
	defer file.Close()
	return readObject(file)
}

// readObject reads a whole object, if it is none too big.
func readObject(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxObject+1))
	if err != nil {
		return nil, fmt.Errorf("blob: %w", err)
	}
	if len(data) > maxObject {
		return nil, fmt.Errorf("%w (bigger than %d MiB)", ErrDamaged, maxObject>>20)
	}
	return data, nil
}

func (f *files) create(ctx context.Context, name string, data []byte) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("blob: %w", err)
	}
	to := f.path(name)
	temporary := filepath.Join(filepath.Dir(to), unfinished+rand.Text())
	if err := writeSynced(temporary, data); err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	err := os.Link(temporary, to)
	removeErr := os.Remove(temporary)
	switch {
	case errors.Is(err, fs.ErrExist):
		return errTaken
	case err != nil:
		return fmt.Errorf("blob: %w; the file system must know hard links", err)
	case removeErr != nil:
		return fmt.Errorf("blob: %w", removeErr)
	}
	return syncDir(filepath.Dir(to))
}

func writeSynced(path string, data []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("blob: %w", err)
	}
	_, err = file.Write(data)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("blob: %w", err)
	}
	return nil
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("blob: %w", err)
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return fmt.Errorf("blob: %w", err)
	}
	return nil
}

// remove does not sync: what comes back after a crash is removed again.
func (f *files) remove(_ context.Context, name string) error {
	if err := os.Remove(f.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("blob: %w", err)
	}
	return nil
}

func (f *files) list(ctx context.Context, prefix, after string, do func(object) error) error {
	entries, err := os.ReadDir(f.path(prefix)) // sorted
	if err != nil {
		return fmt.Errorf("blob: %w", err)
	}
	for _, e := range entries {
		name := prefix + e.Name()
		if name <= after || e.IsDir() || strings.HasPrefix(e.Name(), unfinished) {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed since
		}
		if err = errors.Join(err, ctx.Err()); err != nil {
			return fmt.Errorf("blob: %w", err)
		}
		if err := do(object{name, info.ModTime()}); err != nil {
			return err
		}
	}
	return nil
}

func (f *files) close() {}
