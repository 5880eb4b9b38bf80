package programtest

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// Client follows nothing, keeps no cookie and no connection, takes self-made certificates, and comes
// from some address of this machine, so that the limits of one address do not stop a test.
func Client() *http.Client {
	var some [2]byte
	rand.Read(some[:])
	from := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 1+some[0]%250, some[1], 1)}}
	return &http.Client{
		Timeout:       Patience,
		Transport:     &http.Transport{DialContext: from.DialContext, DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, // #nosec G402 -- of tests, on loopback
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Site is where a server answers.
type Site struct {
	URL string // without a slash at its end

	t testing.TB
}

// At is the site with that URL; a request that should be answered and is not ends the test.
func At(t testing.TB, url string) *Site { return &Site{URL: url, t: t} }

// Request sends one request with a Cookie header as it is, and reads the answer.
func (s *Site) Request(ctx context.Context, method, path, cookie, body string, header http.Header) (*http.Response, string, error) {
	return s.RequestBy(ctx, Client(), method, path, cookie, body, header)
}

// RequestBy is Request of a client that sends many.
func (s *Site) RequestBy(ctx context.Context, by *http.Client, method, path, cookie, body string, header http.Header) (*http.Response, string, error) {
	r, err := http.NewRequestWithContext(ctx, method, s.URL+path, strings.NewReader(body))
	if err != nil {
		return nil, "", err
	}
	maps.Copy(r.Header, header)
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	answer, err := by.Do(r)
	if err != nil {
		return nil, "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return answer, string(text), err
}

// Send gets a path, or posts a form there, if there is one.
func (s *Site) Send(ctx context.Context, path, cookie string, form url.Values) (*http.Response, string, error) {
	if form == nil {
		return s.Request(ctx, http.MethodGet, path, cookie, "", nil)
	}
	return s.Request(ctx, http.MethodPost, path, cookie, form.Encode(), http.Header{"Content-Type": {"application/x-www-form-urlencoded"}})
}

// sure is Send again and again while the answer is to try again: the store is slow.
func (s *Site) sure(path, cookie string, form url.Values) (answer *http.Response, body string, err error) {
	const pause = 100 * time.Millisecond
	for range Patience / pause {
		answer, body, err = s.Send(context.Background(), path, cookie, form)
		if err != nil || answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") == "" {
			break
		}
		time.Sleep(pause)
	}
	return answer, body, err
}

// Do is Send for requests that must be answered, and with more than that one has to try again.
func (s *Site) Do(path, cookie string, form url.Values) (*http.Response, string) {
	s.t.Helper()
	answer, body, err := s.sure(path, cookie, form)
	if err != nil {
		s.t.Fatalf("%s: %v", path, err)
	}
	return answer, body
}

// Status is that of the answer to GET, once it says more than that one has to try again; 0: there was
// none.
func (s *Site) Status(path, cookie string) int {
	answer, _, err := s.sure(path, cookie, nil)
	if err != nil {
		return 0
	}
	return answer.StatusCode
}

// Check is the status that /auth/check gives a cookie; 0: there was none.
func (s *Site) Check(cookie string) int { return s.Status("/auth/check", cookie) }

// SignIn returns the bytes of the new session's cookie, and its Set-Cookie line.
func (s *Site) SignIn(name, password string) (cookie, line string) {
	s.t.Helper()
	answer, body := s.Do("/auth/login", "", url.Values{"username": {name}, "password": {password}})
	if cookie, line = SessionCookie(answer); cookie == "" {
		s.t.Fatalf("sign-in answers %d: %s", answer.StatusCode, body)
	}
	return cookie, line
}

// SessionCookie finds the session's cookie, NAME=TOKEN, and its line in an answer; "": there is none.
func SessionCookie(answer *http.Response) (cookie, line string) {
	for _, line := range answer.Header.Values("Set-Cookie") {
		cookie, _, _ := strings.Cut(line, ";")
		if name, value, _ := strings.Cut(cookie, "="); strings.HasSuffix(name, "session") && value != "" {
			return cookie, line
		}
	}
	return "", ""
}
