package gateway_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/gateway"
	"github.com/counterfoil/counterfoil/sessiontest"
)

// raw sends bytes as they are, which Go's client would not, and returns what comes back until the end.
func (s *site) raw(request string) string {
	s.t.Helper()
	conn, err := tls.Dial("tcp", s.host(), &tls.Config{InsecureSkipVerify: true}) // the test server's own certificate
	must(s.t, err)
	defer conn.Close()
	now, _ := counterfoil.SystemClock().Now()
	must(s.t, conn.SetDeadline(now.Add(5*time.Minute))) // should it hang
	_, err = io.WriteString(conn, request)
	must(s.t, err)
	got, err := io.ReadAll(conn)
	must(s.t, err)
	return string(got)
}

func (s *site) host() string { return strings.TrimPrefix(s.srv.URL, "https://") }

// A client that switched its connection to h2c could tell the application anything, past the gateway.
func TestOnlyWebSocketsUpgrade(t *testing.T) {
	for _, protocol := range []string{"h2c", "websocket, h2c", "TLS/1.2"} {
		t.Run(protocol, func(t *testing.T) {
			s := behind(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Upgrade") == "" {
					io.WriteString(w, "no switch")
					return
				}
				conn, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: %s\r\nConnection: Upgrade\r\n\r\nsmuggled", r.Header.Get("Upgrade"))
			})
			got := s.raw(fmt.Sprintf("GET / HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: %s\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\nCookie: __Host-Http-session=%s\r\n\r\n",
				s.host(), protocol, s.signedIn(alice).token()))
			if !strings.Contains(got, "no switch") {
				t.Errorf("%q", got)
			}
		})
	}
}

// A request line that names no path reaches no application: it would be written as it is.
func TestRequestTargets(t *testing.T) {
	s := behind(t, echo)
	token := s.signedIn(alice).token()
	for target, want := range map[string]string{
		"http:elsewhere":              "400 Bad Request",
		"x:.evil.example":             "400 Bad Request",
		"*":                           "400 Bad Request",
		"http://" + s.host() + "/a?b": "URL: /a?b\n",
		"//evil.example/a":            "URL: //evil.example/a\n",
	} {
		got := s.raw(fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nCookie: __Host-Http-session=%s\r\n\r\n", target, s.host(), token))
		if !strings.Contains(got, want) {
			t.Errorf("%s: %q", target, got)
		}
	}
}

// An application in a folder is left neither by dots nor by their other spellings.
func TestNobodyLeavesTheFolder(t *testing.T) {
	s := behind(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "at %s", r.URL.Path) },
		func(c *gateway.Config) { c.Upstream = c.Upstream.JoinPath("/shop") })
	token := s.signedIn(alice).token()
	for target, want := range map[string]string{
		"/":                "at /shop/",
		"/a/b..c/.hidden":  "at /shop/a/b..c/.hidden",
		"/...":             "at /shop/...",
		"/../admin":        "400 Bad Request",
		"/a/..":            "400 Bad Request",
		"/%2e%2e/admin":    "400 Bad Request",
		"/..%2fadmin":      "400 Bad Request",
		"/..%5cadmin":      "400 Bad Request",
		"/..;x=1/admin":    "400 Bad Request",
		"/a/b/../../../ad": "400 Bad Request",
	} {
		got := s.raw(fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nCookie: __Host-Http-session=%s\r\n\r\n", target, s.host(), token))
		if !strings.Contains(got, want) {
			t.Errorf("%s: %q", target, got)
		}
	}
}

// CGI-like interfaces make an underscore of every sign in a field's name.
func TestIdentityUnderOtherSigns(t *testing.T) {
	s := behind(t, echo)
	got := s.raw(fmt.Sprintf("GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nCookie: __Host-Http-session=%s\r\n"+
		"X.Auth.Subject: forged\r\nX!Auth~Subject: forged\r\nx'auth|level: forged\r\nProxy: forged\r\nClient_Ip: forged\r\nRemote.User: forged\r\nRemote-Groups: forged\r\nX-Remote-Group: forged\r\nX-Kept: kept\r\n\r\n",
		s.host(), s.signedIn(alice).token()))
	if strings.Contains(got, "forged") || !strings.Contains(got, "X-Kept: kept") || !strings.Contains(got, "X-Auth-Subject: alice") {
		t.Errorf("%s", got)
	}
}

// A cookie that the application sets without a name comes back as its value: "name=value".
func TestNamelessCookies(t *testing.T) {
	s := behind(t, func(w http.ResponseWriter, _ *http.Request) {
		for _, line := range []string{"=__Host-Http-session=planted", " = __Host-Http-visit=planted; Path=/", "=harmless"} {
			w.Header().Add("Set-Cookie", line)
		}
	})
	if got := s.signedIn(alice).get("/").want(t, 200).Header["Set-Cookie"]; len(got) != 1 || got[0] != "=harmless" {
		t.Errorf("%q", got)
	}
}

// Nor does a cookie of our name come with an answer before the answer.
func TestCookiesOfEarlyHints(t *testing.T) {
	s := behind(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Set-Cookie", "__Host-Http-session=planted")
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Set-Cookie")
		io.WriteString(w, "the answer")
	})
	got := s.raw(fmt.Sprintf("GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nCookie: __Host-Http-session=%s\r\n\r\n", s.host(), s.signedIn(alice).token()))
	if !strings.HasPrefix(got, "HTTP/1.1 103 ") || !strings.Contains(got, "Link: ") || !strings.Contains(got, "the answer") || strings.Contains(got, "planted") {
		t.Errorf("%s", got)
	}
}

// Who announces a body and never sends it holds a connection no longer than bodyTimeout, whatever it
// asks for; an upload to the application may take longer.
func TestBodiesThatNeverCome(t *testing.T) {
	machine := counterfoil.SystemClock()
	now, _ := machine.Now()
	clock := sessiontest.NewClock(now)
	s := behind(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "got %s", body)
	}, func(c *gateway.Config) { c.Clock = clock })
	token := s.signedIn(alice).token()
	later, _ := machine.Now()
	clock.Step(later.Sub(now) + 300*time.Millisecond - 30*time.Second) // bodyTimeout is over soon, and then at once
	for _, path := range []string{"/", "/healthz", "/readyz", "/auth/check", "/auth/login", "/auth/logout", "/auth/setup", "/auth/nothing", "/auth/account/password"} {
		for _, kind := range []string{"application/x-www-form-urlencoded", "text/plain"} {
			got := s.raw(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\nContent-Length: 9\r\n\r\nx", path, s.host(), kind))
			if !strings.HasPrefix(got, "HTTP/1.1 ") {
				t.Errorf("%s, %s: %q", path, kind, got)
			}
		}
	}

	conn, err := tls.Dial("tcp", s.host(), &tls.Config{InsecureSkipVerify: true}) // the test server's own certificate
	must(t, err)
	defer conn.Close()
	fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: %s\r\nCookie: __Host-Http-session=%s\r\nContent-Length: 9\r\n\r\nslow", s.host(), token)
	time.Sleep(500 * time.Millisecond)
	io.WriteString(conn, " body")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	must(t, err)
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); string(body) != "got slow body" {
		t.Errorf("%q", body)
	}
}
