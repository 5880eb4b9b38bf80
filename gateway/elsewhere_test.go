package gateway_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/gateway"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/sessiontest"
)

// several is a store that other nodes may share.
type several struct{ counterfoil.Store }

func (s several) Capabilities() counterfoil.Capabilities {
	c := s.Store.Capabilities()
	c.Shared = true
	return c
}

// paced is a clock that moves only while somebody waits for it for a short while: how busy the machine
// is does not count.
type paced struct {
	*sessiontest.Clock
	waits chan time.Duration
}

func pacing(cfg *gateway.Config) paced {
	c := paced{cfg.Clock.(*sessiontest.Clock), make(chan time.Duration, 1000)}
	cfg.Clock = c
	return c
}

func (c paced) AfterFunc(d time.Duration, f func()) func() bool {
	stop := c.Clock.AfterFunc(d, f)
	if d <= 500*time.Millisecond {
		select {
		case c.waits <- d:
		default:
		}
	}
	return stop
}

// until lets the clock go on until there is an answer, and returns how long that was waited for.
func until[T any](c paced, answered <-chan T) (T, time.Duration) {
	before, _ := c.Now()
	for {
		select {
		case a := <-answered:
			after, _ := c.Now()
			return a, after.Sub(before)
		case d := <-c.waits:
			c.Advance(d)
		case <-time.After(time.Second): // what was waited for came while something else did
			c.Advance(20 * time.Millisecond)
		}
	}
}

// What a user ends on the account page, a password change included, is refused on every node when the
// page answers: also on one that stands still, which is shut out when its lease is over. A lease that
// is longer than one should wait for a page is said to be. G2
func TestEndsElsewhere(t *testing.T) {
	const lease = 5 * time.Second
	for name, end := range map[string]func(b, other *client) answer{
		"end one":    func(b, other *client) answer { return b.post("/auth/account/end", "id", other.id()) },
		"end others": func(b, _ *client) answer { return b.post("/auth/account/end-others") },
		"password": func(b, _ *client) answer {
			return b.post("/auth/account/password", "current", alicePassword, "new", "an umbrella in the rain")
		},
	} {
		for kind, c := range map[string]struct {
			other    time.Duration // the other node's lease
			still    bool
			most     time.Duration
			announce bool
		}{
			"a node that works":        {lease, false, lease, false},
			"a node that stands still": {lease, true, 6 * time.Second, false},
			"a long lease":             {time.Minute, true, 7 * time.Second, true},
		} {
			t.Run(name+", "+kind, func(t *testing.T) {
				var store counterfoil.Store
				var keys *keyring.Ring
				var clock paced
				s := newSite(t, func(cfg *gateway.Config) {
					store, keys = several{cfg.Store}, cfg.Keys
					cfg.Store, cfg.Lease = store, lease
					clock = pacing(cfg)
				}).withAccounts()
				b, other := s.signedIn(alice), s.signedIn(alice)
				second := counterfoil.Clock(clock)
				if c.still {
					wall, _ := s.clock.Now()
					second = sessiontest.NewClock(wall)
				}
				m, err := counterfoil.New(t.Context(), counterfoil.Config{Store: store, Keys: keys, Clock: second, Lease: c.other, Realm: gateway.Realm})
				must(t, err)
				t.Cleanup(func() { must(t, m.Close(context.Background())) })
				answered := make(chan answer, 1)
				go func() { answered <- end(b, other) }()
				a, took := until(clock, answered)
				if soon := strings.HasSuffix(a.Header.Get("Location"), "/auth/account?elsewhere=soon"); a.StatusCode != http.StatusSeeOther || soon != c.announce {
					t.Errorf("%d %v", a.StatusCode, a.Header)
				}
				if took > c.most || c.still && took < lease {
					t.Errorf("it took %v", took)
				}
				page := b.get(a.Header.Get("Location")).want(t, 200).body
				if strings.Contains(page, "within a minute") != c.announce {
					t.Errorf("the page says %s", page)
				}
				if other.check() != 401 || b.check() != 200 {
					t.Error("the wrong session was ended")
				}
			})
		}
	}
}

// Programs are told the same.
func TestEndsElsewhereForPrograms(t *testing.T) {
	var store counterfoil.Store
	var keys *keyring.Ring
	var clock paced
	s := newSite(t, func(cfg *gateway.Config) {
		store, keys = several{cfg.Store}, cfg.Keys
		cfg.Store = store
		clock = pacing(cfg)
	}).withAccounts()
	b, other := s.signedIn(alice), s.signedIn(alice)
	id := other.id()
	wall, _ := s.clock.Now()
	m, err := counterfoil.New(t.Context(), counterfoil.Config{Store: store, Keys: keys, Clock: sessiontest.NewClock(wall), Lease: time.Minute, Realm: gateway.Realm})
	must(t, err)
	t.Cleanup(func() { must(t, m.Close(context.Background())) })
	r, err := http.NewRequest(http.MethodDelete, s.srv.URL+"/auth/api/v1/sessions/"+id, nil)
	must(t, err)
	answered := make(chan *http.Response, 1)
	go func() {
		resp, err := b.c.Do(r)
		if err != nil {
			t.Error(err)
		}
		answered <- resp
	}()
	resp, _ := until(clock, answered)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(t, err)
	if resp.StatusCode != http.StatusAccepted || !strings.Contains(string(body), `"message"`) {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}
