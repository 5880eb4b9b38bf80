// Package programtest runs the built program in tests, as a user does: command lines, signals, files,
// and HTTP with the bytes of a saved cookie. It imports nothing of the program.
//
//	var program programtest.Program // built once
//
//	func TestMain(m *testing.M) { os.Exit(program.Main(m)) }
//
//	func TestReady(t *testing.T) {
//		dir := programtest.Folder(t)
//		s := program.Command("serve", "--dev", "--listen", "127.0.0.1:0", "--data", dir).Serve(t)
//		s.Stop()
//	}
package programtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/logtest"
)

// Patience is how long a test waits for what must happen. Only what hangs takes so long: a machine may be
// slow, and its disk busy with other things.
const Patience = 5 * time.Minute

// Patient is what servers and commands are told that are to succeed however slow the store is, which may
// be on the same busy machine; Serve and AddUser do so. The command's own variables and flags have the last word.
const Patient = "COUNTERFOIL_STORE_WAIT=5m"

// Passphrase is what people sign in with here; AddUser gives it to them.
const Passphrase = "quiet lantern over the harbour 7"

const module = "github.com/counterfoil/counterfoil"

// Program is the path of a built program. Main sets it; the zero value runs nothing.
type Program string

// Main builds the program, runs the package's tests and returns the exit code for TestMain. The program
// is removed afterwards.
func (p *Program) Main(m *testing.M) int {
	dir, err := os.MkdirTemp("", "counterfoil-program")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	*p = Program(filepath.Join(dir, "counterfoil"))
	if err := p.build(); err != nil {
		fmt.Fprintln(os.Stderr, "the program does not build:", err)
		return 1
	}
	return m.Run()
}

// build works from every module of this repository: it builds in the program's own.
func (p *Program) build() error {
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return err
	}
	build := exec.Command("go", "build", "-o", string(*p), "./cmd/counterfoil")
	build.Dir = strings.TrimSpace(string(root))
	build.Stderr = os.Stderr
	return build.Run()
}

// Folder returns the place of a data folder that is not there yet.
func Folder(t testing.TB) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "data")
}

// AddUser makes an account whose password is Passphrase, whether a server has the folder or not.
func (p Program) AddUser(t testing.TB, dir, name string) {
	t.Helper()
	p.Command("user", "add", name, "--password-stdin", "--data", dir).With(Patient).Typing(Passphrase + "\n").Must(t)
}

// Command is one command line with its surroundings.
type Command struct {
	Args  []string
	Env   []string     // NAME=value, beside a PATH, and a HOME where nothing is
	Stdin string       // what is typed into it
	Log   *logtest.Log // gets what a server writes to standard error; nil: a log of its own

	program Program
}

// Command is the command line with these arguments.
func (p Program) Command(args ...string) Command { return Command{Args: args, program: p} }

// With is the command with these variables, too.
func (c Command) With(env ...string) Command { c.Env = slices.Concat(c.Env, env); return c }

// Typing is the command with that on its standard input.
func (c Command) Typing(text string) Command { c.Stdin = text; return c }

// Cmd is the command as package os/exec has it, for what neither Run nor Serve does.
func (c Command) Cmd(ctx context.Context) *exec.Cmd {
	cmd := exec.CommandContext(ctx, string(c.program), c.Args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent"}, c.Env...)
	cmd.Stdin = strings.NewReader(c.Stdin)
	return cmd
}

// Outcome is what became of a command.
type Outcome struct {
	Code     int // exit code; -1: a signal ended it
	Out, Err string
}

// String is all that it wrote.
func (o Outcome) String() string { return o.Out + o.Err }

// Run runs the command to its end, which has to come within Patience.
func (c Command) Run(t testing.TB) Outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	cmd := c.Cmd(ctx)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) || ctx.Err() != nil {
		t.Fatalf("counterfoil %s: %v\n%s%s", strings.Join(c.Args, " "), err, &out, &errs)
	}
	return Outcome{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// Want is Run for what has to end with that exit code and say that text, on either output. A command
// that fails says why at the beginning of standard error.
func (c Command) Want(t testing.TB, code int, text string) Outcome {
	t.Helper()
	o := c.Run(t)
	if o.Code != code || !strings.Contains(o.String(), text) {
		t.Fatalf("counterfoil %s: exit code %d, want %d and %q\nout: %s\nerr: %s", strings.Join(c.Args, " "), o.Code, code, text, o.Out, o.Err)
	}
	if code != 0 && !strings.HasPrefix(o.Err, "counterfoil: ") {
		t.Fatalf("counterfoil %s: standard error does not begin with the reason: %s", strings.Join(c.Args, " "), o.Err)
	}
	return o
}

// Must is Run for what has to end well; it returns what stands on standard output.
func (c Command) Must(t testing.TB) string {
	t.Helper()
	return c.Want(t, 0, "").Out
}
