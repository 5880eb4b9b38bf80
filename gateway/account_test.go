package gateway_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/account"
	"github.com/counterfoil/counterfoil/account/memaccount"
	"github.com/counterfoil/counterfoil/gateway"
)

type listed struct {
	ID      string
	User    string
	IP      string
	Label   string
	Current bool
}

func (c *client) sessions() (list []listed) {
	c.site.t.Helper()
	var got struct{ Sessions []listed }
	c.get("/auth/api/v1/sessions").want(c.site.t, 200).json(c.site.t, &got)
	return got.Sessions
}

func (c *client) id() string {
	c.site.t.Helper()
	for _, l := range c.sessions() {
		if l.Current {
			return l.ID
		}
	}
	c.site.t.Fatal("no session of the list is the current one")
	return ""
}

// S41, S19, S20: users see their own sessions, and which is this one.
func TestOwnSessions(t *testing.T) {
	s := newSite(t, func(c *gateway.Config) { c.Proxies = prefixes("127.0.0.0/8") }).withAccounts()
	home := s.browser()
	home.header.Set("X-Forwarded-For", "203.0.113.7, 198.51.100.20")
	home.signIn(alice, alicePassword)
	work := s.signedIn(alice)
	s.signedIn(bob)
	list := work.sessions()
	if len(list) != 2 {
		t.Fatalf("%d sessions, want the two of alice", len(list))
	}
	currents := 0
	for _, l := range list {
		if l.User != alice || l.Label != "Chrome on Linux" {
			t.Errorf("%+v", l)
		}
		if l.Current {
			currents++
		} else if l.IP != "198.51.100.20" {
			t.Errorf("address %q is not the client's", l.IP)
		}
	}
	if currents != 1 {
		t.Errorf("%d are the current one", currents)
	}
	page := work.get("/auth/account").want(t, 200).body
	for _, part := range []string{"198.51.100.20", "Chrome on Linux", "This one", `<time datetime="2030-01-02T03:04:05Z">`, list[0].ID, list[1].ID} {
		if !strings.Contains(page, part) {
			t.Errorf("the page lacks %q", part)
		}
	}
	var none struct{ Session *listed }
	if s.client().get("/auth/api/v1/session").want(t, 200).json(t, &none); none.Session != nil {
		t.Error("a visitor has a session")
	}
	var one struct{ Session *listed }
	if work.get("/auth/api/v1/session").want(t, 200).json(t, &one); one.Session == nil || one.Session.User != alice || !one.Session.Current {
		t.Errorf("%+v", one.Session)
	}
}

// S42, S43, S44, SD8: a user ends one of his own sessions, by page or API, and nobody else's.
func TestEndOne(t *testing.T) {
	s := newSite(t).withAccounts()
	home, work, other := s.signedIn(alice), s.signedIn(alice), s.signedIn(bob)
	stolen := home.token()
	a := work.post("/auth/account/end", "id", home.id()).want(t, 303)
	if a.Header.Get("Location") != "/auth/account" {
		t.Errorf("sent to %q", a.Header.Get("Location"))
	}
	if home.check() != 401 || s.replay(stolen) != 401 {
		t.Error("the ended session is good")
	}
	foreign := other.id()
	unknown := work.post("/auth/account/end", "id", "AAAAAAAAAAAAAAAAAAAAAA").want(t, 404)
	if a := work.post("/auth/account/end", "id", foreign).want(t, 404); a.body != unknown.body {
		t.Error("somebody else's session is answered otherwise than none")
	}
	work.post("/auth/account/end", "id", "../../etc").want(t, 404)
	work.post("/auth/account/end").want(t, 404)
	if other.check() != 200 {
		t.Error("somebody else's session was ended")
	}
	// The API.
	third := s.signedIn(alice)
	api := s.client()
	api.c.Jar = work.c.Jar
	api.do("DELETE", "/auth/api/v1/sessions/"+foreign, "").want(t, 404)
	api.do("DELETE", "/auth/api/v1/sessions/"+third.id(), "").want(t, 204)
	if third.check() != 401 {
		t.Error("ended by the API, still good")
	}
	// The current one: signed out, cookie cleared.
	a = work.post("/auth/account/end", "id", work.id()).want(t, 303)
	if !strings.Contains(a.Header.Get("Set-Cookie"), "Max-Age=0") || a.Header.Get("Location") != "/auth/login" {
		t.Errorf("%q to %q", a.Header.Get("Set-Cookie"), a.Header.Get("Location"))
	}
	work.get("/auth/account").want(t, 303)
	api.do("DELETE", "/auth/api/v1/sessions/"+foreign, "").want(t, 401)
}

