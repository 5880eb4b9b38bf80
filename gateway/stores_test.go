package gateway_test

import (
	"context"
	"crypto/rand"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/account"
	"github.com/counterfoil/counterfoil/account/memaccount"
	"github.com/counterfoil/counterfoil/gateway"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/sqlite"
)

// The way in, about and out is the same on every store, and goes on after a restart. C18
func TestLoginFlowOnEveryStore(t *testing.T) {
	keys, err := keyring.Generate(time.Unix(0, 0), rand.Reader)
	must(t, err)
	hasher, err := account.NewHasher(account.Params{Memory: 64, Passes: 1, Threads: 1}, 2)
	must(t, err)
	path := filepath.Join(t.TempDir(), "data", "sessions.db")
	inMemory, inMemoryAccounts := memory.New(memory.Options{}), memaccount.New()
	t.Cleanup(func() { must(t, inMemory.Close()) })
	stores := map[string]func(t *testing.T) (counterfoil.Store, account.Store){
		"memory": func(*testing.T) (counterfoil.Store, account.Store) { return inMemory, inMemoryAccounts },
		"sqlite": func(t *testing.T) (counterfoil.Store, account.Store) {
			s, err := sqlite.Open(context.Background(), path, sqlite.Options{})
			must(t, err)
			t.Cleanup(func() { must(t, s.Close()) })
			return s, s.Accounts()
		},
	}
	for name, open := range stores {
		var token string // of a session that lives on
		for _, when := range []string{"first start", "after a restart"} {
			t.Run(name+", "+when, func(t *testing.T) {
				store, accounts := open(t)
				s := newSite(t, func(c *gateway.Config) {
					var err error
					c.Store, c.Keys = store, keys
					c.Accounts, err = account.NewService(account.Config{Store: accounts, Clock: c.Clock, Hasher: hasher})
					must(t, err)
				})
				if when == "first start" {
					s.accounts, err = account.NewService(account.Config{Store: accounts, Clock: s.clock, Hasher: hasher})
					must(t, err)
					s.withAccounts()
				} else if s.replay(token) != 200 {
					t.Error("the session of before the restart is gone")
				}
				s.browser().get("/").want(t, 303)
				s.browser().post("/auth/login", "username", alice, "password", "not her password at all").want(t, 401)
				a := s.signedIn(alice)
				a.get("/").want(t, 200)
				a.get("/auth/account").want(t, 200)
				a.post("/", "note", name).want(t, 303)
				gone := a.token()
				a.post("/auth/logout").want(t, 303)
				if a.check() != 401 || s.replay(gone) != 401 {
					t.Error("signed out, and still in")
				}
				token = s.signedIn(bob).token()
			})
		}
	}
}

// A cookie jar drops a persistent cookie when its time is over. C13
func TestJarDropsTheCookie(t *testing.T) {
	s := newSite(t, func(c *gateway.Config) {
		c.Persistent = true
		c.Policy = counterfoil.Policy{Idle: time.Second, Absolute: time.Second}
	}).withAccounts()
	cookies := s.browser().post("/auth/login", "username", alice, "password", alicePassword).want(t, 303).Cookies()
	u, err := url.Parse(s.srv.URL)
	must(t, err)
	synctest.Test(t, func(t *testing.T) { // where the jar's time is
		jar, err := cookiejar.New(nil)
		must(t, err)
		jar.SetCookies(u, cookies)
		if len(jar.Cookies(u)) != 1 {
			t.Errorf("the jar has %v of %v", jar.Cookies(u), cookies)
		}
		time.Sleep(time.Second)
		if left := jar.Cookies(u); len(left) > 0 {
			t.Errorf("the jar still has %v", left)
		}
	})
}
