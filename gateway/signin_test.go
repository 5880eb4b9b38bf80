package gateway_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/gateway"
)

// The way of a newcomer through the pages.
func TestSignInAndOut(t *testing.T) {
	s := newSite(t).withAccounts()
	b := s.browser()
	a := b.get("/").want(t, 303)
	if got := a.Header.Get("Location"); got != "/auth/login?next=%2F" {
		t.Fatalf("sent to %q", got)
	}
	b.get("/auth/login?next=%2F").want(t, 200)
	a = b.post("/auth/login", "username", "Alice", "password", alicePassword, "next", "/").want(t, 303)
	if a.Header.Get("Location") != "/" {
		t.Errorf("sent to %q", a.Header.Get("Location"))
	}
	// T30, T32, T33, T34, T35, P36, P37, P38, P40, P88: every attribute stands in the answer.
	cookie := a.Header.Get("Set-Cookie")
	for _, part := range []string{"__Host-Http-session=", "; Path=/", "; HttpOnly", "; Secure", "; SameSite=Lax"} {
		if !strings.Contains(cookie, part) {
			t.Errorf("%q lacks %q", cookie, part)
		}
	}
	if strings.Contains(cookie, "Domain") || strings.Contains(cookie, "Max-Age") || strings.Contains(cookie, "Expires") {
		t.Errorf("%q goes too far", cookie)
	}
	if a = b.get("/").want(t, 200); !strings.Contains(a.body, "Welcome, alice") || !strings.Contains(a.body, "Sign out") {
		t.Error("the demo does not say who is there")
	}
	stolen := b.token()
	a = b.post("/auth/logout").want(t, 303)
	if c := a.Header.Get("Set-Cookie"); !strings.Contains(c, "Max-Age=0") || !strings.Contains(c, "Secure") { // S22
		t.Errorf("cleared by %q", c)
	}
	if s.replay(stolen) != 401 { // T38, S21, S31, C30
		t.Error("a saved cookie is good after the sign-out")
	}
	b.get("/").want(t, 303)
	// S23: without a session it does no harm.
	b.post("/auth/logout").want(t, 303)
	s.client().post("/auth/logout").want(t, 204)
	s.client().do("POST", "/auth/logout", "", "Cookie", "__Host-Http-session=garbage").want(t, http.StatusNoContent)
}

// P39, T34: a persistent cookie lives exactly to the absolute end.
func TestPersistentCookie(t *testing.T) {
	s := newSite(t, func(c *gateway.Config) {
		c.Persistent = true
		c.Policy = counterfoil.Policy{Absolute: 90 * time.Minute}
	}).withAccounts()
	a := s.browser().post("/auth/login", "username", alice, "password", alicePassword).want(t, 303)
	if c := a.Header.Get("Set-Cookie"); !strings.Contains(c, "Max-Age=5400;") {
		t.Errorf("%q", c)
	}
}

// SD13: nobody is signed out by a link or a picture.
func TestSignOutIsPost(t *testing.T) {
	s := newSite(t).withAccounts()
	b := s.signedIn(alice)
	for _, method := range []string{"GET", "HEAD", "PUT"} {
		if a := b.do(method, "/auth/logout", ""); a.StatusCode != 405 || a.Header.Get("Allow") != "POST" {
			t.Errorf("%s: %d, Allow %q", method, a.StatusCode, a.Header.Get("Allow"))
		}
	}
	if b.check() != 200 {
		t.Error("signed out")
	}
}

// S15: a wrong password changes nothing, and looks like an unknown or a disabled account.
func TestWrongPassword(t *testing.T) {
	s := newSite(t).withAccounts()
	if _, _, err := s.accounts.SetDisabled(context.Background(), s.g.Sessions(), bob, true); err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	for name, form := range map[string][2]string{
		"wrong":    {alice, "not her password at all"},
		"unknown":  {"zebra", "not her password at all"},
		"disabled": {bob, bobPassword},
		"no name":  {"a b", "not her password at all"},
		"too long": {alice, strings.Repeat("x", 1000)},
		"control":  {alice, "three\ttickets to the opera"},
	} {
		b := s.browser()
		a := b.post("/auth/login", "username", form[0], "password", form[1], "next", "/x").want(t, 401)
		if len(a.Header["Set-Cookie"]) > 0 {
			t.Errorf("%s: sets %q", name, a.Header["Set-Cookie"])
		}
		if !strings.Contains(a.body, `role="alert"`) || !strings.Contains(a.body, `name="next" value="/x"`) || strings.Contains(a.body, form[1]) {
			t.Errorf("%s: the form does not come back as it should", name)
		}
		a = s.client().post("/auth/login", "username", form[0], "password", form[1]).want(t, 401)
		seen[a.body] = name
	}
	if len(seen) != 1 {
		t.Errorf("answers can be told apart: %q", seen)
	}
	// A session that was there stays as it was.
	b := s.signedIn(alice)
	before := b.token()
	b.post("/auth/login", "username", alice, "password", "not her password at all").want(t, 401)
	if b.token() != before || b.check() != 200 {
		t.Error("a failed sign-in changed the session")
	}
	if n := s.recorded(counterfoil.ReasonCredential); n != 13 {
		t.Errorf("%d failed sign-ins are recorded, want 13", n)
	}
}