// The session that looks comes first, then the one that was seen last.
func TestOrderOfSessions(t *testing.T) {
	s := newSite(t).withAccounts()
	this := s.signedIn(alice)
	for range 2 {
		s.clock.Advance(time.Minute)
		s.signedIn(alice)
	}
	page := this.get("/auth/account").want(t, 200).body
	places := []int{strings.Index(page, "This one"), strings.Index(page, `datetime="2030-01-02T03:06:05Z"`), strings.Index(page, `datetime="2030-01-02T03:05:05Z"`)}
	if !slices.IsSorted(places) || places[0] < 0 {
		t.Errorf("places %v", places)
	}
}

func TestEndOthers(t *testing.T) {
	s := newSite(t).withAccounts()
	a, b, c, other := s.signedIn(alice), s.signedIn(alice), s.signedIn(alice), s.signedIn(bob)
	a.post("/auth/account/end-others").want(t, 303)
	if a.check() != 200 || b.check() != 401 || c.check() != 401 || other.check() != 200 {
		t.Error("not exactly the others of this user were ended")
	}
}

// S47, SD14, C30, R14: a password change ends all other sessions and replaces this one, values kept.
func TestPasswordChange(t *testing.T) {
	s := newSite(t).withAccounts()
	a, b, c := s.signedIn(alice), s.signedIn(alice), s.signedIn(alice)
	a.post("/", "note", "keep me").want(t, 303)
	old, oldID := a.token(), a.id()
	const fresh = "an umbrella in the rain"
	for name, f := range map[string]struct {
		current, new string
		status       int
	}{
		"wrong present one": {"not her password at all", fresh, 401},
		"too short":         {alicePassword, "short", 422},
		"common":            {alicePassword, "passwordpassword", 422},
		"her name":          {alicePassword, "alice in wonderland", 422},
	} {
		if got := a.post("/auth/account/password", "current", f.current, "new", f.new); got.StatusCode != f.status || !strings.Contains(got.body, `role="alert"`) {
			t.Errorf("%s: %d", name, got.StatusCode)
		}
	}
	if b.check() != 200 || a.token() != old {
		t.Error("a refused change ended a session")
	}
	page := a.post("/auth/account/password", "current", alicePassword, "new", fresh).want(t, 303).Header.Get("Location")
	for from, says := range map[string]bool{"same-origin": true, "cross-site": false} { // no other site may say so by a link
		if got := strings.Contains(a.get(page, "Sec-Fetch-Site", from).want(t, 200).body, "Your password is changed"); got != says {
			t.Errorf("%s, from %s: says so %v", page, from, got)
		}
	}
	if a.check() != 200 || a.token() == old || a.id() == oldID {
		t.Error("the changing session must go on under a new ID and token")
	}
	if b.check() != 401 || c.check() != 401 || s.replay(old) != 401 {
		t.Error("a session of the old password is good")
	}
	if !strings.Contains(a.get("/").want(t, 200).body, `value="keep me"`) {
		t.Error("the session's values are lost")
	}
	s.browser().post("/auth/login", "username", alice, "password", alicePassword).want(t, 401)
	s.browser().signIn(alice, fresh)
}

