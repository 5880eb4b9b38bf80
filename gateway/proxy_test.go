package gateway_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/gateway"
)

// behind returns a site before an application that tells what it was asked.
func behind(t testing.TB, app http.HandlerFunc, edit ...func(*gateway.Config)) *site {
	t.Helper()
	up := httptest.NewServer(app)
	t.Cleanup(up.Close)
	u, err := url.Parse(up.URL)
	must(t, err)
	return newSite(t, append([]func(*gateway.Config){func(c *gateway.Config) { c.Upstream = u }}, edit...)...).withAccounts()
}

// echo answers with the request's header, a field a line.
func echo(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "Host: %s\nURL: %s\n", r.Host, r.URL)
	for name, values := range r.Header {
		for _, v := range values {
			fmt.Fprintf(w, "%s: %s\n", name, v)
		}
	}
}

func TestProxyAsksForSignIn(t *testing.T) {
	asked := 0
	s := behind(t, func(http.ResponseWriter, *http.Request) { asked++ })
	s.browser().get("/a?b").want(t, 303)
	s.client().get("/a").want(t, 401)
	if a := s.browser().do("POST", "/a", "").want(t, 401); !strings.Contains(a.body, "<html") {
		t.Error("a browser's form gets no page")
	}
	s.client().get("/a", "Upgrade", "websocket", "Connection", "Upgrade").want(t, 401)
	if asked != 0 {
		t.Errorf("the application was asked %d times", asked)
	}
}

// What the application learns about the visitor is the gateway's word alone.
func TestIdentityHeaders(t *testing.T) {
	s := behind(t, echo)
	b := s.signedIn(alice)
	a := b.get("/x?y=1",
		"X-Auth-Subject", "bob", "x-auth-level", "3", "X_Auth_Subject", "bob", "X-Auth_Session", "forged", "X-Auth-Whatever", "forged",
		"X-Forwarded-For", "1.2.3.4", "X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "gopher", "X_Forwarded_For", "1.2.3.4", "X-Forwarded-User", "bob",
		"Forwarded", "for=1.2.3.4", "X-Real-Ip", "1.2.3.4", "Remote-User", "bob", "Connection", "X-Auth-Subject, X-Auth-Session").want(t, 200)
	for _, line := range []string{"X-Auth-Subject: alice\n", "X-Auth-Level: 1\n", "X-Auth-Methods: pwd\n", "X-Auth-Session: ", "URL: /x?y=1\n",
		"X-Forwarded-For: 127.0.0.1\n", "X-Real-Ip: 127.0.0.1\n", "X-Forwarded-Proto: https\n", "Host: " + strings.TrimPrefix(s.srv.URL, "https://") + "\n"} {
		if !strings.Contains(a.body, line) {
			t.Errorf("the application does not see %q", line)
		}
	}
	for _, part := range []string{"bob", "forged", "1.2.3.4", "evil.example", "gopher", b.token()} {
		if strings.Contains(a.body, part) {
			t.Errorf("the application sees %q:\n%s", part, a.body)
		}
	}
}

// Identity that comes as a trailer, after the body, is not passed on either.
func TestTrailers(t *testing.T) {
	s := behind(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%d trailers", len(r.Trailer))
	})
	b := s.signedIn(alice)
	r, err := http.NewRequest("POST", s.srv.URL+"/", io.NopCloser(strings.NewReader("body")))
	must(t, err)
	r.Trailer = http.Header{"X-Auth-Subject": {"bob"}}
	resp, err := b.c.Do(r)
	must(t, err)
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); string(body) != "0 trailers" {
		t.Errorf("the application sees %s", body)
	}
}

