package gateway_test

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/gateway"
)

// T5, PD11: without TLS nothing is read or sent, but from a named proxy that says https.
func TestPlainHTTP(t *testing.T) {
	s := newSite(t, func(c *gateway.Config) { c.TLS = false; c.Proxies = prefixes("127.0.0.1/32") }).withAccounts()
	secure := []string{"X-Forwarded-Proto", "https", "X-Forwarded-Host", "app.example"}
	c := s.client()
	c.header.Set("Content-Type", "application/x-www-form-urlencoded")
	login := form("username", alice, "password", alicePassword)
	a := c.do("POST", "/auth/login", login, secure...).want(t, 303)
	cookie, _, _ := strings.Cut(a.Header.Get("Set-Cookie"), ";")
	if !strings.HasPrefix(cookie, "__Host-Http-session=") || a.Header.Get("Strict-Transport-Security") == "" {
		t.Fatalf("%v", a.Header)
	}
	c.get("/auth/check", append(secure, "Cookie", cookie)...).want(t, 200)
	for name, header := range map[string][]string{"no word of it": nil, "http": {"X-Forwarded-Proto", "http"}, "another header": {"Forwarded", "proto=https", "X-Forwarded-Ssl", "on"}} {
		a := c.do("POST", "/auth/login", login, header...).want(t, 403)
		if len(a.Header["Set-Cookie"]) > 0 || a.Header.Get("Strict-Transport-Security") != "" || !strings.Contains(a.body, `"https_required"`) {
			t.Errorf("%s: %v %s", name, a.Header, a.body)
		}
		for _, path := range []string{"/", "/auth/check", "/auth/login", "/auth/api/v1/session"} {
			c.get(path, append(header, "Cookie", cookie)...).want(t, 403)
		}
	}
	// The browser's origin is what the proxy says it is.
	c.do("POST", "/auth/logout", "", append(secure, "Origin", "https://app.example")...).want(t, 204)
	c.do("POST", "/auth/logout", "", append(secure, "Origin", s.srv.URL)...).want(t, 403)
	// A peer that is not named gets nowhere by claiming.
	other := newSite(t, func(c *gateway.Config) { c.TLS = false; c.Proxies = prefixes("192.0.2.1/32") })
	other.client().get("/auth/login", secure...).want(t, 403)
}

// In development: plain http for this machine's names alone (DNS rebinding), cookies without Secure,
// no HSTS.
func TestDev(t *testing.T) {
	s := newSite(t, func(c *gateway.Config) { c.TLS = false; c.Dev = true }).withAccounts()
	b := s.browser()
	a := b.post("/auth/login", "username", alice, "password", alicePassword).want(t, 303)
	if c := a.Header.Get("Set-Cookie"); !strings.HasPrefix(c, "counterfoil-session=") || strings.Contains(c, "Secure") || !strings.Contains(c, "HttpOnly; SameSite=Lax") {
		t.Errorf("%q", c)
	}
	if a.Header.Get("Strict-Transport-Security") != "" {
		t.Error("HSTS over plain http")
	}
	b.get("/").want(t, 200)
	for host, status := range map[string]int{"localhost:8080": 200, "LOCALHOST": 200, "demo.localhost": 200, "127.0.0.1:1": 200, "127.1.2.3": 200, "[::1]:8080": 200,
		"evil.example": 421, "localhost.evil.example": 421, "127.0.0.1.evil.example": 421, "10.0.0.1": 421, "0.0.0.0": 421, "2130706433": 421} {
		if a := b.get("/auth/login", "Host", host); a.StatusCode != status {
			t.Errorf("%s: %d, want %d", host, a.StatusCode, status)
		}
	}
	b.do("POST", "/auth/logout", "", "Origin", "http://evil.example").want(t, 403)
	b.do("POST", "/auth/logout", "", "Origin", strings.Replace(s.srv.URL, "http:", "https:", 1)).want(t, 403)
	b.do("POST", "/auth/logout", "", "Origin", s.srv.URL).want(t, 303)
}