// Who has a new password and no session, since the store took none, is told both. R14
func TestPasswordChangedAndOut(t *testing.T) {
	s, store := newFragileSite(t)
	b := s.signedIn(alice)
	store.full.Store(true)
	const fresh = "an umbrella in the rain"
	a := b.post("/auth/account/password", "current", alicePassword, "new", fresh).want(t, 503)
	if !strings.Contains(a.body, "Your password is changed") || strings.Contains(a.body, "not been signed out") || a.Header.Get("Retry-After") == "" {
		t.Errorf("%v %s", a.Header, a.body)
	}
	store.full.Store(false)
	if b.check() != 401 {
		t.Error("the session of the old password lives on")
	}
	s.browser().post("/auth/login", "username", alice, "password", fresh).want(t, 303)
}

// Of many who change a password by the same old one, one does, and only he is told so. R14
func TestPasswordChangeRace(t *testing.T) {
	hasher, err := account.NewHasher(account.Params{Memory: 16 << 10, Passes: 1, Threads: 1}, 8) // slow enough for all to prove the old one
	must(t, err)
	accounts, err := account.NewService(account.Config{Store: memaccount.New(), Hasher: hasher})
	must(t, err)
	_, err = accounts.Add(t.Context(), alice, alicePassword, false)
	must(t, err)
	s := newSite(t, func(c *gateway.Config) { c.Accounts = accounts })
	var browsers [6]*client
	for i := range browsers {
		browsers[i] = s.signedIn(alice)
	}
	var done atomic.Int32
	var all sync.WaitGroup
	for i, b := range browsers {
		all.Go(func() {
			mine := fmt.Sprint("an umbrella in the rain ", i)
			a := b.post("/auth/account/password", "username", alice, "current", alicePassword, "new", mine)
			in := s.browser().post("/auth/login", "username", alice, "password", mine).StatusCode == 303
			if said := a.StatusCode == 303; said != in || !said && a.StatusCode != 401 {
				t.Errorf("answered %d, but signing in works: %v", a.StatusCode, in)
			}
			if in {
				done.Add(1)
			}
		})
	}
	all.Wait()
	if n := done.Load(); n != 1 {
		t.Errorf("%d new passwords", n)
	}
}

// A form that is sent twice by an impatient hand changes once, and neither answer signs out. R14
func TestPasswordChangeSentTwice(t *testing.T) {
	s := newSite(t).withAccounts()
	a := s.signedIn(alice)
	old := a.token()
	const fresh, nonce = "an umbrella in the rain", "AAECAwQFBgcICQoLDA0ODw"
	fields := []string{"username", alice, "current", alicePassword, "new", fresh, "nonce", nonce}
	a.post("/auth/account/password", fields...).want(t, 303)
	first := a.token()
	again := s.browser() // the second request left before the first answer came
	again.header.Set("Cookie", "__Host-Http-session="+old)
	got := again.post("/auth/account/password", fields...)
	got.want(t, 303)
	if again.token() != first || a.check() != 200 {
		t.Error("the second answer does not carry the session of the first")
	}
	for name, change := range map[string]int{"another password": 5, "no nonce": 7} {
		bad := append([]string(nil), fields...)
		bad[change] = "x" + bad[change]
		thief := s.browser()
		thief.header.Set("Cookie", "__Host-Http-session="+old)
		if got := thief.post("/auth/account/password", bad...); got.StatusCode != 401 || thief.token() != "" {
			t.Errorf("%s: %d", name, got.StatusCode)
		}
	}
}

// hookedAccounts calls f once, after an account was read: between the check of a credential and the
// sign-in with it.
type hookedAccounts struct {
	account.Store
	f atomic.Pointer[func()]
}

func (h *hookedAccounts) Get(ctx context.Context, name string) (*account.Account, error) {
	a, err := h.Store.Get(ctx, name)
	if f := h.f.Swap(nil); f != nil {
		(*f)()
	}
	return a, err
}

