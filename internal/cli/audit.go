package cli

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/operate"
)

func auditVerify(ctx context.Context, c *call) error {
	var chain operate.Chain
	if err := c.ask(ctx, func(client *operate.Client) error { return client.Get(ctx, "/v1/audit", nil, &chain) }); err != nil {
		return err
	}
	if c.json() {
		if err := writeJSON(c.Stdout, chain); err != nil {
			return err
		}
	}
	if chain.Broken > 0 {
		return exit(exitBroken, "the audit is broken at line %d: %s", chain.Broken, chain.Why)
	}
	if c.json() {
		return nil
	}
	text := fmt.Sprintf("the audit is whole: %d lines", chain.Lines)
	if chain.Lines == 1 {
		text = "the audit is whole: 1 line"
	}
	if chain.Unverifiable > 0 {
		text += fmt.Sprintf(", %d of them under keys that are gone and not verifiable", chain.Unverifiable)
	}
	if chain.Torn > 0 {
		text += fmt.Sprintf(", %d torn by crashes and accounted for", chain.Torn)
	}
	_, err := fmt.Fprintln(c.Stdout, text)
	return err
}

const maxTail = 10000 // lines shown at once

// auditTail reads the file itself, so that it works whatever state the installation is in.
func auditTail(_ context.Context, c *call) error {
	n := 20
	if text := c.options["lines"]; text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil || n < 1 || n > maxTail {
			return exit(exitUsage, "--lines: %q is no whole number from 1 to %d", text, maxTail)
		}
	}
	f, err := os.Open(c.cfg.Path(operate.AuditName))
	if os.IsNotExist(err) {
		return exit(exitNotFound, "there is no audit in %s yet; is that the data folder?", c.cfg.Data)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	lines, err := audit.Tail(f, n)
	if err != nil {
		return err
	}
	if c.json() {
		if lines == nil {
			lines = []audit.Line{}
		}
		return writeJSON(c.Stdout, lines)
	}
	rows := make([][]string, 0, len(lines))
	for _, l := range lines {
		about := l.Label
		if l.Count > 1 {
			about = strings.TrimSpace(about + fmt.Sprintf(" %d times", l.Count))
		}
		rows = append(rows, []string{strconv.FormatUint(l.Number, 10), shown(l.Time), l.Kind, l.Reason, l.Subject, l.Session, l.IP, about})
	}
	return writeTable(c.Stdout, []string{"LINE", "TIME", "WHAT", "WHY", "USER", "SESSION", "ADDRESS", "ABOUT"}, rows)
}
