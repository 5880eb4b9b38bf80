package gateway_test

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
)

// P95, T29, T35, T39, T40, P85, P86, SD6: every route, by every method, as a browser and as a program,
// signed in and not, with good and bad bodies: each Set-Cookie and header is looked at, and no body
// holds a session's token.
func TestCrawl(t *testing.T) {
	s := newSite(t).withAccounts()
	paths := []string{"/", "/nothing", "/auth", "/auth/", "/auth/login", "/auth/login?next=/x", "/auth/logout", "/auth/setup", "/auth/check", "/auth/check?level=2", "/auth/check?x=y",
		"/auth/account", "/auth/account/end", "/auth/account/end-others", "/auth/account/password", "/auth/api/v1/session", "/auth/api/v1/sessions",
		"/auth/api/v1/sessions/AAAAAAAAAAAAAAAAAAAAAA", "/auth/api/v1/sessions/", "/auth/static/style.css", "/auth/nothing", "/healthz", "/readyz"}
	bodies := []string{"", form("username", alice, "password", "not her password at all"), form("current", "not hers", "new", "x"), form("note", strings.Repeat("x", 300)), strings.Repeat("x", 20<<10)}
	cookie := regexp.MustCompile(`^__Host-Http-(session|visit)=[A-Za-z0-9_-]{0,43}; Path=/; (Max-Age=0; )?HttpOnly; Secure; SameSite=Lax$`)
	seen := 0
	for _, who := range []string{"nobody", "alice", "garbage"} {
		for _, html := range []bool{true, false} {
			for _, path := range paths {
				for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"} {
					for i, body := range bodies {
						if i > 0 && method != "POST" {
							continue
						}
						c := s.client()
						if html {
							c = s.browser()
						}
						var header []string
						token := "garbage"
						switch who {
						case "alice":
							c.signIn(alice, alicePassword)
							token = c.token()
						case "garbage":
							header = []string{"Cookie", "__Host-Http-session=%00\"garbage; __Host-Http-visit=x"}
						}
						if body != "" {
							header = append(header, "Content-Type", "application/x-www-form-urlencoded")
						}
						a := c.do(method, path, body, header...)
						at := who + " " + method + " " + path
						seen++
						if a.StatusCode >= 500 {
							t.Errorf("%s: %d", at, a.StatusCode)
						}
						for _, line := range a.Header["Set-Cookie"] {
							if !cookie.MatchString(line) {
								t.Errorf("%s: %q", at, line)
							}
						}
						if strings.Contains(a.body, token) && who == "alice" {
							t.Errorf("%s: the token is in the body", at)
						}
						h := a.Header
						if h.Get("Strict-Transport-Security") == "" && path != "/healthz" && path != "/readyz" {
							t.Errorf("%s: no HSTS", at)
						}
						if h.Get("Cache-Control") != "no-store" {
							t.Errorf("%s: Cache-Control %q", at, h.Get("Cache-Control"))
						}
						if path == "/auth/check" && a.StatusCode == 200 {
							continue // headers for a proxy, no page
						}
						csp := h.Get("Content-Security-Policy")
						if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "same-origin" || h.Get("Cross-Origin-Opener-Policy") != "same-origin" ||
							!strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe") {
							t.Errorf("%s: %v", at, h)
						}
						if !strings.HasPrefix(h.Get("Content-Type"), "text/html") {
							continue
						}
						if !strings.Contains(csp, "object-src 'none'") || !strings.Contains(csp, "base-uri 'none'") || !strings.Contains(csp, "form-action 'self'") {
							t.Errorf("%s: CSP %q", at, csp)
						}
						if method != "HEAD" {
							wellMade(t, at, a.body)
						}
					}
				}
			}
		}
	}
	if seen < 1000 {
		t.Errorf("only %d answers were looked at", seen)
	}
}

var (
	inline = regexp.MustCompile(`(?i)<style|\sstyle=|\son[a-z]+=|javascript:|<script(?:>|[^>]*[^>]>[^<])`)
	input  = regexp.MustCompile(`<input id="([^"]+)"`)
)

// wellMade checks what every page must have: a language, a title, one heading of the first rank, a
// way past the header, a label for each field, and no script or style inside.
func wellMade(t *testing.T, at, body string) {
	t.Helper()
	for _, part := range []string{`<html lang="en">`, "<title>", `<a class="skip" href="#main">`, `<main id="main"`, `name="viewport"`} {
		if !strings.Contains(body, part) {
			t.Errorf("%s: the page lacks %s", at, part)
		}
	}
	if n := strings.Count(body, "<h1"); n != 1 {
		t.Errorf("%s: %d headings of the first rank", at, n)
	}
	if found := inline.FindString(body); found != "" {
		t.Errorf("%s: %q stands in the page", at, found)
	}
	for _, field := range input.FindAllStringSubmatch(body, -1) {
		if !strings.Contains(body, `<label for="`+field[1]+`"`) {
			t.Errorf("%s: no label for %s", at, field[1])
		}
	}
	if strings.Contains(body, "Signed in as") && !strings.Contains(body, `action="/auth/logout"`) {
		t.Errorf("%s: no way to sign out", at)
	}
}

// C14, G9: whatever stands in the cookie, nobody is let in and nothing breaks.
func TestGarbageCookies(t *testing.T) {
	s := newSite(t).withAccounts()
	good := s.signedIn(alice).token()
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 1000 {
		line := []byte("__Host-Http-session=" + good)
		for range 1 + random.IntN(4) {
			switch at := 20 + random.IntN(len(line)-20); random.IntN(3) {
			case 0:
				line[at] = byte(' ' + random.IntN(95))
			case 1:
				line = append(line[:at], line[at+1:]...)
			case 2:
				line = append(line[:at], append([]byte{byte(0x80 + random.IntN(128))}, line[at:]...)...)
			}
			if len(line) < 22 {
				break
			}
		}
		if strings.Contains(string(line), good) {
			continue
		}
		c := s.client()
		path := []string{"/", "/auth/check"}[i%2]
		if a := c.get(path, "Cookie", string(line)); a.StatusCode != 401 && a.StatusCode != 429 && a.StatusCode != 503 {
			t.Fatalf("%q on %s: %d", line, path, a.StatusCode)
		}
	}
	if logs := s.logs.String(); strings.Contains(logs, "panic") || strings.Contains(logs, good) {
		t.Error(logs)
	}
}