// SD12: the eleventh attempt has to wait, and is told how long; the right password is let in then,
// and at any time from elsewhere.
func TestTooManyAttempts(t *testing.T) {
	s := newSite(t, func(c *gateway.Config) { c.Proxies = prefixes("127.0.0.0/8") }).withAccounts()
	attacker := s.browser()
	attacker.header.Set("X-Forwarded-For", "203.0.113.7")
	for range 10 {
		attacker.post("/auth/login", "username", alice, "password", "not her password at all").want(t, 401)
	}
	a := attacker.post("/auth/login", "username", alice, "password", alicePassword).want(t, 429)
	if a.Header.Get("Retry-After") != "900" || !strings.Contains(a.body, `datetime="2030-01-02T03:19:05Z"`) || !strings.Contains(a.body, "in 15 minutes") {
		t.Errorf("Retry-After %q; the page must say when:\n%s", a.Header.Get("Retry-After"), a.body)
	}
	if a = attacker.do("POST", "/auth/login", `{"username":"alice","password":"x"}`, "Content-Type", "application/json").want(t, 429); a.Header.Get("Retry-After") == "" || !strings.Contains(a.body, `"too_many_attempts"`) {
		t.Errorf("JSON: %s", a.body)
	}
	owner := s.browser()
	owner.header.Set("X-Forwarded-For", "198.51.100.20")
	owner.signIn(alice, alicePassword)
	s.clock.Advance(15*time.Minute + time.Second)
	attacker.post("/auth/login", "username", alice, "password", alicePassword).want(t, 303)
	if s.recorded(counterfoil.ReasonTooMany) != 2 {
		t.Error("what was over the limit is not recorded")
	}
}

