package main_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/programtest"
)

// Every command has a page of help that names it, wraps at a terminal's width and shows an example
// that is a command line of this program.
func TestHelp(t *testing.T) {
	t.Parallel()
	overview := cf("--help").Want(t, 0, "counterfoil serve --dev").Out
	entry := regexp.MustCompile(`(?m)^  ([a-z]+(?: [a-z]+)?)(?: \[?[A-Z]+\]?)?  +\S`)
	found := entry.FindAllStringSubmatch(overview, -1)
	if len(found) < 16 {
		t.Fatalf("the overview has %d commands:\n%s", len(found), overview)
	}
	for _, f := range found {
		name := f[1]
		t.Run(name, func(t *testing.T) {
			for _, line := range [][]string{append(strings.Fields(name), "--help"), append([]string{"help"}, strings.Fields(name)...)} {
				page := cf(line...).Want(t, 0, "counterfoil "+name).Out
				for text := range strings.Lines(page) {
					if len(text) > 110 {
						t.Errorf("a line of %d columns: %s", len(text), text)
					}
				}
				if !strings.Contains(page, "Examples\n  ") || !strings.Contains(page, "--data DIR") {
					t.Errorf("examples or flags are missing:\n%s", page)
				}
				if strings.Contains(page, "\x1b") {
					t.Error("colours without a terminal")
				}
			}
			for line := range strings.Lines(cf(append(strings.Fields(name), "--help")...).Run(t).Out) {
				if _, example, ok := strings.Cut(strings.TrimSpace(line), "counterfoil "); ok && strings.HasPrefix(line, "  ") {
					example, _, _ = strings.Cut(example, " > ")
					example, _, _ = strings.Cut(example, " < ")
					if o := cf(append(strings.Fields(example), "--help")...).Run(t); o.Code != 0 {
						t.Errorf("the example %q is no command line: %s", example, o.Err)
					}
				}
			}
		})
	}
	cf("user", "--help").Want(t, 0, "user passwd NAME")
	cf("help").Want(t, 0, "session list")
}

// Exit codes 2: usage and configuration, with a reason in the first line.
func TestUsage(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	for _, c := range []struct {
		line, want string
	}{
		{"", "which command?"},
		{"sessions list", "did you mean `counterfoil session"},
		{"user", "user what?"},
		{"user lst", "did you mean `counterfoil user list`?"},
		{"--data x serve", "the command comes first"},
		{"user add", "NAME: is missing"},
		{"user add a b", "b: is one argument too many"},
		{"user list --jsn", "--jsn: no such flag; did you mean --json?"},
		{"user list --json=yes", "is a switch and takes no value"},
		{"user list --idle 5m", "--idle: no such flag"},
		{"user list --user", "--user: no such flag"},
		{"user add bob", "standard input is no terminal: say --password-stdin"},
		{"session end", "say which sessions to end"},
		{"session end abc --all", "say which sessions to end"},
		{"session end --user a --user b", "given more than once"},
		{"session end --user a --reset-clock", "--reset-clock goes with --all"},
		{"audit tail --lines many", "no whole number"},
		{"serve", "would be plain http"},
		{"serve --dev --listen 0.0.0.0:0", "serves on loopback only"},
		{"serve --dev --idle 0", "under a second"},
		{"serve --dev --absolute NaN", "is no lifetime"},
		{"serve --dev --store redis:h", "needs the place of a server"},
		{"serve --dev --store file://d", "needs the absolute path of a folder"},
		{"serve --dev --store gs://", "needs the name of a bucket"}, // P75
		{"serve --dev --store s3:///prefix", "needs the name of a bucket"},
		{"serve --dev --store azblob:container", "needs the name of a bucket"},
		{"serve --tls-cert c.pem", "one needs the other"},
	} {
		line := strings.Fields(c.line)
		if len(line) > 0 {
			line = append(line, "--data", dir)
		}
		cf(line...).Want(t, 2, c.want)
	}
	cf("user", "list", "--data").Want(t, 2, "--data: needs a value")
	if _, err := os.Stat(dir); err == nil {
		t.Error("a refused command made the data folder")
	}
}

