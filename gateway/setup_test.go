package gateway_test

import (
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

func (s *site) setupCode() string {
	s.t.Helper()
	base, _ := url.Parse(s.srv.URL)
	link, err := s.g.SetupURL(s.t.Context(), base)
	must(s.t, err)
	before, code, found := strings.Cut(link, "#")
	if !found || before != s.srv.URL+"/auth/setup" {
		s.t.Fatalf("link %q", link)
	}
	return code
}

// The first account: by the link, once, within 15 minutes.
func TestSetup(t *testing.T) {
	s := newSite(t)
	void := s.setupCode()
	code := s.setupCode() // a second start makes the first link void
	b := s.browser()
	page := b.get("/auth/setup").want(t, 200)
	if csp := page.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "script-src 'self'") || strings.Contains(csp, "unsafe") {
		t.Errorf("CSP %q", csp)
	}
	if strings.Contains(page.body, code) {
		t.Error("the page knows the code")
	}
	good := []string{"username", "Alice", "password", alicePassword}
	b.post("/auth/setup", append(good, "code", void)...).want(t, 403)
	b.post("/auth/setup", append(good, "code", "")...).want(t, 403)
	b.post("/auth/setup", "code", code, "username", "alice", "password", "short").want(t, 422) // does not use the code up
	b.post("/auth/setup", "code", code, "username", "a b", "password", alicePassword).want(t, 422)
	a := b.post("/auth/setup", append(good, "code", code)...).want(t, 303)
	if a.Header.Get("Location") != "/" || b.check() != 200 {
		t.Error("not signed in after set-up")
	}
	s.browser().post("/auth/setup", append(good, "code", code)...).want(t, 403)
	if got := s.browser().get("/auth/setup").want(t, 303).Header.Get("Location"); got != "/auth/login" {
		t.Errorf("sent to %q", got)
	}
	if link, err := s.g.SetupURL(t.Context(), &url.URL{}); link != "" || err != nil {
		t.Errorf("another link: %q, %v", link, err)
	}
	acc, err := s.accounts.Get(t.Context(), "alice")
	if err != nil || !acc.Operator || acc.Epoch != 1 {
		t.Errorf("%+v, %v", acc, err)
	}
	if strings.Contains(s.logs.String(), code) {
		t.Error("the code is in the log")
	}
}

func TestSetupLinkExpires(t *testing.T) {
	s := newSite(t)
	code := s.setupCode()
	s.clock.Advance(15*time.Minute + time.Second)
	s.browser().post("/auth/setup", "code", code, "username", "alice", "password", alicePassword).want(t, 403)
}

// Of many at once exactly one becomes the operator.
func TestSetupRace(t *testing.T) {
	s := newSite(t)
	code := s.setupCode()
	var wg sync.WaitGroup
	var mu sync.Mutex
	made := 0
	for _, name := range []string{"a1", "b2", "c3", "d4", "e5", "f6"} {
		wg.Go(func() {
			if s.browser().post("/auth/setup", "code", code, "username", name, "password", alicePassword).StatusCode == 303 {
				mu.Lock()
				defer mu.Unlock()
				made++
			}
		})
	}
	wg.Wait()
	if made != 1 {
		t.Errorf("%d first accounts", made)
	}
}
