package e2e

import (
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// press sends keys to whatever has the focus.
func press(keys string) chromedp.Action[chromedp.Void] { return chromedp.KeyEvent(keys) }

// Without a mouse: sign in, reach every control of the account page in order, sign out.
func TestKeyboardOnly(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	addUser(t, dir, "alice")
	s := serve(t, dir)
	b := openBrowser(t)
	b.open(s.URL + "/auth/account")
	if !b.wait(func() bool { return eval[string](b, "document.activeElement.id") == "username" }) { // a moment after the page has come
		t.Fatal("the first field has no focus")
	}
	b.leads(press("alice"), press(kb.Tab), press(passphrase), press(kb.Enter))
	b.on("Your sessions")
	var reached []string
	for range 8 {
		get(b, press(kb.Tab))
		reached = append(reached, eval[string](b, `document.activeElement.id || document.activeElement.textContent`))
		if eval[string](b, `getComputedStyle(document.activeElement).outlineStyle`) != "solid" {
			t.Errorf("nothing shows that %s has the focus", reached[len(reached)-1])
		}
	}
	if got, want := strings.Join(reached, ", "), "Skip to the content, Counterfoil, Account, Sign out, Sign out here, current, new, Change the password"; got != want {
		t.Errorf("Tab reaches %s; want %s", got, want)
	}
	b.open(s.URL + "/auth/account")
	get(b, chromedp.Steps(press(kb.Tab), press(kb.Tab), press(kb.Tab), press(kb.Tab)))
	b.leads(press(kb.Enter))
	b.on("Sign in")
}

// Without scripts everything works; only the set-up code has to be pasted by hand.
func TestWithoutScripts(t *testing.T) {
	t.Parallel()
	s := serve(t, folder(t))
	b := openBrowser(t)
	call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	link := s.SetupLink()
	b.open(link)
	if code := b.value("#code"); code != "" {
		t.Fatalf("a script ran: the code is %q", code)
	}
	_, code, _ := strings.Cut(link, "#")
	b.fill("#code", code)
	b.setUp(s)
	b.on("Welcome, alice")
	b.fill("#note", "no script")
	b.click("main form button")
	if note := b.value("#note"); note != "no script" {
		t.Errorf("the note is %q", note)
	}
	b.open(s.URL + "/auth/account")
	b.fill("#current", passphrase, "#new", passphrase+" and more")
	b.click(".panel button")
	b.on("Your sessions")
	b.open(s.URL + "/")
	if note := b.value("#note"); note != "no script" {
		t.Errorf("after a change of password the note is %q", note)
	}
	b.click("nav form button")
	b.on("Sign in")
	b.signIn("alice", passphrase+" and more")
	b.on("Welcome, alice")
}
