package e2e

import (
	_ "embed"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

//go:embed looks.js
var looks string

// look checks the page that the browser is on in daylight, in the dark and on a narrow screen. With
// E2E_SHOTS=FOLDER it leaves pictures there.
func (b *browser) look(name string) {
	b.t.Helper()
	for _, l := range []struct {
		name, scheme string
		width        int64
	}{{"light", "light", 1100}, {"dark", "dark", 1100}, {"narrow", "light", 360}, {"narrow-dark", "dark", 360}} {
		call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: l.scheme}}})
		get(b, chromedp.EmulateViewport(l.width, 800))
		for _, wrong := range eval[[]string](b, looks) {
			b.t.Errorf("page %s, %s: %s", name, l.name, wrong)
		}
		if dir := os.Getenv("E2E_SHOTS"); dir != "" {
			if err := os.WriteFile(filepath.Join(dir, name+"-"+l.name+".png"), get(b, chromedp.FullScreenshot(100)), 0o644); err != nil {
				b.t.Fatal(err)
			}
		}
	}
	get(b, chromedp.EmulateViewport(1100, 900))
	b.quiet()
}

// page checks which page the browser is on, and its looks.
func (b *browser) page(name, heading string, status int) {
	b.t.Helper()
	b.on(heading)
	if got := b.status(); got != status {
		b.t.Errorf("page %s: status %d, want %d", name, got, status)
	}
	b.look(name)
}

// Every page can be read and used by anybody: labels, one heading, language, contrast in light and
// dark, no scrolling sideways at 360 pixels, nothing that the content policy refuses.
func TestPages(t *testing.T) {
	t.Parallel()
	s := serve(t, folder(t))
	b := openBrowser(t)

	b.open(s.SetupLink())
	b.fill("#username", "alice", "#password", "short")
	b.click("main form button")
	b.page("setup-refused", "Make the first account", 422)
	b.open("about:blank")
	b.open(s.SetupLink())
	b.page("setup", "Make the first account", 200)
	b.setUp(s)
	b.page("demo", "Welcome, alice", 200)
	b.fill("#note", "A note of some length, so that one sees how it stands in its field and whether it is cut")
	b.click("main form button")
	b.page("demo-note", "Welcome, alice", 200)

	s.SignIn("alice", passphrase)
	b.open(s.URL + "/auth/account")
	b.page("account", "Your sessions", 200)
	b.fill("#current", "not this one at all", "#new", passphrase)
	b.click(".panel button")
	b.page("password-wrong", "Your sessions", 401)
	if text := b.text("[role=alert]"); text != "The present password is wrong" {
		t.Errorf("the alert says %q", text)
	}
	if id := eval[string](b, "document.activeElement.id"); id != "current" {
		t.Errorf("the focus is on %q, far from what went wrong", id)
	}
	b.fill("#current", passphrase, "#new", "short")
	b.click(".panel button")
	b.page("password-refused", "Your sessions", 422)
	b.open(s.URL + "/nothing/here")
	b.page("not-found", "There is nothing here", 404)
	b.open(s.URL + "/auth/login")
	b.page("signed-in-already", "Sign in", 200)

	guest := b.profile()
	b = guest
	b.open(s.URL + "/")
	b.page("sign-in", "Sign in", 200)
	b.signIn("alice", "not this one at all")
	b.page("wrong-password", "Sign in", 401)
	for range 20 {
		if status := b.signIn("alice", "not this one at all"); status == 429 {
			b.page("too-many", "Sign in", 429)
			break
		} else if status != 401 {
			t.Fatalf("a wrong password: %d", status)
		}
	}
	if b.count("[role=alert] time") != 1 {
		t.Error("after too many attempts the page does not say when to try again")
	}
}

// What goes wrong outside: the application is away, another site sent the request, somebody planted a
// second cookie, the disk is full, the session ended while a form was open. G9
func TestPagesOfTrouble(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	addUser(t, dir, "alice")
	upstream := httptest.NewServer(http.NotFoundHandler())
	upstream.Close()
	s := serve(t, dir, "--upstream", upstream.URL)
	b := openBrowser(t)
	b.open(s.URL + "/auth/login?next=/auth/account")
	b.signIn("alice", passphrase)
	b.on("Your sessions")
	b.open(s.URL + "/")
	b.page("bad-gateway", b.text("h1"), 502)

	// Another site lets the browser send a form: it arrives, says where it came from, and does nothing.
	b.open(evilSite(t, s.URL+"/auth/account/end-others", url.Values{}))
	b.arrives(s.URL)
	b.page("cross-site", "This came from another site", 403)

	// The disk is full.
	b.open(s.URL + "/auth/login")
	limitFiles(t, s, "0")
	b.fill("#username", "alice", "#password", passphrase)
	status := b.once(chromedp.Click(chromedp.CSS("main form button")))
	b.page("unavailable", b.text("h1"), 503)
	limitFiles(t, s, "unlimited")
	if status = b.again(status); status != 502 { // sent once more it signs in, and leads to the application
		t.Errorf("the sign-in sent again, with room on the disk: %d", status)
	}
	b.open(s.URL + "/auth/account")
	b.on("Your sessions") // still signed in

	// A second cookie of our name, on a path of its own.
	u, _ := url.Parse(s.URL)
	name := b.cookies(s.URL)[0].Name
	call(b, network.SetCookie, network.SetCookieParams{Name: name, Value: "planted", Domain: u.Hostname(), Path: "/auth"})
	b.open(s.URL + "/auth/account")
	b.page("two-cookies", "Two different tickets", 400)
	if n := len(b.cookies(s.URL + "/auth/account")); n != 2 {
		t.Errorf("%d cookies are left: something cleared one", n)
	}
	call(b, network.DeleteCookies, network.DeleteCookiesParams{Name: name, URL: s.URL + "/auth/account", Path: "/auth"})

	// Ended while a form was open.
	b.open(s.URL + "/auth/account")
	must(t, "session", "end", "--all", "--data", dir)
	b.click(".current button")
	b.page("ended", "Not signed in", 401)
}

// Names and texts that somebody chose break no page: as long as allowed, and full of markup.
func TestPagesOfHostileNames(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	name := strings.Repeat("w", 64)
	addUser(t, dir, name)
	s := serve(t, dir)
	b := openBrowser(t)
	b.open(s.URL + "/")
	b.signIn(`"><img src=x onerror=alert(1)>`, passphrase)
	b.page("hostile-name", "Sign in", 401)
	if got := b.value("#username"); got != `"><img src=x onerror=alert(1)>` {
		t.Errorf("the name is shown again as %q", got)
	}
	b.signIn(name, passphrase)
	note := `</script><script>alert(1)</script>"'<b>` + strings.Repeat("w", 150)
	b.fill("#note", note)
	b.click("main form button")
	b.page("hostile-note", "Welcome, "+name, 200)
	if got := b.value("#note"); got != note {
		t.Errorf("the note is %q", got)
	}
	b.open(s.URL + "/auth/account")
	b.page("long-name", "Your sessions", 200)
	b.open(s.URL + "/auth/login?next=" + url.QueryEscape(`/"><script>alert(1)</script>`))
	b.page("hostile-next", "Sign in", 200)
}