// All faults of flags, environment and file stand in one answer. C7: a key is none of the settings.
func TestAllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "counterfoil.yaml"), []byte("# mine\nsession_cookie_key: REPLACE_WITH_RANDOM_VALUE\nidle: [7]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := cf("serve", "--devv", "--max-sessions", "0", "--data", dir).With("COUNTERFOIL_ABSOLUTE=7 days").Want(t, 2, "session_cookie_key: unknown field: keys never stand in the configuration")
	for _, want := range []string{"--devv: no such flag", "--max-sessions: ", "COUNTERFOIL_ABSOLUTE: ", "counterfoil.yaml:2: session_cookie_key", "counterfoil.yaml:3: idle", "`counterfoil key list`, `key generate` and `key rotate`"} {
		if !strings.Contains(o.Err, want) {
			t.Errorf("no %q in\n%s", want, o.Err)
		}
	}
	if strings.Count(o.Err, "\n") != 5 {
		t.Errorf("want five lines, one a fault:\n%s", o.Err)
	}
}

// Flag before environment before file before default, seen from outside.
func TestPrecedence(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	idle := func(c programtest.Command) (value, source string) {
		t.Helper()
		var limits []struct{ Name, Value, Source, Reason string }
		if err := json.Unmarshal([]byte(c.Want(t, 0, "").Out), &limits); err != nil {
			t.Fatal(err)
		}
		for _, l := range limits {
			if l.Reason == "" {
				t.Errorf("%s has no reason (ASVS 7.1.1)", l.Name)
			}
			if l.Name == "idle" {
				value, source = l.Value, l.Source
			}
		}
		return value, source
	}
	policy := cf("policy", "--json", "--data", dir)
	expect := func(c programtest.Command, value, source string) {
		t.Helper()
		if v, s := idle(c); v != value || !strings.HasSuffix(s, source) {
			t.Errorf("idle is %s from %s; want %s from %s", v, s, value, source)
		}
	}
	expect(policy, "30m", "default") // C10, C16
	if err := os.WriteFile(filepath.Join(dir, "counterfoil.yaml"), []byte("idle: 0.5d\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	expect(policy, "12h", "counterfoil.yaml:1: idle")
	expect(policy.With("COUNTERFOIL_IDLE=10m"), "10m", "COUNTERFOIL_IDLE")
	flagged := cf("policy", "--json", "--data", dir, "--idle", "5m").With("COUNTERFOIL_IDLE=10m")
	expect(flagged, "5m", "--idle")
}

// Operators' commands while nobody serves: they take the lock and work on the folder.
func TestOffline(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	cf("user", "list", "--data", dir).Want(t, 3, "no installation in")
	addUser(t, dir, "alice")
	cf("user", "add", "ALICE", "--password-stdin", "--data", dir).Typing(passphrase).Want(t, 1, "already")
	cf("user", "add", "bob", "--password-stdin", "--data", dir).Typing("short\n").Want(t, 1, "at least 15")
	cf("user", "add", "bob", "--password-stdin", "--data", dir).Typing("").Want(t, 1, "empty")
	cf("user", "add", "bob", "--operator", "--json", "--password-stdin", "--data", dir).Typing(passphrase).Want(t, 0, `"operator": true`)
	var users []struct {
		Name     string
		Operator bool
		Disabled bool
	}
	if err := json.Unmarshal([]byte(cf("user", "list", "--json", "--data", dir).Want(t, 0, "").Out), &users); err != nil || len(users) != 2 || users[0].Name != "alice" || !users[1].Operator {
		t.Errorf("%+v, %v", users, err)
	}
	cf("user", "disable", "alice", "--data", dir).Want(t, 0, "disabled")
	cf("user", "enable", "alice", "--data", dir).Want(t, 0, "enabled")
	cf("user", "passwd", "alice", "--password-stdin", "--data", dir).Typing(passphrase+" new").Want(t, 0, "new password")
	for _, verb := range []string{"disable", "enable"} {
		cf("user", verb, "nobody", "--data", dir).Want(t, 3, "no user nobody")
	}
	cf("user", "passwd", "nobody", "--password-stdin", "--data", dir).Typing(passphrase).Want(t, 3, "no user nobody")
	cf("session", "list", "--user", "nobody", "--data", dir).Want(t, 3, "no user nobody")
	cf("session", "end", "--user", "nobody", "--data", dir).Want(t, 3, "no user nobody")
	cf("session", "end", "AAAAAAAAAAAAAAAAAAAAAA", "--data", dir).Want(t, 3, "no session AAAA")
	cf("session", "end", "-x", "--data", dir).Want(t, 3, "no session -x")
	cf("session", "end", "--all", "--data", dir).Want(t, 0, "0 sessions ended")
	cf("session", "end", "--all", "--reset-clock", "--data", dir).Want(t, 0, "clock is reset")
	if out := cf("session", "list", "--json", "--data", dir).Want(t, 0, "").Out; strings.TrimSpace(out) != "[]" {
		t.Errorf("no sessions are %q, not an empty list", out)
	}
	cf("key", "revoke", "00000001", "--data", dir).Want(t, 3, "no key 00000001")
	cf("key", "revoke", "../keys", "--yes", "--data", dir).Want(t, 3, "no key")
	cf("audit", "verify", "--data", dir).Want(t, 0, "whole")
	cf("doctor", "--dev", "--data", dir).Want(t, 0, "ok     data folder")
	cf("version", "--json").Want(t, 0, `"go": "go1`)
	cf("session", "list", "--store", "memory:", "--data", dir).Want(t, 4, "keeps nothing without one")
}

// D6: keys come from the environment in one machine-made format, and are rotated where they come from.
func TestKeysOfTheEnvironment(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	key := strings.TrimSpace(cf("key", "generate").Want(t, 0, "cfk1_").Out)
	if again := cf("key", "generate").Run(t).Out; strings.Contains(again, key) {
		t.Error("two keys are equal")
	}
	addUser(t, dir, "alice")
	o := cf("key", "rotate", "--data", dir).With("COUNTERFOIL_KEY="+key).Want(t, 1, "counterfoil key generate")
	if strings.Contains(o.Out+o.Err, key) {
		t.Error("the key stands in the output")
	}
	cf("key", "list", "--data", dir).With("COUNTERFOIL_KEY="+key).Want(t, 0, "COUNTERFOIL_KEY")
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cf("key", "rotate", "--data", dir).With("COUNTERFOIL_KEY_FILE="+file).Want(t, 1, "where it is managed")
	cf("key", "list", "--data", dir).With("COUNTERFOIL_KEY_FILE="+file, "COUNTERFOIL_KEY="+key).Want(t, 1, "both set")
}

// D7, P12: what is there and unusable is refused, quickly, and left as it is.
func TestUnusableKeysAreRefused(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{"empty": "", "text": "REPLACE_WITH_RANDOM_VALUE", "short": "cfk1_AAAA", "bytes": strings.Repeat("\x00", 32), "long": strings.Repeat("k", 65)} {
		t.Run(name, func(t *testing.T) {
			dir := folder(t)
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "keys")
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			programtest.InTime(t, 5*time.Second, func() time.Duration {
				_, begin := clock.Now()
				cf("serve", "--dev", "--listen", "127.0.0.1:0", "--data", dir).Want(t, 1, "cannot be used")
				_, end := clock.Now()
				return end - begin
			})
			if after, err := os.ReadFile(path); err != nil || string(after) != content {
				t.Errorf("the file was changed: %q, %v", after, err)
			}
			cf("serve", "--dev", "--data", folder(t)).With("COUNTERFOIL_KEY="+strings.ReplaceAll(content, "\x00", "0")).Want(t, 1, "COUNTERFOIL_KEY")
		})
	}
}
