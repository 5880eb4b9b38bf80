package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/counterfoil/counterfoil/internal/operate"
	"github.com/counterfoil/counterfoil/internal/transfer"
)

func storeBackup(ctx context.Context, c *call) error {
	path := c.args[0]
	progress, over := c.progress()
	var foot transfer.Foot
	err := c.ask(ctx, func(client *operate.Client) (err error) {
		_, foot, err = operate.WriteBackup(path, func(w io.Writer) error { return client.Backup(ctx, w, progress) })
		return err
	})
	over()
	if err != nil {
		return err
	}
	if c.json() {
		return writeJSON(c.Stdout, foot)
	}
	_, err = fmt.Fprintf(c.Stdout, "%s and %s are in %s\nto bring sessions back it takes the same key, and the audit from now on\n", several(foot.Records, "session"), several(foot.Accounts, "account"), printable(path))
	return err
}

func storeRestore(ctx context.Context, c *call) error {
	if c.options["audit"] != "" && c.options["end-all"] != "" {
		return exit(exitUsage, "--end-all asks no audit; leave one of the two out")
	}
	if strings.HasPrefix(c.cfg.Store, "memory:") {
		return exit(exitUsage, "the store memory: is gone with its server; nothing can be restored into it")
	}
	if err := operate.PrepareFolder(c.cfg.Data); err != nil {
		return err
	}
	lock, client, err := c.reach(ctx)
	if err != nil {
		return err
	}
	if client != nil {
		return exit(exitFailed, "a server runs on %s: stop it before a backup is restored", c.cfg.Data)
	}
	defer lock.Release()
	progress, over := c.progress()
	done, err := operate.Restore(ctx, c.place(), operate.RestoreOptions{
		File: c.args[0], Audit: c.options["audit"], EndAll: c.options["end-all"] != "", Replace: c.options["yes"] != "",
		Foreign: c.options["foreign"] != "", Progress: progress,
	})
	over()
	switch {
	case errors.Is(err, transfer.ErrAuditBroken):
		return exit(exitBroken, "%w; with --end-all no audit is asked, and every session ends", err)
	case errors.Is(err, transfer.ErrNotEmpty) && c.options["yes"] == "":
		return exit(exitFailed, "%w; nothing was done. To do it: counterfoil store restore FILE --yes", err)
	case err != nil:
		return err
	}
	if c.json() {
		return writeJSON(c.Stdout, done)
	}
	return c.writeRestored(done)
}

func (c *call) writeRestored(done transfer.Restored) error {
	var b strings.Builder
	fmt.Fprintf(&b, "restored what was backed up at %s: %s and %s\n", shown(done.Made), several(done.Sessions, "session"), several(done.Accounts, "account"))
	if done.Kept > 0 {
		fmt.Fprintf(&b, "%s already there, left as before\n", several(done.Kept, "account"))
	}
	switch {
	case done.Why != "":
		fmt.Fprintf(&b, "no session came back (%s): %d ended. Passwords are those of the backup; change those that were changed since, and disable again who was disabled\n", done.Why, done.Ended)
	default:
		fmt.Fprintf(&b, "%d had ended since and did not come back; the audit tells of ends until %s\n", done.Ended, shown(done.Until))
	}
	if len(done.Locked) > 0 {
		fmt.Fprintf(&b, "their passwords were changed since and are lost; give them new ones with `counterfoil user passwd`: %s\n", printable(strings.Join(done.Locked, ", ")))
	}
	if len(done.Disabled) > 0 {
		fmt.Fprintf(&b, "disabled since, and now again: %s\n", printable(strings.Join(done.Disabled, ", ")))
	}
	_, err := io.WriteString(c.Stdout, b.String())
	return err
}
