package operate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/transfer"
)

// Backup writes a backup of the store to w, while it is used.
func (o *Operations) Backup(ctx context.Context, w io.Writer, progress transfer.Progress) (transfer.Foot, error) {
	return transfer.Backup(ctx, transfer.BackupJob{
		Store: o.Side, To: w, Key: o.Keys.AuditKey(), KeyCheck: keyCheck(o.Keys), Clock: o.Clock, Progress: progress,
	})
}

// backup answers with a backup. If it breaks off, so does the connection: the answer is no whole one.
func (o *Operations) backup(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/octet-stream")
	if _, err := o.Backup(r.Context(), w, nil); err != nil {
		o.Logger.Error("a backup was broken off", "error", err)
		panic(http.ErrAbortHandler)
	}
}

// Backup brings a backup of the installation to w.
func (c *Client) Backup(ctx context.Context, w io.Writer, progress transfer.Progress) error {
	if c.local != nil {
		_, err := c.local.Backup(ctx, w, progress)
		return err
	}
	answer, err := c.ask(ctx, http.MethodGet, "/v1/backup", nil)
	if err != nil {
		return err
	}
	defer answer.Close()
	if _, err := io.Copy(w, counting{answer, progress, new(int)}); err != nil {
		return fmt.Errorf("the server broke the backup off, its log says why: %w", err)
	}
	return nil
}

// counting tells how much was read.
type counting struct {
	io.Reader
	progress transfer.Progress
	bytes    *int
}

func (c counting) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if *c.bytes += n; c.progress != nil {
		c.progress("KiB", *c.bytes>>10)
	}
	return n, err
}

// WriteBackup makes the file path of what get writes, with mode 0600: as a whole or not at all, and
// never one that cannot be read back. Until then it stands beside, with ".part" behind its name.
func WriteBackup(path string, get func(io.Writer) error) (h transfer.Head, f transfer.Foot, err error) {
	part := path + ".part"
	file, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return h, f, err
	}
	defer file.Close()
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return h, f, failed("another backup is being written to %s", part)
	}
	err = errors.Join(file.Chmod(0o600), file.Truncate(0))
	if err == nil {
		err = get(file)
	}
	if err == nil {
		err = file.Sync()
	}
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err == nil {
		h, f, _, err = transfer.Inspect(file, nil)
	}
	if err == nil {
		err = os.Rename(part, path)
	}
	if err != nil {
		return h, f, errors.Join(err, os.Remove(part))
	}
	return h, f, syncFolder(filepath.Dir(path))
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// RestoreOptions say how a backup is brought back.
type RestoreOptions struct {
	File     string
	Audit    string // "": the data folder's
	EndAll   bool   // ask no audit: every session ends
	Replace  bool   // end what lives in the store now
	Foreign  bool   // believe a backup that our key does not vouch for
	Progress transfer.Progress
}

// Restore brings a backup into the installation's store. The caller holds its lock.
func Restore(ctx context.Context, p Place, r RestoreOptions) (done transfer.Restored, err error) {
	file, err := os.Open(r.File)
	if err != nil {
		return done, notFound("%v", err)
	}
	defer file.Close()
	keys, _, err := resolveKeys(p)
	if err != nil {
		return done, err
	}
	side, err := OpenStore(ctx, p, p.Config.Store)
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, side.Sessions.Close()) }()
	job := transfer.RestoreJob{
		From: file, To: side, Key: keys.AuditKey(), KeyCheck: keyCheck(keys), Replace: r.Replace, Foreign: r.Foreign,
		Clock: p.Clock, Progress: r.Progress, Carried: map[string][]byte{metaKeyCheck: keyCheck(keys)}, Silence: silence(p.Config),
	}
	if known, err := side.Sessions.Meta(ctx, metaKeyCheck); err != nil {
		return done, err
	} else if known != nil && side.Sessions.Capabilities().Shared && string(known) != string(job.KeyCheck) {
		return done, ErrOtherKey
	}
	if !r.EndAll {
		path := r.Audit
		if path == "" {
			path = p.Config.Path(AuditName)
			name, err := NodeName(p.Config)
			if err != nil {
				return done, err
			}
			if job.Tail, err = side.Sessions.Meta(ctx, audit.TailKeyOf(name)); err != nil {
				return done, err
			}
		}
		told, err := os.Open(path)
		switch {
		case err == nil:
			defer told.Close()
			job.Audit = told
		case r.Audit != "" || !errors.Is(err, fs.ErrNotExist):
			return done, notFound("the audit: %v", err)
		}
	}
	return transfer.Restore(ctx, job)
}