func TestSignInJSON(t *testing.T) {
	s := newSite(t).withAccounts()
	c := s.client()
	a := c.do("POST", "/auth/login", fmt.Sprintf(`{"username":%q,"password":%q,"next":"/x"}`, alice, alicePassword), "Content-Type", "application/json; charset=utf-8").want(t, 200)
	var got struct {
		Session struct{ ID, User string }
		Next    string
	}
	if a.json(t, &got); got.Session.User != alice || len(got.Session.ID) != 22 || got.Next != "/x" {
		t.Errorf("%s", a.body)
	}
	if c.check() != 200 {
		t.Error("not signed in")
	}
	for name, in := range map[string][2]string{
		"not JSON":        {`username=alice`, "application/json"},
		"twice a field":   {`{"username":"a","username":"b","password":"c"}`, "application/json"},
		"no string":       {`{"username":1,"password":"c"}`, "application/json"},
		"nested":          {`{"username":{"a":"b"},"password":"c"}`, "application/json"},
		"more after it":   {`{"username":"a","password":"c"} {}`, "application/json"},
		"cut":             {`{"username":"a"`, "application/json"},
		"array":           {`["username"]`, "application/json"},
		"no UTF-8":        {"{\"username\":\"\xff\"}", "application/json"},
		"form, twice":     {"username=a&username=b&password=c", "application/x-www-form-urlencoded"},
		"form, bad %":     {"username=%zz&password=c", "application/x-www-form-urlencoded"},
		"form, no UTF-8":  {"username=%ff&password=c", "application/x-www-form-urlencoded"},
		"form, semicolon": {"username=a;password=c", "application/x-www-form-urlencoded"},
	} {
		if a := s.client().do("POST", "/auth/login", in[0], "Content-Type", in[1]); a.StatusCode != 400 || !strings.Contains(a.body, `"bad_request"`) {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
	}
	s.client().do("POST", "/auth/login", "a", "Content-Type", "text/plain").want(t, 415)
	s.client().do("POST", "/auth/login", "a").want(t, 415)
	s.client().do("POST", "/auth/login", "username="+strings.Repeat("a", 20<<10), "Content-Type", "application/x-www-form-urlencoded").want(t, 413)
}

// S33, S34, S35, S16, T36, P77, P78, P79: an attacker plants what he knows in the victim's browser
// and gets nothing from the sign-in.
func TestFixation(t *testing.T) {
	s := newSite(t).withAccounts()
	attacker := s.signedIn(bob) // the best token an attacker can have: a live one
	planted := attacker.token()
	victim := s.browser()
	a := victim.do("POST", "/auth/login?session="+planted, form("username", alice, "password", alicePassword, "session", planted),
		"Content-Type", "application/x-www-form-urlencoded", "Cookie", "__Host-Http-session="+planted, "X-Session-Id", planted).want(t, 303)
	if strings.Contains(a.Header.Get("Set-Cookie"), planted) || victim.token() == "" {
		t.Fatal("the planted token became the victim's")
	}
	if attacker.check() != 401 {
		t.Error("the planted session lives on after the sign-in that replaced it")
	}
	// A well-formed token that nobody issued, in every place: never taken.
	forged := "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	for _, path := range []string{"/auth/check?session=" + victim.token(), "/auth/check?sessionid=" + forged, "/auth/api/v1/session;session=" + victim.token()} {
		if a := s.client().get(path, "X-Session-Id", victim.token()); a.StatusCode == 200 && strings.Contains(a.body+a.Header.Get("X-Auth-Subject"), alice) {
			t.Errorf("%s: a token outside the cookie was taken", path)
		}
	}
	a = s.client().do("POST", "/auth/login", form("username", alice, "password", alicePassword), "Content-Type", "application/x-www-form-urlencoded", "Cookie", "__Host-Http-session="+forged).want(t, 303)
	if strings.Contains(a.Header.Get("Set-Cookie"), forged) {
		t.Error("a forged token was adopted")
	}
}

// The same form sent twice signs in once.
func TestDoubleSubmit(t *testing.T) {
	s := newSite(t).withAccounts()
	b := s.browser()
	page := b.get("/auth/login").want(t, 200).body
	_, nonce, _ := strings.Cut(page, `name="nonce" value="`)
	nonce, _, _ = strings.Cut(nonce, `"`)
	if len(nonce) != 22 {
		t.Fatalf("nonce %q", nonce)
	}
	fields := form("username", alice, "password", alicePassword, "nonce", nonce)
	for range 2 { // without a jar: both come from before the first answer
		s.client().do("POST", "/auth/login", fields, "Content-Type", "application/x-www-form-urlencoded").want(t, 303)
	}
	c := s.signedIn(alice)
	var list struct{ Sessions []struct{ ID string } }
	if c.get("/auth/api/v1/sessions").json(t, &list); len(list.Sessions) != 2 {
		t.Errorf("%d sessions, want the double one and this", len(list.Sessions))
	}
	s.client().post("/auth/login", "username", alice, "password", alicePassword, "nonce", "short").want(t, 303) // an odd nonce is none
}

// S36: wherever next comes from, the answer leads to this site.
func TestNext(t *testing.T) {
	s := newSite(t).withAccounts()
	for next, want := range map[string]string{"/a?b=c": "/a?b=c", "//evil.example": "/", "https:evil.example": "/", `\evil.example`: "/", `/\evil.example`: "/", "/\r\nSet-Cookie: a=b": "/"} {
		a := s.browser().post("/auth/login", "username", alice, "password", alicePassword, "next", next).want(t, 303)
		if got := a.Header.Get("Location"); got != want {
			t.Errorf("%q leads to %q", next, got)
		}
	}
	a := s.browser().get("/reports/2030?x=1&y=%2F").want(t, 303)
	if got := a.Header.Get("Location"); got != "/auth/login?next=%2Freports%2F2030%3Fx%3D1%26y%3D%252F" {
		t.Errorf("sent to %q", got)
	}
	if a := s.browser().get("/auth/login?next=//evil.example").want(t, 200); strings.Contains(a.body, "evil.example") {
		t.Error("the page carries a foreign next")
	}
}
