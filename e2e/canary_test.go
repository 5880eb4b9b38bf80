package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/internal/programtest"
)

// secrets are what must stand nowhere, by name, each in every form in which it could leak.
type secrets map[string][][]byte

// text adds a secret that people type or paste.
func (s secrets) text(name, text string) {
	s.raw(name, []byte(text))
	s[name] = append(s[name], []byte(url.QueryEscape(text)))
}

// raw adds a secret of bytes.
func (s secrets) raw(name string, b []byte) {
	s[name] = append(s[name], b, []byte(hex.EncodeToString(b)), []byte(strings.ToUpper(hex.EncodeToString(b))),
		[]byte(base64.RawStdEncoding.EncodeToString(b)), []byte(base64.RawURLEncoding.EncodeToString(b)))
}

// token adds a cookie's value and its halves: the selector and the verifier.
func (s secrets) token(t *testing.T, name, cookie string) {
	t.Helper()
	_, value, _ := strings.Cut(cookie, "=")
	b, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil || len(b) != 32 {
		t.Fatalf("the token %q: %v", value, err)
	}
	s.raw(name, b)
	s.raw(name+", selector", b[:16])
	s.raw(name+", verifier", b[16:])
	s[name+", selector"] = append(s[name+", selector"], []byte(value[:21]))
	s[name+", verifier"] = append(s[name+", verifier"], []byte(value[22:]))
}

// in names the secrets that stand in something that was written or answered.
func (s secrets) in(written []byte) (found []string) {
	for name, forms := range s {
		if slices.ContainsFunc(forms, func(form []byte) bool { return bytes.Contains(written, form) }) {
			found = append(found, name)
		}
	}
	return found
}

// hunt fails the test for what stands there.
func (s secrets) hunt(t *testing.T, where string, written []byte, except ...string) {
	t.Helper()
	for _, name := range s.in(written) {
		if !slices.Contains(except, name) {
			t.Errorf("%s stands in %s", name, where)
		}
	}
}

