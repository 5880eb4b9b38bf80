package gateway_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/gateway"
)

func TestCheckAnswers(t *testing.T) {
	s := newSite(t).withAccounts()
	b := s.signedIn(alice)
	a := b.get("/auth/check").want(t, 200)
	for name, want := range map[string]string{"X-Auth-Subject": alice, "X-Auth-Session": b.id(), "X-Auth-Level": "1", "X-Auth-Methods": "pwd", "Cache-Control": "no-store"} {
		if got := a.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if a.body != "" || len(a.Header["Set-Cookie"]) > 0 {
		t.Error("a check has no body and no cookie")
	}
	s.clock.Advance(10 * time.Minute)
	for query, want := range map[string]int{
		"level=1": 200, "level=2": 403, "fresh=1h": 200, "fresh=5m": 403, "level=1&fresh=1h": 200, "level=3&fresh=1h": 403,
		"level=0": 400, "level=x": 400, "fresh=0": 400, "fresh=-1m": 400, "fresh=": 400, "unknown=1": 400, "level=1&level=1": 400, "%zz": 400,
	} {
		if a := b.get("/auth/check?" + query); a.StatusCode != want || want != 200 && a.Header.Get("X-Auth-Subject") != "" {
			t.Errorf("%s: %d, want %d", query, a.StatusCode, want)
		}
	}
	for name, cookie := range map[string]string{"none": "", "malformed": "__Host-Http-session=x", "of another": "session=" + b.token()} {
		a := s.browser().get("/auth/check", "Cookie", cookie).want(t, 401)
		if a.Header.Get("X-Auth-Subject") != "" || len(a.Header["Set-Cookie"]) > 0 {
			t.Errorf("%s: %v", name, a.Header)
		}
	}
}

// outage is a store that can stop answering.
type outage struct {
	counterfoil.Store
	down atomic.Bool
	full atomic.Bool // takes no new session
}

var errDown = errors.New("the store is switched off")

func (o *outage) Load(ctx context.Context, id counterfoil.ID) (*counterfoil.Record, error) {
	if o.down.Load() {
		return nil, errDown
	}
	return o.Store.Load(ctx, id)
}

func (o *outage) Log(ctx context.Context, since uint64, max int) (counterfoil.Page, error) {
	if o.down.Load() {
		return counterfoil.Page{}, errDown
	}
	return o.Store.Log(ctx, since, max)
}

func (o *outage) Poll(ctx context.Context, p counterfoil.Poll) (counterfoil.Page, error) {
	if o.down.Load() {
		return counterfoil.Page{}, errDown
	}
	return o.Store.Poll(ctx, p)
}

func (o *outage) Create(ctx context.Context, r *counterfoil.Record, c counterfoil.Creation) (counterfoil.Created, error) {
	if o.full.Load() {
		return counterfoil.Created{}, errDown
	}
	return o.Store.Create(ctx, r, c)
}

func (o *outage) Revoke(ctx context.Context, e counterfoil.Entry) (counterfoil.Revoked, error) {
	if o.down.Load() {
		return counterfoil.Revoked{}, errDown
	}
	return o.Store.Revoke(ctx, e)
}

// newFragileSite is a site whose store can be taken down.
func newFragileSite(t *testing.T) (*site, *outage) {
	t.Helper()
	store := &outage{}
	s := newSite(t, func(c *gateway.Config) {
		store.Store = c.Store
		c.Store = store
	})
	return s.withAccounts(), store
}

// G9: when nobody knows, the answer is 503 with Retry-After: neither in nor out, no cookie touched, and no
// empty list. PD8, P110
func TestStoreDown(t *testing.T) {
	s, store := newFragileSite(t)
	b := s.signedIn(alice)
	token := b.token()
	store.down.Store(true)
	s.clock.Advance(10 * time.Second) // past the lease
	for _, path := range []string{"/", "/auth/check", "/auth/account", "/auth/api/v1/session", "/auth/api/v1/sessions"} {
		a := b.get(path).want(t, 503)
		if a.Header.Get("Retry-After") == "" || len(a.Header["Set-Cookie"]) > 0 || a.Header.Get("X-Auth-Subject") != "" {
			t.Errorf("%s: %v", path, a.Header)
		}
	}
	b.get("/readyz").want(t, 503)
	b.get("/healthz").want(t, 200)
	s.browser().post("/auth/login", "username", alice, "password", alicePassword).want(t, 503)
	s.browser().get("/").want(t, 303) // without a cookie the store is not asked
	store.down.Store(false)
	s.clock.Advance(time.Second)
	if b.token() != token || b.check() != 200 {
		t.Error("signed out by an outage")
	}
	b.get("/readyz").want(t, 200)
}

// A sign-out whose outcome is unknown says so, and this browser is out all the same.
func TestSignOutUnknown(t *testing.T) {
	s, store := newFragileSite(t)
	b := s.signedIn(alice)
	token := b.token()
	b.check()
	store.down.Store(true)
	a := b.post("/auth/logout").want(t, 503)
	if !strings.Contains(a.Header.Get("Set-Cookie"), "Max-Age=0") || !strings.Contains(a.body, "Not yet signed out everywhere") || a.Header.Get("Retry-After") == "" {
		t.Errorf("%v", a.Header)
	}
	if s.replay(token) == 200 {
		t.Error("this node lets it in")
	}
	store.down.Store(false)
	s.clock.Advance(time.Minute)
	if s.replay(token) != 401 {
		t.Error("the end was not repeated")
	}
}

// clocked is a store with a clock of its own.
type clocked struct {
	counterfoil.Store
	now func() time.Time
}

func (s clocked) Poll(ctx context.Context, p counterfoil.Poll) (counterfoil.Page, error) {
	page, err := s.Store.Poll(ctx, p)
	page.Now = s.now()
	return page, err
}

// A machine whose clock goes astray from the store's serves on, and says so. R21, P110
func TestHealthOfTheClock(t *testing.T) {
	s := newSite(t, func(c *gateway.Config) {
		begin, since := c.Clock.Now()
		clock := c.Clock
		c.Store = clocked{c.Store, func() time.Time { _, now := clock.Now(); return begin.Add(now - since) }}
	})
	says := func(words ...string) {
		t.Helper()
		s.clock.Advance(5 * time.Second)
		body := s.client().get("/readyz").want(t, 200).body
		for _, w := range words {
			if !strings.Contains(body, w) {
				t.Errorf("no %s in %s", w, body)
			}
		}
	}
	s.clock.Step(11 * time.Second)
	says(`"degraded"`, "clock: 11s ahead of the store's", `"clock_skew":"11s"`)
	s.clock.Step(-10 * time.Second)
	says(`"ready"`, `"clock_skew":"1s"`)
}

func TestHealth(t *testing.T) {
	fault := map[string]string{}
	s := newSite(t, func(c *gateway.Config) {
		c.Degraded = []string{"ephemeral key"}
		c.Ready = func(context.Context) map[string]string { return fault }
	})
	var got struct {
		Status   string
		Faults   map[string]string
		Degraded []string
	}
	c := s.client()
	if c.get("/readyz").want(t, 200).json(t, &got); got.Status != "degraded" || len(got.Degraded) != 1 || len(got.Faults) != 0 {
		t.Errorf("%+v", got)
	}
	fault["audit"] = "cannot be written"
	if c.get("/readyz").want(t, 503).json(t, &got); got.Status != "unready" || got.Faults["audit"] == "" {
		t.Errorf("%+v", got)
	}
	c.do("HEAD", "/healthz", "").want(t, 200)
	// A probe comes by plain http and under any name.
	c.get("/healthz", "Host", "10.1.2.3").want(t, 200)
}
