package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/logtest"
)

// firefox is one Firefox with an empty profile and one tab, driven over Marionette, the protocol that
// it speaks itself: messages are JSON with their length before them.
type firefox struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
	last int // number of the last command
}

func openFirefox(t *testing.T) *firefox {
	t.Helper()
	profile := t.TempDir()
	settings := `user_pref("marionette.port", 0);
user_pref("app.update.enabled", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
`
	if err := os.WriteFile(filepath.Join(profile, "user.js"), []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	output := &logtest.Log{}
	cmd := exec.Command("firefox-esr", "--headless", "--marionette", "--no-remote", "--profile", profile, "about:blank")
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "MOZ_HEADLESS=1")
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	f := &firefox{t: t}
	t.Cleanup(func() {
		if f.conn != nil {
			f.conn.Close()
		}
		cmd.Process.Kill()
		<-ended
	})

	// Port 0 lets it choose; it then leaves the number in its profile.
	for until := time.Now().Add(patience); f.conn == nil; time.Sleep(50 * time.Millisecond) {
		port, _ := os.ReadFile(filepath.Join(profile, "MarionetteActivePort"))
		f.conn, _ = net.Dial("tcp", "127.0.0.1:"+strings.TrimSpace(string(port)))
		select {
		case <-ended:
			t.Fatalf("Firefox ended:\n%s", output)
		default:
		}
		if f.conn == nil && time.Now().After(until) {
			t.Fatalf("Firefox does not listen:\n%s", output)
		}
	}
	f.in = bufio.NewReader(f.conn)
	f.receive(&struct{}{}) // its greeting
	command[any](f, "WebDriver:NewSession", nil)
	command[any](f, "WebDriver:SetTimeouts", map[string]int64{"script": patience.Milliseconds(), "pageLoad": patience.Milliseconds()})
	return f
}

func (f *firefox) receive(into any) {
	f.t.Helper()
	f.conn.SetReadDeadline(time.Now().Add(2 * patience)) // its own time for a page comes first
	size, err := f.in.ReadString(':')
	if err != nil {
		f.t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSuffix(size, ":"))
	if err != nil {
		f.t.Fatal(err)
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(f.in, text); err != nil {
		f.t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		f.t.Fatalf("%v: %s", err, text)
	}
}

// command sends a command and returns the value of its answer.
func command[T any](f *firefox, name string, parameters any) T {
	f.t.Helper()
	value, problem := try[T](f, name, parameters)
	if problem != "" {
		f.t.Fatalf("%s %v: %s", name, parameters, problem)
	}
	return value
}

// try is command for what may fail: it says why.
func try[T any](f *firefox, name string, parameters any) (value T, problem string) {
	f.t.Helper()
	f.last++
	text, err := json.Marshal([]any{0, f.last, name, parameters})
	if err != nil {
		f.t.Fatal(err)
	}
	if _, err := fmt.Fprintf(f.conn, "%d:%s", len(text), text); err != nil {
		f.t.Fatal(err)
	}
	var answer [4]json.RawMessage // type, number, error, result
	f.receive(&answer)
	if string(answer[2]) != "null" {
		return value, string(answer[2])
	}
	var result struct{ Value T }
	if err := json.Unmarshal(answer[3], &result); err != nil {
		f.t.Fatalf("%s: %v: %s", name, err, answer[3])
	}
	return result.Value, ""
}

func (f *firefox) open(url string) {
	f.t.Helper()
	command[any](f, "WebDriver:Navigate", map[string]string{"url": url})
}

// element is the number of the one element that a selector finds.
func (f *firefox) element(selector string) string {
	f.t.Helper()
	for _, id := range command[map[string]string](f, "WebDriver:FindElement", map[string]string{"using": "css selector", "value": selector}) {
		return id
	}
	f.t.Fatalf("no element %s", selector)
	return ""
}

// click presses what leads to another page.
func (f *firefox) click(selector string) {
	f.t.Helper()
	f.says(`(window.left = true, "")`)
	command[any](f, "WebDriver:ElementClick", map[string]string{"id": f.element(selector)})
}

// fill types into fields: selector, text, selector, text …
func (f *firefox) fill(pairs ...string) {
	f.t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		command[any](f, "WebDriver:ElementSendKeys", map[string]string{"id": f.element(pairs[i]), "text": pairs[i+1]})
	}
}

