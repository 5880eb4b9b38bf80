// Package cli is the command line: commands, help, output and exit codes.
//
//	code := cli.Run(ctx, cli.Process{Args: []string{"session", "list"}, Env: env, Stdin: in, Stdout: out, Stderr: log})
//
// What a command does to an installation is done by package operate; here is only how it is asked
// for and shown.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/config"
	"github.com/counterfoil/counterfoil/internal/operate"
)

// Process is what a command line runs in.
type Process struct {
	Args   []string // without the program's name
	Env    []string
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
}

// Exit codes.
const (
	exitOK          = 0
	exitFailed      = 1 // or a start was refused
	exitUsage       = 2 // or the configuration
	exitNotFound    = 3
	exitUnreachable = 4 // server or store
	exitBroken      = 5 // the audit
)

// call is one command being run.
type call struct {
	Process
	command *command
	cfg     *config.Config
	args    []string
	options map[string]string // the command's own flags that were given; a switch: "true"
	clock   counterfoil.Clock
}

func (c *call) json() bool { return c.options["json"] != "" }

// exitError ends a command with a code. Each line of it is a reason of its own.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func exit(code int, format string, args ...any) error {
	return &exitError{code, fmt.Errorf(format, args...)}
}

// Run runs one command and returns the exit code. A failure's reason is the first line that the
// command itself writes to Stderr.
func Run(ctx context.Context, p Process) int {
	err := run(ctx, p)
	if err == nil {
		return exitOK
	}
	last := ""
	for line := range strings.Lines(err.Error()) { // drivers indent, and say a thing for each of their tries
		if line = strings.TrimSpace(line); line != last {
			fmt.Fprintf(p.Stderr, "counterfoil: %s\n", printable(line))
		}
		last = line
	}
	return exitCode(err)
}

// exitCode is the one place that turns an error into a code.
func exitCode(err error) int {
	var faults config.Faults
	var coded *exitError
	switch {
	case errors.As(err, &coded):
		return coded.code
	case errors.As(err, &faults):
		return exitUsage
	case errors.Is(err, operate.ErrUsage):
		return exitUsage
	case errors.Is(err, operate.ErrNotFound):
		return exitNotFound
	case errors.Is(err, operate.ErrUnreachable):
		return exitUnreachable
	}
	return exitFailed
}

func run(ctx context.Context, p Process) error {
	parsed, err := parse(p.Args)
	if err != nil {
		return err
	}
	if parsed.help {
		return writeHelp(p.Stdout, parsed, colours(p.Stdout, p.Env))
	}
	cfg, err := config.Load(config.Input{Flags: parsed.settings, Env: p.Env})
	var faults config.Faults
	if errors.As(err, &faults) || len(parsed.faults) > 0 {
		return append(parsed.faults, faults...)
	}
	if err != nil {
		return err
	}
	return parsed.command.run(ctx, &call{
		Process: p, command: parsed.command, cfg: cfg, args: parsed.args, options: parsed.options,
		clock: counterfoil.SystemClock(),
	})
}