// FD5, FD6: the application never sees our cookie, whatever stands beside it.
func TestCookiesToApplication(t *testing.T) {
	s := behind(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "%q", r.Header["Cookie"]) })
	token := s.signedIn(alice).token()
	for _, c := range []struct{ name, cookies, want string }{
		{"ours alone", "{}", `[]`},
		{"ours among others", "a=1; {}; b=2", `["a=1; b=2"]`},
		{"twice the same", "{}; a=1; {}", `["a=1"]`},
		{"quoted neighbour", `{}; a="x y=="`, `["a=\"x y==\""]`},
		{"unbalanced quote", `{}; a="x; b=2`, `["b=2"]`},
		{"our name inside a quoted value", `{}; a="1; {}; b=2"; c=3`, `["c=3"]`},
		{"no name, no sign", `{}; =1; lonely; ; b=2`, `["b=2"]`},
		{"no token for a name", `{}; a b=1; (x)=2; c=3`, `["c=3"]`},
		{"bytes over ASCII", "{}; a=\xff\xfe; b=2", `["b=2"]`},
		{"backslash", `{}; a=\"; b=2`, `["b=2"]`},
		{"one name twice: the first", `{}; a=1; a=2`, `["a=1"]`},
		{"value with =", `{}; a=b=c==`, `["a=b=c=="]`},
		{"empty value", `{}; a=`, `["a="]`},
		{"our name in other case", `{}; __host-http-session=x; __HOST-HTTP-VISIT=y; a=1`, `["a=1"]`},
		{"spaces around", "{};  a=1 ;\tb=2", `["a=1; b=2"]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			line := strings.ReplaceAll(c.cookies, "{}", "__Host-Http-session="+token)
			if a := s.client().get("/", "Cookie", line).want(t, 200); a.body != c.want {
				t.Errorf("got %s, want %s", a.body, c.want)
			}
		})
	}
}

func TestAnswersOfApplication(t *testing.T) {
	s := behind(t, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Add("Set-Cookie", "__Host-Http-session=planted; Path=/; Secure")
		h.Add("Set-Cookie", " __host-http-SESSION =planted")
		h.Add("Set-Cookie", "__Host-Http-visit=planted")
		h.Add("Set-Cookie", "app=1; Path=/")
		h.Set("Strict-Transport-Security", "max-age=0")
		if r.URL.Path == "/own" {
			h.Set("Cache-Control", "public, max-age=60")
			h.Set("Content-Security-Policy", "default-src 'self'")
		}
	})
	b := s.signedIn(alice)
	a := b.get("/").want(t, 200)
	if got := a.Header["Set-Cookie"]; len(got) != 1 || got[0] != "app=1; Path=/" {
		t.Errorf("Set-Cookie %q", got)
	}
	if got := a.Header["Strict-Transport-Security"]; len(got) != 1 || !strings.HasPrefix(got[0], "max-age=63072000") {
		t.Errorf("HSTS %q", got)
	}
	if a.Header.Get("Cache-Control") != "private, no-cache" || a.Header.Get("Content-Security-Policy") != "frame-ancestors 'self'" {
		t.Errorf("defaults are missing: %v", a.Header)
	}
	if a = b.get("/own").want(t, 200); a.Header.Get("Cache-Control") != "public, max-age=60" || a.Header.Get("Content-Security-Policy") != "default-src 'self'" {
		t.Errorf("what the application says is overruled: %v", a.Header)
	}
}

func TestApplicationDown(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	l.Close()
	s := newSite(t, func(c *gateway.Config) { c.Upstream = &url.URL{Scheme: "http", Host: l.Addr().String()} }).withAccounts()
	b := s.signedIn(alice)
	if a := b.get("/").want(t, 502); !strings.Contains(a.body, "does not answer") || !strings.Contains(a.body, `href="">Try again`) || !strings.Contains(a.body, "Sign out") || a.Header.Get("Strict-Transport-Security") == "" {
		t.Errorf("%v %s", a.Header, a.body)
	}
	api := s.client()
	api.c.Jar = b.c.Jar
	if a := api.get("/").want(t, 502); !strings.Contains(a.body, `"upstream_unreachable"`) {
		t.Errorf("%s", a.body)
	}
	b.get("/auth/account").want(t, 200)
}

// Each event of a stream passes at once, and the stream ends with the session.
func TestEventStream(t *testing.T) {
	next := make(chan string)
	gone := make(chan struct{})
	s := behind(t, func(w http.ResponseWriter, r *http.Request) {
		defer close(gone)
		w.Header().Set("Content-Type", "text/event-stream")
		for {
			select {
			case text := <-next:
				fmt.Fprintf(w, "data: %s\n\n", text)
				w.(http.Flusher).Flush()
			case <-r.Context().Done():
				return
			}
		}
	})
	b := s.signedIn(alice)
	answers := make(chan *http.Response, 1)
	go func() {
		resp, err := b.c.Get(s.srv.URL + "/")
		if err != nil {
			t.Error(err)
		}
		answers <- resp
	}()
	next <- "one"
	resp := <-answers
	defer resp.Body.Close()
	in := bufio.NewReader(resp.Body)
	for _, want := range []string{"one", "two"} {
		if want == "two" {
			next <- "two"
		}
		line, err := in.ReadString('\n')
		if err != nil || line != "data: "+want+"\n" {
			t.Fatalf("%q, %v", line, err)
		}
		in.ReadString('\n')
	}
	b.post("/auth/logout").want(t, 303)
	if _, err := io.ReadAll(in); err == nil {
		t.Error("the stream ended as if it were complete")
	}
	<-gone // the application is told
}

// A WebSocket passes both ways, and is cut when its session ends.
func TestSocket(t *testing.T) {
	for name, end := range map[string]func(*site, *client){
		"sign-out":    func(s *site, b *client) { b.post("/auth/logout").want(t, 303) },
		"idle":        func(s *site, b *client) { s.clock.Advance(time.Hour) },
		"gateway end": func(s *site, b *client) { go s.srv.Config.Close(); must(t, s.g.Close(t.Context())) },
	} {
		t.Run(name, func(t *testing.T) {
			s := behind(t, func(w http.ResponseWriter, r *http.Request) {
				conn, buf, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
				io.Copy(conn, buf)
			})
			b := s.signedIn(alice)
			conn, err := tls.Dial("tcp", strings.TrimPrefix(s.srv.URL, "https://"), &tls.Config{InsecureSkipVerify: true}) // the test server's own certificate
			must(t, err)
			defer conn.Close()
			fmt.Fprintf(conn, "GET /socket HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-Fetch-Site: same-origin\r\nCookie: __Host-Http-session=%s\r\n\r\n",
				strings.TrimPrefix(s.srv.URL, "https://"), b.token())
			in := bufio.NewReader(conn)
			resp, err := http.ReadResponse(in, nil)
			must(t, err)
			if resp.StatusCode != 101 {
				t.Fatalf("status %d", resp.StatusCode)
			}
			io.WriteString(conn, "hello\n")
			if line, err := in.ReadString('\n'); err != nil || line != "hello\n" {
				t.Fatalf("%q, %v", line, err)
			}
			end(s, b)
			if rest, _ := io.ReadAll(in); len(rest) > 0 {
				t.Errorf("%q came after the end", rest)
			}
		})
	}
}

// Bodies of any length pass, both ways.
func TestLargeBodies(t *testing.T) {
	s := behind(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // HTTP/1 does not answer while it still listens
		w.Write(body)
	})
	b := s.signedIn(alice)
	text := strings.Repeat("0123456789abcdef", 1<<16)
	if a := b.do("PUT", "/", text).want(t, 200); a.body != text {
		t.Errorf("%d bytes came back", len(a.body))
	}
}
