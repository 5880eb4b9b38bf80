package e2e

import (
	"strings"
	"testing"
	"time"
)

// A newcomer's way, in a browser: the printed link, the first account, a protected page, a value, the
// list of sessions, two devices, a kill, a sign-out. C1, T31
func TestFirstVisit(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	s := serveAt(t, dir, ownAddress)
	b := openBrowser(t)

	if status := b.open(s.SetupLink()); status != 200 {
		t.Fatalf("set-up: %d", status)
	}
	b.on("Make the first account")
	if code := b.value("#code"); code == "" {
		t.Error("the set-up page does not take the code from the link")
	}
	if strings.Contains(b.at(), "#") {
		t.Errorf("the code stays in the address bar: %s", b.at())
	}
	b.setUp(s)
	b.on("Welcome, alice")
	if cookie := eval[string](b, "document.cookie"); cookie != "" {
		t.Errorf("a script sees %q", cookie)
	}
	b.fill("#note", "seats for two")
	b.click("main form button")
	if note := b.value("#note"); note != "seats for two" {
		t.Errorf("the note is %q", note)
	}

	b.click(`nav a[href="/auth/account"]`)
	b.on("Your sessions")
	if row := b.text(".current"); !strings.Contains(row, "Chrom") || !strings.Contains(row, "127.0.0.1") || !strings.Contains(row, "just now") || !strings.Contains(row, "in 30 minutes") {
		t.Errorf("the row of this session says: %s", row)
	}

	other := b.profile()
	other.open(s.URL + "/auth/account")
	other.on("Sign in")
	other.signIn("alice", passphrase)
	other.on("Your sessions")
	if n := other.count(".sessions li"); n != 2 {
		t.Errorf("the second device sees %d sessions", n)
	}

	at := s.Address()
	s.Kill()
	s = serveAt(t, dir, at)
	b.open(s.URL + "/")
	b.on("Welcome, alice")
	if note := b.value("#note"); note != "seats for two" {
		t.Errorf("after kill -9 and a start the note is %q", note)
	}

	other.open(s.URL + "/auth/account")
	other.click(".sessions li:not(.current) button")
	other.on("Your sessions")
	if n := other.count(".sessions li"); n != 1 {
		t.Errorf("after the end of the other %d sessions are listed", n)
	}
	b.click(`nav a[href="/auth/account"]`) // the next click
	b.on("Sign in")

	other.click("nav form button")
	other.on("Sign in")
	other.back("Sign in") // nothing private came out of a cache
	other.open(s.URL + "/")
	other.on("Sign in")
}

// Who did nothing for the idle time is asked to sign in, and comes back to the same page. T37, F2
func TestIdleInABrowser(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	addUser(t, dir, "alice")
	browser := openBrowser(t)
	lifetimes(t, 3*time.Second, func(idle time.Duration) (slow bool) {
		s := serve(t, dir, "--idle", idle.String())
		defer s.Stop()
		b := browser.profile()
		b.open(s.URL + "/auth/account?tab=1")
		begin := time.Now()
		b.signIn("alice", passphrase)
		if time.Since(begin) > idle/2 {
			return true
		}
		b.on("Your sessions")
		time.Sleep(idle + idle/6)
		b.open(s.URL + "/auth/account?tab=1")
		b.on("Sign in")
		if next := eval[string](b, `document.querySelector("input[name=next]").value`); next != "/auth/account?tab=1" {
			t.Errorf("next is %q", next)
		}
		begin = time.Now()
		b.signIn("alice", passphrase)
		if time.Since(begin) > idle/2 {
			return true
		}
		b.on("Your sessions")
		if !strings.HasSuffix(b.at(), "/auth/account?tab=1") {
			t.Errorf("after signing in at %s", b.at())
		}
		return false
	})
}

// After a sign-out the back button shows no page of the application, though the application said
// nothing of caches. What the application keeps in the browser by itself stays.
// D27
func TestBackAfterSignOut(t *testing.T) {
	t.Parallel()
	s, b := signedIn(t, "--upstream", newApplication(t).URL)
	b.on("Seats of alice")
	const kept = `document.cookie + " " + localStorage.getItem("view")`
	eval[string](b, `document.cookie = "seat=12"; localStorage.setItem("view", "stalls"); ""`)
	b.open(s.URL + "/auth/account")
	b.click("nav form button")
	b.on("Sign in")
	if got := eval[string](b, kept); got != "seat=12 stalls" {
		t.Errorf("after the sign-out the application's own data are %q", got)
	}
	b.back("Sign in") // not the account page
	b.back("Sign in") // not the application's page
}
