package gateway_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/account"
	"github.com/counterfoil/counterfoil/account/memaccount"
	"github.com/counterfoil/counterfoil/gateway"
	"github.com/counterfoil/counterfoil/internal/logtest"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/sessiontest"
	"github.com/counterfoil/counterfoil/store/memory"
)

const (
	alice         = "alice"
	bob           = "bob"
	alicePassword = "three tickets to the opera"
	bobPassword   = "a wooden boat on the lake"
)

// site is a gateway behind TLS, with two accounts, that is reached as a browser reaches it.
type site struct {
	t        testing.TB
	g        *gateway.Gateway
	srv      *httptest.Server
	accounts *account.Service
	clock    *sessiontest.Clock
	logs     *logtest.Log

	mu     sync.Mutex
	events []counterfoil.Event
}

func newSite(t testing.TB, edit ...func(*gateway.Config)) *site {
	t.Helper()
	ctx := context.Background()
	s := &site{t: t, clock: sessiontest.NewClock(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)), logs: &logtest.Log{}}
	wall, _ := s.clock.Now()
	keys, err := keyring.Generate(wall, rand.Reader)
	must(t, err)
	hasher, err := account.NewHasher(account.Params{Memory: 64, Passes: 1, Threads: 1}, 4) // the cost is package account's matter
	must(t, err)
	s.accounts, err = account.NewService(account.Config{Store: memaccount.New(), Clock: s.clock, Hasher: hasher})
	must(t, err)
	store := memory.New(memory.Options{})
	cfg := gateway.Config{
		Store: store, Keys: keys, Accounts: s.accounts, TLS: true, Clock: s.clock,
		Logger: slog.New(slog.NewTextHandler(s.logs, nil)),
		Record: func(ev counterfoil.Event) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.events = append(s.events, ev)
		},
	}
	for _, f := range edit {
		f(&cfg)
	}
	s.g, err = gateway.New(ctx, cfg)
	must(t, err)
	if cfg.TLS {
		s.srv = httptest.NewTLSServer(s.g.Handler())
	} else {
		s.srv = httptest.NewServer(s.g.Handler())
	}
	t.Cleanup(func() {
		must(t, s.g.Close(ctx))
		s.srv.Close()
		must(t, store.Close())
	})
	return s
}

func (s *site) withAccounts() *site {
	for name, password := range map[string]string{alice: alicePassword, bob: bobPassword} {
		_, err := s.accounts.Add(context.Background(), name, password, name == alice)
		must(s.t, err)
	}
	return s
}

func (s *site) recorded(reason counterfoil.Reason) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ev := range s.events {
		if ev.Reason == reason {
			n++
		}
	}
	return n
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// client is one browser profile: it keeps cookies and follows nothing by itself.
type client struct {
	site   *site
	c      *http.Client
	header http.Header // sent with each request
}

func (s *site) client() *client {
	jar, err := cookiejar.New(nil)
	must(s.t, err)
	c := *s.srv.Client()
	c.Jar = jar
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client{s, &c, http.Header{}}
}

// browser is a client that asks as browsers do.
func (s *site) browser() *client {
	c := s.client()
	c.header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	c.header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36")
	return c
}

// answer is a response with its body read.
type answer struct {
	*http.Response
	body string
}

func (c *client) do(method, path, body string, header ...string) answer {
	c.site.t.Helper()
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	r, err := http.NewRequest(method, c.site.srv.URL+path, content)
	must(c.site.t, err)
	for name, values := range c.header {
		r.Header[name] = values
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	if host := r.Header.Get("Host"); host != "" {
		r.Host = host
	}
	resp, err := c.c.Do(r)
	must(c.site.t, err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	must(c.site.t, err)
	return answer{resp, string(data)}
}

func (c *client) get(path string, header ...string) answer {
	c.site.t.Helper()
	return c.do("GET", path, "", header...)
}

// post sends a form, given as pairs, from our own page.
func (c *client) post(path string, fields ...string) answer {
	c.site.t.Helper()
	return c.do("POST", path, form(fields...), "Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "same-origin")
}

func form(fields ...string) string {
	v := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		v.Add(fields[i], fields[i+1])
	}
	return v.Encode()
}

func (c *client) signIn(name, password string) *client {
	c.site.t.Helper()
	a := c.post("/auth/login", "username", name, "password", password, "next", "/")
	a.want(c.site.t, 303)
	return c
}

func (s *site) signedIn(name string) *client {
	s.t.Helper()
	return s.browser().signIn(name, map[string]string{alice: alicePassword, bob: bobPassword}[name])
}

// token is the value of the session's cookie.
func (c *client) token() string {
	u, _ := url.Parse(c.site.srv.URL)
	for _, k := range c.c.Jar.Cookies(u) {
		if k.Name == "__Host-Http-session" || k.Name == "counterfoil-session" {
			return k.Value
		}
	}
	return ""
}

// status is what the session of the client comes to, by the check.
func (c *client) check() int {
	c.site.t.Helper()
	return c.get("/auth/check").StatusCode
}

// replay checks a bare token, as one who stole the cookie would.
func (s *site) replay(token string) int {
	s.t.Helper()
	return s.client().get("/auth/check", "Cookie", "__Host-Http-session="+token).StatusCode
}

func (a answer) want(t testing.TB, status int) answer {
	t.Helper()
	if a.StatusCode != status {
		t.Fatalf("%s %s: status %d, want %d\n%s", a.Request.Method, a.Request.URL, a.StatusCode, status, a.body)
	}
	return a
}

func (a answer) json(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), v); err != nil {
		t.Fatalf("%v in %q", err, a.body)
	}
}

func prefixes(list ...string) (out []netip.Prefix) {
	for _, p := range list {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}