// With a public URL the site is served under that name alone, whatever the port; the check, which proxies
// ask under names of their own, and probes are not held to it. The origin is that of the URL.
func TestOneName(t *testing.T) {
	public := &url.URL{Scheme: "https", Host: "app.example"}
	s := newSite(t, func(c *gateway.Config) { c.PublicURL = public }).withAccounts()
	login := form("username", alice, "password", alicePassword)
	b := s.browser()
	a := b.do("POST", "/auth/login", login, "Content-Type", "application/x-www-form-urlencoded", "Host", public.Host).want(t, 303)
	cookie, _, _ := strings.Cut(a.Header.Get("Set-Cookie"), ";")
	b.c.Jar = nil // it would keep cookies by name
	b.header.Set("Cookie", cookie)
	for host, status := range map[string]int{"app.example": 200, "APP.example.": 200, "app.example:8443": 200,
		"evil.example": 421, "app.example.evil.example": 421, "10.0.0.1": 421, "": 421} {
		for _, path := range []string{"/", "/auth/account", "/auth/login"} {
			if a := b.get(path, "Host", host); a.StatusCode != status {
				t.Errorf("%s under %q: %d, want %d", path, host, a.StatusCode, status)
			}
		}
		b.get("/auth/check", "Host", host).want(t, 200)
		b.get("/readyz", "Host", host).want(t, 200)
	}
	b.get("/", "Host", "evil.example", "X-Forwarded-Host", public.Host).want(t, 421) // no proxy is trusted
	a = s.client().do("POST", "/auth/login", login, "Content-Type", "application/x-www-form-urlencoded").want(t, 421)
	if len(a.Header["Set-Cookie"]) > 0 || !strings.Contains(a.body, `"wrong_host"`) || a.Header.Get("Strict-Transport-Security") == "" {
		t.Errorf("%v %s", a.Header, a.body)
	}
	for origin, status := range map[string]int{"https://app.example": 204, s.srv.URL: 403} {
		s.client().do("POST", "/auth/logout", "", "Host", public.Host, "Origin", origin).want(t, status)
	}

	s = newSite(t, func(c *gateway.Config) { c.TLS, c.Proxies, c.PublicURL = false, prefixes("127.0.0.1/32"), public })
	for _, host := range []string{public.Host, "evil.example"} {
		status := map[bool]int{true: 200, false: 421}[host == public.Host]
		s.client().get("/auth/login", "X-Forwarded-Proto", "https", "X-Forwarded-Host", host).want(t, status)
	}
	s.client().get("/auth/login", "X-Forwarded-Proto", "https", "Host", "127.0.0.1:8080").want(t, 200) // the proxy's own name for us
}

// T28, SD7: what another site makes a browser send changes nothing, with the cookie along.
func TestCrossSite(t *testing.T) {
	s := newSite(t).withAccounts()
	b := s.signedIn(alice)
	other := s.signedIn(alice)
	id := other.id()
	foreign := [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}, {"Origin", "null"},
		{"Origin", strings.Replace(s.srv.URL, "https:", "http:", 1)}}
	for _, header := range foreign {
		for path, body := range map[string]string{
			"/auth/login": form("username", bob, "password", bobPassword), "/auth/logout": "", "/auth/setup": "", "/": form("note", "planted"),
			"/auth/account/end": form("id", id), "/auth/account/end-others": "", "/auth/account/password": form("current", alicePassword, "new", "an umbrella in the rain"),
		} {
			a := b.do("POST", path, body, append(header, "Content-Type", "application/x-www-form-urlencoded")...)
			if a.StatusCode != 403 || len(a.Header["Set-Cookie"]) > 0 {
				t.Errorf("%s with %v: %d %q", path, header, a.StatusCode, a.Header["Set-Cookie"])
			}
		}
		b.do("DELETE", "/auth/api/v1/sessions/"+id, "", header...).want(t, 403)
		b.get("/", append(header, "Upgrade", "websocket", "Connection", "Upgrade")...).want(t, 403)
	}
	if b.check() != 200 || other.check() != 200 || strings.Contains(b.get("/").body, "planted") {
		t.Error("something happened all the same")
	}
	// S52, P87: no origin is ever let in by CORS.
	for _, path := range []string{"/", "/auth/api/v1/session", "/auth/check"} {
		for _, method := range []string{"GET", "OPTIONS"} {
			a := b.do(method, path, "", "Origin", "https://evil.example", "Access-Control-Request-Method", "DELETE")
			for name := range a.Header {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("%s %s: %s", method, path, name)
				}
			}
		}
	}
}

// All faults of a configuration come together, each with what to do.
func TestConfigRefused(t *testing.T) {
	_, err := gateway.New(t.Context(), gateway.Config{
		Prefix: "auth/", Upstream: &url.URL{Scheme: "ftp", Host: "a"}, PublicURL: &url.URL{Scheme: "http", Host: "a"},
		Proxies: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")},
	})
	if err == nil {
		t.Fatal("taken")
	}
	for _, part := range []string{"Store", "Keys", "Accounts", "prefix", "upstream", "public URL", "0.0.0.0/0"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not named in: %v", part, err)
		}
	}
	if _, err := gateway.New(t.Context(), gateway.Config{}); err == nil || !strings.Contains(err.Error(), "--dev") {
		t.Errorf("without TLS: %v", err)
	}
}

// R7: two different cookies are nobody's; a person is told what to do, nothing is cleared.
func TestTwoCookies(t *testing.T) {
	s := newSite(t).withAccounts()
	one, two := s.signedIn(alice).token(), s.signedIn(bob).token()
	both := []string{"Cookie", "__Host-Http-session=" + one + "; __Host-Http-session=" + two}
	b := s.browser()
	b.c.Jar = nil
	for _, path := range []string{"/", "/auth/login", "/auth/account"} {
		a := b.get(path, both...).want(t, http.StatusBadRequest)
		if len(a.Header["Set-Cookie"]) > 0 || !strings.Contains(a.body, "Clear the cookies") {
			t.Errorf("%s: %v", path, a.Header)
		}
	}
	s.client().get("/", both...).want(t, 401)
	s.client().get("/auth/check", both...).want(t, 401)
	s.client().get("/auth/check", "Cookie", "__Host-Http-session="+one+"; __Host-Http-session="+one).want(t, 200)
	if s.recorded("cookie.ambiguous") == 0 {
		t.Error("no event")
	}
}
