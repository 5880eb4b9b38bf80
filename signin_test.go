package counterfoil_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/sessiontest"
)

// The same form sent twice signs in once; another password holder's form does not.
func TestSignInFormSentTwice(t *testing.T) {
	m, clock := sessiontest.New(t)
	const nonce = "0123456789abcdefghijkl"
	login := func(cookies *http.Request, subject string) (*http.Response, counterfoil.ID, error) {
		var id counterfoil.ID
		var err error
		a := during(t, m, cookies, func(s *counterfoil.Session) {
			err = s.SignIn(counterfoil.Identity{Subject: subject, Nonce: nonce})
			id = s.ID()
		})
		return a, id, err
	}
	a, first, err := login(nil, "alice")
	if err != nil {
		t.Fatal(err)
	}
	again, second, err := login(nil, "alice")
	if err != nil || second != first || again.Cookies()[0].Value != a.Cookies()[0].Value {
		t.Errorf("twice: %v and %v, %v", first, second, err)
	}
	r := httptest.NewRequest("GET", "/", nil)
	sessiontest.Follow(t, a, r)
	if _, third, err := login(r, "alice"); err != nil || third != first {
		t.Errorf("with the cookie of the first: %v, %v", third, err)
	}
	if _, other, err := login(nil, "bob"); err != nil || other == first {
		t.Errorf("another subject: %v, %v", other, err)
	}
	n := 0
	for range m.List(t.Context(), "alice") {
		n++
	}
	if n != 1 {
		t.Errorf("%d sessions", n)
	}
	clock.Advance(5 * time.Minute)
	if _, late, err := login(nil, "alice"); err != nil || late == first {
		t.Errorf("five minutes after its first use a form gave %v, %v; want a session of its own", late, err)
	}
	if err := signInErr(t, m, counterfoil.Identity{Subject: "alice", Nonce: "short"}); err == nil {
		t.Error("a guessable nonce was taken")
	}
}

func signInErr(t *testing.T, m *counterfoil.Manager, id counterfoil.Identity) (err error) {
	during(t, m, nil, func(s *counterfoil.Session) { err = s.SignIn(id) })
	return err
}

func TestIdentityIsChecked(t *testing.T) { // SD16, S20
	m, _ := sessiontest.New(t)
	long := strings.Repeat("x", 300)
	for name, id := range map[string]counterfoil.Identity{
		"nobody":       {},
		"long subject": {Subject: long},
		"long method":  {Subject: "a", Methods: []string{long}},
		"no method":    {Subject: "a", Methods: []string{""}},
		"many methods": {Subject: "a", Methods: make([]string, 9)},
		"level":        {Subject: "a", Level: 4},
	} {
		if err := signInErr(t, m, id); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	r := httptest.NewRequest("GET", "/", nil)
	i := sessiontest.SignIn(t, m, r, counterfoil.Identity{Subject: "a", Label: strings.Repeat("é", 30)})
	if i.Label != strings.Repeat("é", 20) {
		t.Errorf("label %q", i.Label)
	}
	for ua, want := range map[string]string{
		"": "Unknown device", "<script>alert(1)</script>\n": "Unknown device", "curl/8": "curl",
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36":                                       "Chrome on Linux",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0":                                                            "Firefox on Windows",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1":     "Safari on iPhone",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36 Edg/130.0.0.0" + long + long: "Edge on Windows",
	} {
		r := httptest.NewRequest("POST", "/", nil)
		r.Header.Set("User-Agent", ua)
		var got string
		m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			s := m.FromContext(r.Context())
			if err := s.SignIn(counterfoil.Identity{Subject: "a"}); err != nil {
				t.Error(err)
			}
			got = s.Info().Label
		})).ServeHTTP(httptest.NewRecorder(), r)
		if got != want {
			t.Errorf("%q is %q, want %q", ua, got, want)
		}
	}
}
