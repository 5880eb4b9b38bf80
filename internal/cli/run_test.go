package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/internal/cli"
)

const passphrase = "quiet lantern over the harbour 7"

// line is one command line in this process.
type line struct {
	dir string
	env []string
	in  string
}

// run runs a command on the folder and returns its code and both outputs.
func (l line) run(args ...string) (code int, out, errs string) {
	var o, e bytes.Buffer
	if l.dir != "" {
		args = append(args, "--data", l.dir)
	}
	code = cli.Run(context.Background(), cli.Process{Args: args, Env: l.env, Stdin: strings.NewReader(l.in), Stdout: &o, Stderr: &e})
	return code, o.String(), e.String()
}

func (l line) want(t *testing.T, code int, text string, args ...string) string {
	t.Helper()
	got, out, errs := l.run(args...)
	if got != code || !strings.Contains(out+errs, text) {
		t.Fatalf("%q: exit code %d, want %d and %q\nout: %s\nerr: %s", args, got, code, text, out, errs)
	}
	return out
}

// Every command does its work on a folder that nobody serves, with exit codes as documented.
func TestCommands(t *testing.T) {
	l := line{dir: filepath.Join(t.TempDir(), "data")}
	with := l
	with.in = passphrase + "\n"
	l.want(t, 3, "no installation in", "user", "list")
	l.want(t, 1, "no such file", "doctor", "--dev")
	with.want(t, 0, "user alice is made", "user", "add", "alice", "--password-stdin")
	for _, c := range []struct {
		code int
		want string
		args []string
	}{
		{0, "alice", []string{"user", "list"}},
		{0, "new password", []string{"user", "passwd", "alice", "--password-stdin"}},
		{0, `"disabled": true`, []string{"user", "disable", "alice", "--json"}},
		{0, "enabled", []string{"user", "enable", "alice"}},
		{3, "no user bob", []string{"user", "enable", "bob"}},
		{0, "USER", []string{"session", "list"}},
		{0, "[]", []string{"session", "list", "--user", "alice", "--json"}},
		{0, "0 sessions ended", []string{"session", "end", "--user", "alice"}},
		{0, `"ended": 0`, []string{"session", "end", "--all", "--json"}},
		{0, "clock is reset", []string{"session", "end", "--all", "--reset-clock"}},
		{3, "no session", []string{"session", "end", "abc"}},
		{0, "primary", []string{"key", "list"}},
		{0, "is primary now", []string{"key", "rotate"}},
		{0, `"state": "enabled"`, []string{"key", "list", "--json"}},
		{3, "no key 01234567", []string{"key", "revoke", "01234567"}},
		{0, "the audit is whole", []string{"audit", "verify"}},
		{0, `"broken": 0`, []string{"audit", "verify", "--json"}},
		{0, "rotated", []string{"audit", "tail"}},
		{0, `"kind": "keys"`, []string{"audit", "tail", "--lines", "1", "--json"}},
		{2, "no whole number", []string{"audit", "tail", "--lines", "0"}},
		{0, "ok     keys", []string{"doctor", "--dev"}},
		{1, "would be plain http", []string{"doctor", "--json"}},
		{0, "OWASP", []string{"policy"}},
		{0, "counterfoil", []string{"version"}},
		{2, "would be plain http", []string{"serve"}},
		{2, "no such flag", []string{"user", "list", "--colour"}},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) { with.want(t, c.code, c.want, c.args...) })
	}
	var keys struct{ Keys []struct{ ID string } }
	if err := json.Unmarshal([]byte(l.want(t, 0, "", "key", "list", "--json")), &keys); err != nil || len(keys.Keys) != 2 {
		t.Fatalf("%+v, %v", keys, err)
	}
	l.want(t, 1, "revoking key "+keys.Keys[0].ID+" ends 0 sessions", "key", "revoke", keys.Keys[0].ID)
	l.want(t, 0, "is revoked; 0 sessions ended", "key", "revoke", keys.Keys[0].ID, "--yes")
	if err := os.Truncate(filepath.Join(l.dir, "audit.jsonl"), 40); err != nil {
		t.Fatal(err)
	}
	l.want(t, 5, "the audit is broken at line", "audit", "verify")
	if err := os.Remove(filepath.Join(l.dir, "audit.jsonl")); err != nil {
		t.Fatal(err)
	}
	l.want(t, 3, "no audit", "audit", "tail")
	l.want(t, 5, "the file is gone", "audit", "verify")
}

// A password is all of standard input, less one trailing newline.
func TestPasswords(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		code int
		want string
	}{
		"newline cut":         {passphrase + "\n", 0, "is made"},
		"line of Windows cut": {passphrase + "\r\n", 0, "is made"},
		"no newline":          {passphrase, 0, "is made"},
		"empty":               {"", 1, "the password is empty"},
		"newline alone":       {"\n", 1, "the password is empty"},
		"second line kept":    {passphrase + "\n\n", 1, "control characters"},
		"too long":            {strings.Repeat("long pass ", 500), 1, "over 4096 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			l := line{dir: filepath.Join(t.TempDir(), "data"), in: c.in}
			l.want(t, c.code, c.want, "user", "add", "alice", "--password-stdin")
		})
	}
}

// What somebody else chose does not steer the operator's terminal.
func TestNothingSteersTheTerminal(t *testing.T) {
	_, out, errs := line{dir: filepath.Join(t.TempDir(), "\x1b]0;owned\a")}.run("user", "list")
	if strings.ContainsAny(out+errs, "\x1b\a") {
		t.Errorf("%q %q", out, errs)
	}
}

// Serving ends with its context, and a configuration that cannot be read is exit code 2.
func TestServe(t *testing.T) {
	l := line{dir: filepath.Join(t.TempDir(), "data"), env: []string{"COUNTERFOIL_LOG_FORMAT=text"}}
	ctx, cancel := context.WithCancel(context.Background())
	out, in := io.Pipe()
	ended := make(chan int, 1)
	var log bytes.Buffer
	go func() {
		ended <- cli.Run(ctx, cli.Process{Args: []string{"serve", "--dev", "--listen", "127.0.0.1:0", "--data", l.dir}, Env: l.env, Stdin: strings.NewReader(""), Stdout: in, Stderr: &log})
		in.Close()
	}()
	first := make([]byte, 11)
	if _, err := io.ReadFull(out, first); err != nil || string(first) != "listening: " {
		t.Fatalf("%q, %v: %s", first, err, log.String())
	}
	go io.Copy(io.Discard, out)
	l.want(t, 0, "NAME", "user", "list")
	l.want(t, 0, "ok     store", "doctor")
	l.want(t, 0, "30m", "policy")
	l.want(t, 1, "stop it before the clock is reset", "session", "end", "--all", "--reset-clock")
	cancel()
	if code := <-ended; code != 0 || !strings.Contains(log.String(), "level=INFO msg=limits") {
		t.Errorf("exit code %d: %s", code, log.String())
	}
}
