package main_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/internal/programtest"
)

// systemctl stands in for the service manager in the sequences of docs/operations.md.
const systemctl = `#!/bin/bash
set -e
[ "$2" = counterfoil ]
case $1 in
stop)
	pid=$(cat "$RUN/pid")
	rm "$RUN/pid"
	kill "$pid"
	until flock -n "$COUNTERFOIL_DATA/lock" true; do sleep 0.02; done ;;
start)
	: >"$RUN/out"
	setsid "$PROGRAM" serve --dev --listen 127.0.0.1:0 >"$RUN/out" 2>>"$RUN/log" </dev/null &
	echo $! >"$RUN/pid"
	while kill -0 $!; do
		grep -q '^listening: ' "$RUN/out" && exit 0
		sleep 0.02
	done
	exit 1 ;;
esac
`

var marked = regexp.MustCompile("(?s)<!-- run: ([a-z-]+) -->\n```sh\n(.*?)```")

// sequences returns the command sequences of the page by name.
func sequences(t *testing.T) map[string]string {
	t.Helper()
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, m := range marked.FindAllStringSubmatch(string(page), -1) {
		all[m[1]] = m[2]
	}
	return all
}

// operator is somebody who types what the page says, on a machine with one installation.
type operator struct {
	t    *testing.T
	home string
	data string
	env  []string
	page map[string]string
}

// newOperator has a running server with the account alice.
func newOperator(t *testing.T) *operator {
	t.Helper()
	home := t.TempDir()
	o := &operator{t: t, home: home, data: filepath.Join(home, "data"), page: sequences(t)}
	o.env = []string{
		"PATH=" + home + ":" + filepath.Dir(string(program)) + ":" + os.Getenv("PATH"), "HOME=" + home,
		"COUNTERFOIL_DATA=" + o.data, "BACKUP=" + filepath.Join(home, "backup"), "NAME=alice",
		"RUN=" + home, "PROGRAM=" + string(program), programtest.Patient,
	}
	for name, text := range map[string]string{"systemctl": systemctl, "new-password.txt": passphrase + " two\n"} {
		if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	addUser(t, o.data, "alice")
	t.Cleanup(func() {
		if _, err := os.Stat(filepath.Join(home, "pid")); err == nil {
			o.bash("systemctl stop counterfoil")
		}
	})
	o.bash("systemctl start counterfoil")
	return o
}

func (o *operator) bash(script string) string {
	o.t.Helper()
	cmd := exec.Command("bash", "-e", "-o", "pipefail", "-c", script)
	cmd.Dir, cmd.Env = o.home, o.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(o.home, "log"))
		o.t.Fatalf("%v in:\n%s\n%s\n%s", err, script, out, log)
	}
	return string(out)
}

// follow runs the page's sequence of that name; its output must hold each of the texts.
func (o *operator) follow(name string, texts ...string) {
	o.t.Helper()
	script, ok := o.page[name]
	if !ok {
		o.t.Fatalf("docs/operations.md has no sequence %q", name)
	}
	out := o.bash(script)
	for _, text := range texts {
		if !strings.Contains(out, text) {
			o.t.Errorf("%s does not print %q:\n%s", name, text, out)
		}
	}
}

// server is what runs now.
func (o *operator) server() *programtest.Site {
	o.t.Helper()
	out, err := os.ReadFile(filepath.Join(o.home, "out"))
	if err != nil {
		o.t.Fatal(err)
	}
	_, url, _ := strings.Cut(string(out), "listening: ")
	url, _, _ = strings.Cut(url, "\n")
	return programtest.At(o.t, url)
}

func (o *operator) signIn() string {
	o.t.Helper()
	cookie, _ := o.server().SignIn("alice", passphrase)
	return cookie
}

func (o *operator) expect(when, cookie string, want int) {
	o.t.Helper()
	if got := o.server().Check(cookie); got != want {
		o.t.Errorf("%s: %d, want %d", when, got, want)
	}
}

// What an operator is told to type does what the page says. P106
func TestOperationsPage(t *testing.T) {
	t.Parallel()
	steps := map[string]func(*testing.T, *operator){
		"backup": func(t *testing.T, o *operator) {
			cookie := o.signIn()
			o.follow("backup")
			o.expect("after the backup", cookie, http.StatusOK)
			for _, name := range []string{"store", "audit.jsonl", "keys/keys"} {
				if _, err := os.Stat(filepath.Join(o.home, "backup", name)); err != nil {
					t.Error(err)
				}
			}
		},
		"restore": func(t *testing.T, o *operator) {
			ended, kept := o.signIn(), o.signIn()
			o.follow("backup", "2 sessions and 1 account")
			signOut(t, o.server(), ended)
			for range 2 { // the second time the audit tells of two stores
				o.follow("restore", "1 session and 1 account", "1 had ended since", "the audit is whole")
				o.expect("what ended after the backup", ended, http.StatusUnauthorized)
				o.expect("what had not ended", kept, http.StatusOK)
				o.expect("a new sign-in", o.signIn(), http.StatusOK)
			}
		},
		"move": func(t *testing.T, o *operator) {
			ended, kept := o.signIn(), o.signIn()
			signOut(t, o.server(), ended)
			_, dsn := postgresServer(t)
			o.env = append(o.env, "NEW_STORE="+dsn)
			o.follow("move", "copied 1 session and 1 account", "alice")
			o.expect("what was ended", ended, http.StatusUnauthorized)
			o.expect("what was not", kept, http.StatusOK)
		},
		"key-leaked": func(t *testing.T, o *operator) {
			cookie := o.signIn()
			o.env = append(o.env, "KEY="+strings.Fields(o.bash("counterfoil key list"))[4])
			o.follow("key-leaked", "ends 1 session", "1 session ended", "disabled", "the audit is whole")
			o.expect("a session under the leaked key", cookie, http.StatusUnauthorized)
			o.expect("a new sign-in", o.signIn(), http.StatusOK)
		},
		"key-file-leaked": func(t *testing.T, o *operator) {
			cookie := o.signIn()
			o.follow("key-file-leaked", "1 session ended", "not verifiable")
			o.expect("a session under the leaked file", cookie, http.StatusUnauthorized)
			o.expect("a new sign-in", o.signIn(), http.StatusOK)
		},
		"cookie-stolen": func(t *testing.T, o *operator) {
			stolen := o.signIn()
			o.bash("until counterfoil audit tail | grep -q signed-in; do sleep 0.1; done") // that is within a second
			o.follow("cookie-stolen", " 127.", "1 session ended", "signed-in")
			o.expect("the stolen cookie", stolen, http.StatusUnauthorized)
			o.expect("a new sign-in", o.signIn(), http.StatusOK)
		},
		"password-known": func(t *testing.T, o *operator) {
			stolen := o.signIn()
			o.follow("password-known", "new password", "disabled")
			o.expect("the stolen cookie", stolen, http.StatusUnauthorized)
		},
		"store-lost": func(t *testing.T, o *operator) {
			cookie := o.signIn()
			o.follow("store-lost", "user alice is made", "the audit is whole")
			o.expect("a session of the lost store", cookie, http.StatusUnauthorized)
			cookie, _ = o.server().SignIn("alice", passphrase+" two")
			o.expect("a new sign-in", cookie, http.StatusOK)
		},
	}
	for name := range sequences(t) {
		if steps[name] == nil {
			t.Errorf("no test follows the sequence %q of docs/operations.md", name)
		}
	}
	for name, step := range steps {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			step(t, newOperator(t))
		})
	}
}
