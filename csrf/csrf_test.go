package csrf_test

import (
	"errors"
	"net/http/httptest"
	"testing"

	"github.com/counterfoil/counterfoil/csrf"
)

// P82, T28: what browsers and programs send, in combination.
func TestCheck(t *testing.T) {
	const self = "https://app.example"
	type headers []string
	for _, c := range []struct {
		name, method string
		headers      headers
		allowed      bool
	}{
		{"link from elsewhere", "GET", headers{"Sec-Fetch-Site", "cross-site"}, true},
		{"HEAD from elsewhere", "HEAD", headers{"Origin", "https://evil.example"}, true},
		{"preflight from elsewhere", "OPTIONS", headers{"Origin", "https://evil.example"}, true},
		{"own form", "POST", headers{"Sec-Fetch-Site", "same-origin", "Origin", self}, true},
		{"own form, Host rewritten by a proxy", "POST", headers{"Sec-Fetch-Site", "same-origin", "Origin", "https://outside.example"}, true},
		{"own form with Origin null", "POST", headers{"Sec-Fetch-Site", "same-origin", "Origin", "null"}, true},
		{"user's own doing", "POST", headers{"Sec-Fetch-Site", "none"}, true},
		{"foreign form", "POST", headers{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, false},
		{"foreign form that claims our Origin", "POST", headers{"Sec-Fetch-Site", "cross-site", "Origin", self}, false},
		{"sibling domain", "POST", headers{"Sec-Fetch-Site", "same-site", "Origin", "https://blog.example"}, false},
		{"unknown value", "POST", headers{"Sec-Fetch-Site", "same-planet"}, false},
		{"empty value", "POST", headers{"Sec-Fetch-Site", ""}, false},
		{"value in capitals", "POST", headers{"Sec-Fetch-Site", "Same-Origin"}, false},
		{"two values", "POST", headers{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Site", "cross-site"}, false},
		{"old browser, own form", "POST", headers{"Origin", self}, true},
		{"old browser, foreign form", "POST", headers{"Origin", "https://evil.example"}, false},
		{"old browser, plain-http page of our host", "POST", headers{"Origin", "http://app.example"}, false},
		{"old browser, other port", "POST", headers{"Origin", "https://app.example:8443"}, false},
		{"old browser, default port spelled out", "POST", headers{"Origin", "https://app.example:443"}, false},
		{"old browser, user information", "POST", headers{"Origin", "https://evil@app.example"}, false},
		{"old browser, path", "POST", headers{"Origin", self + "/"}, false},
		{"old browser, longer name", "POST", headers{"Origin", self + ".evil.example"}, false},
		{"old browser, null", "POST", headers{"Origin", "null"}, false},
		{"old browser, empty", "POST", headers{"Origin", ""}, false},
		{"old browser, two origins", "POST", headers{"Origin", self, "Origin", self}, false},
		{"curl", "POST", nil, true},
		{"curl DELETE", "DELETE", nil, true},
		{"PUT from elsewhere", "PUT", headers{"Sec-Fetch-Site", "cross-site"}, false},
		{"method of one's own from elsewhere", "PURGE", headers{"Origin", "https://evil.example"}, false},
		{"own socket", "GET", headers{"Upgrade", "websocket", "Connection", "Upgrade", "Origin", self}, true},
		{"own socket, Fetch metadata", "GET", headers{"Upgrade", "websocket", "Sec-Fetch-Site", "same-origin", "Origin", self}, true},
		{"foreign socket", "GET", headers{"Upgrade", "websocket", "Connection", "Upgrade", "Origin", "https://evil.example"}, false},
		{"foreign socket, Fetch metadata", "GET", headers{"Upgrade", "websocket", "Sec-Fetch-Site", "cross-site"}, false},
		{"foreign socket from plain http", "GET", headers{"Upgrade", "websocket", "Origin", "http://app.example"}, false},
		{"foreign upgrade to anything", "GET", headers{"Upgrade", "h2c", "Origin", "https://evil.example"}, false},
		{"foreign socket over HTTP/2", "CONNECT", headers{"Origin", "https://evil.example"}, false},
		{"socket of a program", "GET", headers{"Upgrade", "websocket"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(c.method, "https://app.example/", nil)
			for i := 0; i < len(c.headers); i += 2 {
				r.Header.Add(c.headers[i], c.headers[i+1])
			}
			err := csrf.Check(r, self)
			if (err == nil) != c.allowed {
				t.Errorf("got %v, want allowed %v", err, c.allowed)
			}
			if err != nil && !errors.Is(err, csrf.ErrCrossSite) {
				t.Errorf("%v is no ErrCrossSite", err)
			}
		})
	}
}

func TestOrigin(t *testing.T) {
	for _, c := range []struct{ scheme, host, want string }{
		{"https", "App.Example", "https://app.example"},
		{"https", "app.example:443", "https://app.example"},
		{"https", "app.example:80", "https://app.example:80"},
		{"http", "127.0.0.1:8080", "http://127.0.0.1:8080"},
		{"http", "[::1]:80", "http://[::1]"},
		{"https", "", ""},
	} {
		if got := csrf.Origin(c.scheme, c.host); got != c.want {
			t.Errorf("%s %s: %q, want %q", c.scheme, c.host, got, c.want)
		}
	}
}

// An empty self, a host that could not be read, matches no Origin.
func TestUnknownSelf(t *testing.T) {
	r := httptest.NewRequest("POST", "/", nil)
	r.Header.Set("Origin", "")
	if csrf.Check(r, "") == nil {
		t.Error("an empty Origin passed for an unknown self")
	}
}