// Nothing that opens anything stands in a log, a file, an answer, the arguments or the environment:
// neither passwords nor keys, set-up codes, tokens, halves of tokens, nor what a session keeps. CD14, SD6, P66
func TestCanaries(t *testing.T) {
	t.Parallel()
	const (
		password = "canary password Xq7 over the roof"
		second   = "canary password Zk4 under the roof"
		mistake  = "canary password Jm9 in the field of the name"
		note     = "canary note Vw2 between the seats"
	)
	dir := folder(t)
	s := serve(t, dir)
	all := secrets{}
	all.text("the password", password)
	all.text("the second password", second)
	all.text("a password in the field of the name", strings.ReplaceAll(mistake, " ", "-"))
	all.text("what the session keeps", note)

	_, code, _ := strings.Cut(s.SetupLink(), "#")
	all.text("the set-up code", code)
	// post sends a form that signs in, too. A store that is slow may do the rest and leave that to the sign-in page.
	post := func(path, cookie string, form url.Values, password string) string {
		t.Helper()
		answer, body, err := s.Send(t.Context(), path, cookie, form)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := programtest.SessionCookie(answer)
		if answer.StatusCode == http.StatusServiceUnavailable {
			if answer, body = s.Do(path, cookie, form); answer.StatusCode >= 400 {
				got, _ = s.SignIn("alice", password)
			} else {
				got, _ = programtest.SessionCookie(answer)
			}
		}
		if got == "" {
			t.Fatalf("%s: %d %s", path, answer.StatusCode, body)
		}
		return got
	}
	first := post("/auth/setup", "", url.Values{"code": {code}, "username": {"alice"}, "password": {password}}, password)
	all.token(t, "the first token", first)
	kept, _ := s.SignIn("alice", password)
	all.token(t, "the second token", kept)
	ended, _ := s.SignIn("alice", password)
	all.token(t, "an ended token", ended)

	keys, err := os.ReadFile(filepath.Join(dir, "keys"))
	if err != nil {
		t.Fatal(err)
	}
	lines := regexp.MustCompile(`cf[kr]1_([A-Za-z0-9_-]+)`).FindAllSubmatch(keys, -1)
	if len(lines) != 3 {
		t.Fatalf("%d keys in the key file", len(lines))
	}
	for i, line := range lines {
		b, err := base64.RawURLEncoding.DecodeString(string(line[1]))
		if err != nil {
			t.Fatal(err)
		}
		all.raw(fmt.Sprint("key ", i), b[:32])
		all[fmt.Sprint("key ", i)] = append(all[fmt.Sprint("key ", i)], line[1])
	}

	if n := len(all.in(keys)); n != 3 {
		t.Fatalf("the hunt finds %d of 3 keys in the key file", n)
	}
	if n := len(all.in([]byte(first))); n != 3 {
		t.Fatalf("the hunt finds %d of a token and its halves", n)
	}

	// Every route, as a person and as a program, signed in and not; wrong and right.
	visit := func(path, cookie string, form url.Values, except ...string) {
		t.Helper()
		for _, accept := range []string{"text/html", "application/json"} {
			method, header := http.MethodGet, http.Header{"Accept": {accept}}
			if form != nil {
				method = http.MethodPost
				header.Set("Content-Type", "application/x-www-form-urlencoded")
			}
			answer, body, err := s.Request(context.Background(), method, path, cookie, form.Encode(), header)
			if err != nil {
				t.Fatal(err)
			}
			answer.Header.Del("Set-Cookie")
			all.hunt(t, "the answer of "+path, fmt.Append(nil, answer.Header, body), except...)
		}
	}
	visit("/", kept, url.Values{"note": {note}})
	visit("/auth/logout", ended, url.Values{})
	visit("/auth/login", "", url.Values{"username": {strings.ReplaceAll(mistake, " ", "-")}, "password": {second}}, "a password in the field of the name") // shown again to whoever typed it
	for _, cookie := range []string{"", kept, ended, first + "x", "counterfoil-session=" + code} {
		visit("/", cookie, nil, "what the session keeps")
		for _, path := range []string{"/auth", "/auth/login", "/auth/setup", "/auth/account", "/auth/check", "/auth/check?fresh=1s", "/auth/check?level=3", "/auth/api/v1/session",
			"/auth/api/v1/sessions", "/auth/api/v1/sessions/x", "/healthz", "/readyz", "/nowhere", "/metrics", "/debug/pprof/", "/auth/static/setup.js"} {
			visit(path, cookie, nil)
		}
		visit("/auth/login", cookie, url.Values{"username": {"alice"}, "password": {second}})
		visit("/auth/account/end", cookie, url.Values{"id": {"x"}})
		visit("/auth/account/password", cookie, url.Values{"current": {second}, "new": {password}})
	}
	changed := post("/auth/account/password", kept, url.Values{"current": {password}, "new": {second}}, second)
	all.token(t, "the token after a change of password", changed)

	// What the system shows of a running process.
	for _, of := range []string{"cmdline", "environ"} {
		shown, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", s.Process(), of))
		if err != nil {
			t.Fatal(err)
		}
		all.hunt(t, of, shown)
	}
	if shown, err := exec.Command("ps", "-ww", "-eo", "args").Output(); err != nil {
		t.Error(err)
	} else {
		all.hunt(t, "ps", shown)
	}
	commands := func() {
		for _, args := range [][]string{{"user", "list"}, {"session", "list"}, {"key", "list"}, {"audit", "tail"}, {"audit", "verify"}, {"doctor"}, {"policy"}, {"user", "list", "--json"},
			{"session", "list", "--json"}, {"key", "list", "--json"}, {"audit", "tail", "--json"}, {"doctor", "--json"}, {"policy", "--json"}} {
			out := program.Command(append(args, "--data", dir)...).Run(t)
			all.hunt(t, "counterfoil "+strings.Join(args, " "), []byte(out.String()))
		}
	}
	commands()

	// At rest: while it runs, after kill -9 with its write-ahead log, and after a proper stop.
	files := func(when string) {
		t.Helper()
		found := map[string]bool{}
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() || d.Name() == "keys" {
				return err
			}
			found[d.Name()] = true
			b, err := os.ReadFile(path)
			all.hunt(t, d.Name()+" "+when, b)
			return err
		})
		if err != nil || !found["sessions.db"] || !found["audit.jsonl"] {
			t.Errorf("%s: %v, files %v", when, err, found)
		}
	}
	files("of the running server")
	s.Kill()
	files("after kill -9")
	commands()
	written := s.Log.String() + strings.ReplaceAll(s.Out.String(), s.URL+"/auth/setup#"+code, "") // the link is for the terminal
	s = serve(t, dir)
	if answer, body := s.Do("/", changed, nil); answer.StatusCode != http.StatusOK || !strings.Contains(body, note) {
		t.Errorf("the session that went on: %d %s", answer.StatusCode, body)
	}
	s.Stop()
	files("after a stop")
	all.hunt(t, "the log", []byte(written+s.Log.String()+s.Out.String()))

	// Passwords are kept as argon2id alone.
	db, err := os.ReadFile(filepath.Join(dir, "sessions.db"))
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`\$argon2id\$v=19\$m=\d{5,},t=\d+,p=\d+\$`).Match(db) {
		t.Error("no argon2id hash in the store")
	}
	if regexp.MustCompile(`\$(1|2[aby]|5|6|argon2i|argon2d)\$`).Match(db) {
		t.Error("a hash of another kind in the store")
	}
}

// A key that cannot be used is refused, and what is said of it does not show it. CD14
func TestUnusableKeyIsNotShown(t *testing.T) {
	t.Parallel()
	key := strings.TrimSpace(must(t, "key", "generate"))
	other := strings.TrimSpace(must(t, "key", "generate"))
	for name, bad := range map[string]string{"damaged": key[:45] + other[45:], "cut off": key[:40], "extended": key + "=="} {
		out := program.Command("serve", "--dev", "--listen", "127.0.0.1:0", "--data", folder(t)).With("COUNTERFOIL_KEY=" + bad).Run(t)
		if out.Code != 1 {
			t.Errorf("%s: exit code %d: %s", name, out.Code, out)
		}
		for at := 5; at+12 <= 40; at++ {
			if strings.Contains(out.String(), key[at:at+12]) {
				t.Fatalf("%s: a part of the key is shown: %s", name, out)
			}
		}
	}
}
