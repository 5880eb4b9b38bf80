package cli

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/counterfoil/counterfoil/internal/config"
	"github.com/counterfoil/counterfoil/internal/operate"
)

func storeCopy(ctx context.Context, c *call) error {
	from, err := c.dsn("from")
	if err != nil {
		return err
	}
	if c.options["undo"] != "" {
		if c.options["to"] != "" {
			return exit(exitUsage, "--undo is about --from alone; leave --to out")
		}
		if err := operate.UndoCopy(ctx, c.place(), from); err != nil {
			return err
		}
		_, err := fmt.Fprintf(c.Stdout, "%s may be used again; nothing may run on the copy\n", operate.StoreName(from))
		return err
	}
	to, err := c.dsn("to")
	if err != nil {
		return err
	}
	progress, over := c.progress()
	done, err := operate.CopyStore(ctx, c.place(), from, to, progress)
	over()
	if err != nil {
		return err
	}
	if c.json() {
		return writeJSON(c.Stdout, map[string]int{"sessions": done.Sessions, "accounts": done.Accounts, "ended": done.Ended, "orphans": done.Orphans})
	}
	text := "copied " + several(done.Sessions, "session") + " and " + several(done.Accounts, "account")
	if done.Ended > 0 {
		text += fmt.Sprintf("; %d had ended meanwhile and are gone", done.Ended)
	}
	_, err = fmt.Fprintf(c.Stdout, "%s\nnobody is signed out; from now on: --store %s\nnothing starts on %s any more\n", text, operate.StoreName(to), operate.StoreName(from))
	return err
}

// dsn reads an option that names a store: a DSN, or @ and the path of a file that holds one, which
// keeps a password out of the list of processes.
func (c *call) dsn(name string) (string, error) {
	text := c.options[name]
	if path, ok := strings.CutPrefix(text, "@"); ok {
		raw, err := os.ReadFile(path)
		if err != nil {
			return "", exit(exitUsage, "--%s: %w", name, err)
		}
		text = strings.TrimSpace(string(raw))
	}
	if text == "" {
		return "", exit(exitUsage, "--%s is missing: the DSN of a store, as --store takes it, or @FILE that holds one", name)
	}
	if err := config.CheckStore(text); err != nil {
		return "", exit(exitUsage, "--%s: %w", name, err)
	}
	return text, nil
}
