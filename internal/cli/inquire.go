package cli

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/counterfoil/counterfoil/internal/operate"
)

// doctor asks the server that runs; else it examines what can be seen, and opens the installation if
// there is one, which is itself a check.
func doctor(ctx context.Context, c *call) error {
	var found []operate.Finding
	err := c.ask(ctx, func(client *operate.Client) error { return client.Get(ctx, "/v1/doctor", nil, &found) })
	if err != nil {
		found = operate.Examine(c.cfg)
		if !errors.Is(err, errNoInstallation) {
			found = append(found, operate.Finding{Check: "installation", Level: operate.LevelFault, Says: err.Error(), Fix: "see the reason given; nothing serves until it is gone"})
		}
	}
	if c.json() {
		err = writeJSON(c.Stdout, found)
	} else {
		err = c.writeFindings(found)
	}
	faults := 0
	for _, f := range found {
		if f.Level == operate.LevelFault {
			faults++
		}
	}
	if err == nil && faults > 0 {
		return exit(exitFailed, "%s in %d findings", several(faults, "fault"), len(found))
	}
	return err
}

func (c *call) writeFindings(found []operate.Finding) error {
	colour := colours(c.Stdout, c.Env)
	codes := map[operate.Level]string{operate.LevelOK: "32", operate.LevelNote: "36", operate.LevelWarn: "33", operate.LevelFault: "31"}
	var b strings.Builder
	for _, f := range found {
		fmt.Fprintf(&b, "%s  %s: %s\n", tint(colour, codes[f.Level], fmt.Sprintf("%-5s", f.Level)), f.Check, printable(f.Says))
		if f.Fix != "" {
			fmt.Fprintf(&b, "       fix: %s\n", printable(f.Fix))
		}
	}
	_, err := fmt.Fprint(c.Stdout, b.String())
	return err
}

// policy shows the limits of the server that runs, else those that one would have.
func policy(ctx context.Context, c *call) error {
	limits := operate.Limits(c.cfg)
	if client := c.running(ctx); client != nil {
		if err := client.Get(ctx, "/v1/policy", nil, &limits); err != nil {
			return err
		}
	}
	if c.json() {
		return writeJSON(c.Stdout, limits)
	}
	rows := make([][]string, 0, len(limits))
	for _, l := range limits {
		rows = append(rows, []string{l.Name, l.Value, l.Source, l.Reason})
	}
	return writeTable(c.Stdout, []string{"LIMIT", "VALUE", "FROM", "REASON"}, rows)
}

// built says what this program is.
type built struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func version(_ context.Context, c *call) error {
	b := built{Version: "unknown", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		b.Version = info.Main.Version
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				b.Revision = s.Value
			}
		}
	}
	if c.json() {
		return writeJSON(c.Stdout, b)
	}
	_, err := fmt.Fprintf(c.Stdout, "counterfoil %s (%s, %s)\n", b.Version, b.Go, b.Platform)
	return err
}
