package e2e

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// evilSite is the address of a page of another site that posts a form by itself.
func evilSite(t *testing.T, target string, form url.Values) string {
	t.Helper()
	page := `<form method="post" action="` + target + `">`
	for name := range form {
		page += `<input type="hidden" name="` + name + `" value="` + form.Get(name) + `">`
	}
	return foreignPage(t, page+`</form><script>document.forms[0].submit()</script>`)
}

// foreignPage is the address of a page on localhost, which is another site than 127.0.0.1.
func foreignPage(t *testing.T, body string) string {
	t.Helper()
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write([]byte(`<!doctype html><title>Kittens</title><link rel="icon" href="data:,"><h1>Kittens</h1>` + body))
	}))
	t.Cleanup(site.Close)
	u, err := url.Parse(site.URL)
	if err != nil {
		t.Fatal(err)
	}
	return "http://localhost:" + u.Port() + "/"
}

// cookiesSent tells for each URL under prefix to which something was posted whether a cookie went along.
func (b *browser) cookiesSent(prefix string) func() map[string]bool {
	var mu sync.Mutex
	posts, sent := map[network.RequestID]string{}, map[network.RequestID]bool{}
	err := chromedp.Listen(b.ctx, func(event any) {
		mu.Lock()
		defer mu.Unlock()
		switch e := event.(type) {
		case *network.EventRequestWillBeSent:
			if e.Request.Method == http.MethodPost && strings.HasPrefix(e.Request.URL, prefix) {
				posts[e.RequestID] = e.Request.URL
			}
		case *network.EventRequestWillBeSentExtraInfo:
			for _, c := range e.AssociatedCookies {
				sent[e.RequestID] = sent[e.RequestID] || len(c.BlockedReasons) == 0
			}
		}
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return func() map[string]bool {
		mu.Lock()
		defer mu.Unlock()
		all := map[string]bool{}
		for id, url := range posts {
			all[url] = all[url] || sent[id]
		}
		return all
	}
}

// Forms of another site arrive without the cookie and without effect; a link from there works. T28, T32, P105
func TestAnotherSite(t *testing.T) {
	t.Parallel()
	s, b := signedIn(t)
	b.on("Welcome, alice")
	b.fill("#note", "mine")
	b.click("main form button")
	other, _ := s.SignIn("alice", passphrase)
	sent := b.cookiesSent(s.URL)
	forms := map[string]url.Values{
		"/":                        {"note": {"planted"}},
		"/auth/logout":             {},
		"/auth/login":              {"username": {"alice"}, "password": {passphrase}},
		"/auth/account/end-others": {},
		"/auth/account/password":   {"current": {passphrase}, "new": {"a password of the other site"}},
	}
	for path, form := range forms {
		b.open(evilSite(t, s.URL+path, form))
		b.arrives(s.URL)
		b.on("This came from another site")
	}
	if posts := sent(); len(posts) != len(forms) {
		t.Errorf("%d forms were sent, want %d", len(posts), len(forms))
	} else {
		for _, with := range posts {
			if with {
				t.Error("a form of another site took the cookie along")
			}
		}
	}
	if answer, _ := s.Do("/auth/check", other, nil); answer.StatusCode != http.StatusOK {
		t.Errorf("the other session: %d", answer.StatusCode)
	}

	b.open(foreignPage(t, `<a href="`+s.URL+`/">Theatre</a>`))
	b.click("a")
	b.on("Welcome, alice") // Lax: a link takes the cookie along
	if note := b.value("#note"); note != "mine" {
		t.Errorf("the note is %q", note)
	}
	s.SignIn("alice", passphrase) // the password is as it was
}

// A neighbour is another origin of the same site, another port here, elsewhere another subdomain: the
// cookie goes along, so nothing but the gateway's own check stops its forms and sockets. T28, P105
func TestNeighbour(t *testing.T) {
	t.Parallel()
	s, b := signedIn(t, "--upstream", newApplication(t).URL)
	b.on("Seats of alice")
	sent := b.cookiesSent(s.URL)
	b.open(neighbour(evilSite(t, s.URL+"/auth/logout", url.Values{})))
	b.arrives(s.URL)
	b.on("This came from another site")
	if posts := sent(); !maps.Equal(posts, map[string]bool{s.URL + "/auth/logout": true}) {
		t.Errorf("forms that took the cookie along: %v; this is no neighbour", posts)
	}
	b.open(neighbour(foreignPage(t, "")))
	if got := get(b, openSocket(s)); got != "refused" {
		t.Errorf("a socket from a neighbour's page: %s", got)
	}
	b.forgive()
	b.open(s.URL + "/")
	b.on("Seats of alice")
}

// neighbour turns a foreign page's address into one of our own site.
func neighbour(address string) string { return strings.Replace(address, "localhost", "127.0.0.1", 1) }

// openSocket tries to open the application's WebSocket from the page that the browser is on.
func openSocket(s *server) chromedp.Action[string] {
	return chromedp.Evaluate[string](`new Promise(done => {
		const s = new WebSocket("ws`+strings.TrimPrefix(s.URL, "http")+`/socket");
		s.onopen = () => done("open");
		s.onerror = () => done("refused");
	})`, chromedp.EvalAwaitPromise)
}

// Another site can neither frame our pages nor read them. T29
func TestFramedAndRead(t *testing.T) {
	t.Parallel()
	s, b := signedIn(t)
	b.open(foreignPage(t, `<iframe src="`+s.URL+`/auth/login"></iframe>`))
	if !b.complained("frame-ancestors") {
		t.Error("the browser does not say that the frame was refused")
	}
	read := `fetch("` + s.URL + `/auth/api/v1/session", {credentials: "include"}).then(r => r.text(), e => "refused")`
	if text := get(b, chromedp.Evaluate[string](read, chromedp.EvalAwaitPromise)); text != "refused" {
		t.Errorf("another site reads %q", text)
	}
	b.forgive()
}

// complained waits for a complaint of the console that holds a text.
func (b *browser) complained(text string) (found bool) {
	b.t.Helper()
	b.wait(func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, p := range b.problems {
			found = found || strings.Contains(p, text)
		}
		return found
	})
	return found
}

// forgive forgets what the console complained of: it was asked for.
func (b *browser) forgive() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.problems = nil
}