// R14: what ends a user's sessions while a sign-in is being checked ends that sign-in as well.
func TestEndDuringSignIn(t *testing.T) {
	for name, c := range map[string]struct {
		meanwhile func(s *site) error
		status    int
	}{
		"password changed": {func(s *site) error {
			_, _, err := s.accounts.SetPassword(context.Background(), s.g.Sessions(), alice, "an umbrella in the rain")
			return err
		}, 401},
		"disabled": {func(s *site) error {
			_, _, err := s.accounts.SetDisabled(context.Background(), s.g.Sessions(), alice, true)
			return err
		}, 401},
		"disabled and enabled again": {func(s *site) error {
			_, _, err := s.accounts.SetDisabled(context.Background(), s.g.Sessions(), alice, true)
			if err == nil {
				_, _, err = s.accounts.SetDisabled(context.Background(), s.g.Sessions(), alice, false)
			}
			return err
		}, 303}, // the credential was looked at anew, and is good
	} {
		t.Run(name, func(t *testing.T) {
			store := &hookedAccounts{Store: memaccount.New()}
			var accounts *account.Service
			s := newSite(t, func(cfg *gateway.Config) {
				hasher, err := account.NewHasher(account.Params{Memory: 64, Passes: 1, Threads: 1}, 4)
				must(t, err)
				accounts, err = account.NewService(account.Config{Store: store, Clock: cfg.Clock, Hasher: hasher})
				must(t, err)
				cfg.Accounts = accounts
			})
			s.accounts = accounts
			s.withAccounts()
			f := func() { must(t, c.meanwhile(s)) }
			store.f.Store(&f)
			b := s.browser()
			b.post("/auth/login", "username", alice, "password", alicePassword).want(t, c.status)
			if want := map[int]int{401: 401, 303: 200}[c.status]; b.check() != want {
				t.Errorf("check is not %d", want)
			}
		})
	}
}

// SD16, S20: what a client sends as its name is inert on pages and in logs.
func TestHostileUserAgent(t *testing.T) {
	s := newSite(t).withAccounts()
	b := s.browser()
	b.header.Set("User-Agent", `<script>alert(1)</script>"><img src=x> Chrome/1 (X11; Linux) `+strings.Repeat("x", 5000))
	b.signIn(alice, alicePassword)
	if page := b.get("/auth/account").want(t, 200).body; strings.Contains(page, "<script") || strings.Contains(page, "<img") {
		t.Error("the page carries it as markup")
	}
	for _, l := range b.sessions() {
		if len(l.Label) > 40 {
			t.Errorf("a label of %d bytes", len(l.Label))
		}
	}
}

// C14, F5, F7, F11, T37, S15: after the end, whatever the cookie says, the visitor is sent to sign in.
func TestExpiry(t *testing.T) {
	s := newSite(t).withAccounts()
	b := s.signedIn(alice)
	saved := b.token()
	for range 15 { // F10: requests keep it alive without touching the cookie, up to the absolute end
		s.clock.Advance(29 * time.Minute)
		if b.check() != 200 {
			t.Fatal("ended while in use")
		}
	}
	s.clock.Advance(29 * time.Minute)
	b.check()
	s.clock.Advance(16 * time.Minute) // eight hours
	if s.replay(saved) != 401 {
		t.Error("the saved cookie is good after the absolute end")
	}
	if a := b.get("/"); a.StatusCode != 303 || !strings.HasPrefix(a.Header.Get("Location"), "/auth/login") {
		t.Errorf("a browser is not sent to sign in: %d", a.StatusCode)
	}
	api := s.client()
	api.c.Jar = b.c.Jar
	if a := api.get("/").want(t, 401); !strings.Contains(a.body, `"not_signed_in"`) {
		t.Errorf("%s", a.body)
	}
	b.get("/auth/login").want(t, 200)
	idle := s.signedIn(alice)
	s.clock.Advance(31 * time.Minute)
	if idle.check() != 401 {
		t.Error("idle for longer than allowed, still good")
	}
	if logs := s.logs.String(); strings.Contains(logs, "goroutine") || strings.Contains(logs, saved) {
		t.Errorf("the log has a stack or a token:\n%s", logs)
	}
}