// says returns what a script returns in the page.
func (f *firefox) says(script string) string {
	f.t.Helper()
	return command[string](f, "WebDriver:ExecuteScript", scripted(script))
}

func scripted(script string) any {
	return map[string]any{"script": "return " + script, "args": []any{}}
}

// heading waits until the page that click leaves is gone and the next is there, and returns its heading.
func (f *firefox) heading() string {
	f.t.Helper()
	ask := scripted(`window.left || document.readyState !== "complete" ? "" : (document.querySelector("h1") || document.body).textContent`)
	var problem string
	for until := time.Now().Add(patience); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		var got string
		if got, problem = try[string](f, "WebDriver:ExecuteScript", ask); got != "" { // fails while one page gives way to the next
			return got
		}
	}
	f.t.Fatalf("no page comes after %s; %s", f.says("location.href"), problem)
	return ""
}

// on does what leads to a page with that heading: once more as long as the store is slow and the page says
// to try again.
func (f *firefox) on(heading string, do func()) {
	f.t.Helper()
	const pause = time.Second
	var got string
	for range patience / pause {
		do()
		if got = f.heading(); strings.Contains(got, heading) {
			return
		}
		if !strings.Contains(got, "Just a moment") && !strings.Contains(got, "Not yet signed out") {
			break
		}
		time.Sleep(pause)
	}
	f.t.Fatalf("the heading is %q, not %q; at %s", got, heading, f.says("location.href"))
}

// A newcomer's way in Firefox, over plain http on loopback: set-up, a value, a kill, a sign-out, the
// back button, a sign-in. T31
func TestFirefox(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	s := serveAt(t, dir, ownAddress)
	f := openFirefox(t)
	open := func(path string) func() { return func() { f.open(s.URL + path) } }
	signIn := func() {
		f.fill("#username", "alice", "#password", passphrase)
		f.click("main form button")
	}

	f.on("Make the first account", func() { f.open(s.SetupLink()) })
	tried := false
	f.on("Welcome, alice", func() {
		if tried { // the account may be made, and only the sign-in may have come too late
			f.open(s.SetupLink())
			if !strings.Contains(f.heading(), "Make the first account") {
				f.open(s.URL + "/")
			}
		}
		tried = true
		signIn()
	})
	if cookie := f.says("document.cookie"); cookie != "" {
		t.Errorf("a script sees %q", cookie)
	}
	f.on("Welcome, alice", func() {
		f.on("Welcome, alice", open("/"))
		f.fill("#note", "seats for two")
		f.click("main form button")
	})

	at := s.Address()
	s.Kill()
	s = serveAt(t, dir, at)
	f.on("Welcome, alice", open("/"))
	if note := f.says(`document.querySelector("#note").value`); note != "seats for two" {
		t.Errorf("after kill -9 and a start the note is %q", note)
	}

	f.on("Your sessions", open("/auth/account"))
	if row := f.says(`document.querySelector(".current").textContent`); !strings.Contains(row, "Firefox") {
		t.Errorf("the row of this session says: %s", row)
	}
	f.click("nav form button")
	if got := f.heading(); strings.Contains(got, "Not yet signed out") { // once more, then: nobody is signed in any more
		f.on("Sign in", open("/auth/account"))
	} else if !strings.Contains(got, "Sign in") {
		t.Fatalf("after the sign-out: %s", got)
	}
	f.on("Sign in", func() { command[any](f, "WebDriver:Back", nil) }) // nothing private came out of a cache
	f.on("Your sessions", func() {
		f.on("Sign in", open("/auth/account"))
		signIn()
	})
}
