package account_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/account"
	"github.com/counterfoil/counterfoil/account/memaccount"
	"github.com/counterfoil/counterfoil/sessiontest"
)

const password = "three tickets to the opera"

var (
	home = netip.MustParseAddr("198.51.100.20")
	away = netip.MustParseAddr("203.0.113.7")
)

func cheap(t testing.TB) *account.Hasher {
	t.Helper()
	h, err := account.NewHasher(account.Params{Memory: 64, Passes: 1, Threads: 1}, 2)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func newService(t testing.TB, edit ...func(*account.Config)) (*account.Service, *sessiontest.Clock) {
	t.Helper()
	clock := sessiontest.NewClock(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC))
	cfg := account.Config{Store: memaccount.New(), Clock: clock, Hasher: cheap(t)}
	for _, f := range edit {
		f(&cfg)
	}
	s, err := account.NewService(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s, clock
}

func add(t testing.TB, s *account.Service, name string) *account.Account {
	t.Helper()
	a, err := s.Add(t.Context(), name, password, false)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestVerify(t *testing.T) {
	s, _ := newService(t)
	add(t, s, "Zoë") // ë in two characters
	for name, c := range map[string]struct {
		name, password string
		want           error
	}{
		"right":                   {"zoë", password, nil},
		"name in capitals, NFD":   {"ZOË", password, nil},
		"other spaces":            {"zoë", strings.ReplaceAll(password, " ", " "), nil},
		"other case of password":  {"zoë", strings.ToUpper(password), account.ErrWrong},
		"space at the end":        {"zoë", password + " ", account.ErrWrong},
		"empty":                   {"zoë", "", account.ErrWrong},
		"unknown":                 {"zora", password, account.ErrWrong},
		"no name":                 {"", password, account.ErrWrong},
		"impossible name":         {"a b", password, account.ErrWrong},
		"name of a megabyte":      {strings.Repeat("a", 1<<20), password, account.ErrWrong},
		"password of a megabyte":  {"zoë", strings.Repeat("a", 1<<20), account.ErrWrong},
		"name that is no UTF-8":   {"zo\xff", password, account.ErrWrong},
		"password is no UTF-8":    {"zoë", password + "\xff", account.ErrWrong},
		"control character in it": {"zoë", password + "\x00", account.ErrWrong},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := s.Verify(t.Context(), c.name, c.password, home)
			if !errors.Is(err, c.want) || (a == nil) != (c.want != nil) {
				t.Errorf("%v, %v", a, err)
			}
		})
	}
}

// S15: what an unknown name costs is what a wrong password costs: one hash.
func TestUnknownCostsTheSame(t *testing.T) {
	h, err := account.NewHasher(account.Params{Memory: 8 << 10, Passes: 2, Threads: 1}, 1)
	if err != nil {
		t.Fatal(err)
	}
	s, _ := newService(t, func(c *account.Config) { c.Hasher = h; c.Limits.Pair, c.Limits.Address = 1000, 1000 })
	add(t, s, "alice")
	clock := counterfoil.SystemClock()
	cost := map[string]time.Duration{"alice": time.Hour, "zebra": time.Hour} // the least of all tries: others use the machine, too
	for tries := 0; cost["alice"] > 2*cost["zebra"] || cost["zebra"] > 2*cost["alice"] || tries < 8; tries++ {
		if tries == 100 {
			t.Fatalf("a known and an unknown name: %v", cost)
		}
		for name := range cost {
			_, began := clock.Now()
			s.Verify(t.Context(), name, "not the password", home)
			_, ended := clock.Now()
			cost[name] = min(cost[name], ended-began)
		}
	}
}

// SD12: limits per account and per address; success forgives; nobody is locked out for good.
func TestLimits(t *testing.T) {
	fail := func(t *testing.T, s *account.Service, name string, from netip.Addr, n int) {
		t.Helper()
		for i := range n {
			if _, err := s.Verify(t.Context(), name, "wrong", from); !errors.Is(err, account.ErrWrong) {
				t.Fatalf("attempt %d: %v", i+1, err)
			}
		}
	}
	limited := func(t *testing.T, s *account.Service, name string, from netip.Addr) time.Time {
		t.Helper()
		_, err := s.Verify(t.Context(), name, password, from)
		limit := (*account.LimitError)(nil)
		if !errors.As(err, &limit) {
			t.Fatalf("not limited: %v", err)
		}
		return limit.Until
	}
	good := func(t *testing.T, s *account.Service, name string, from netip.Addr) {
		t.Helper()
		if _, err := s.Verify(t.Context(), name, password, from); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("account from one address", func(t *testing.T) {
		s, clock := newService(t)
		add(t, s, "alice")
		fail(t, s, "alice", away, 5)
		clock.Advance(time.Minute)
		fail(t, s, "alice", away, 5)
		until := limited(t, s, "alice", away)
		if now, _ := clock.Now(); until.Sub(now) != 14*time.Minute {
			t.Errorf("until %v, which is not when the first attempt is 15 minutes old", until)
		}
		good(t, s, "alice", home)
		clock.Advance(14 * time.Minute)
		good(t, s, "alice", away)
		fail(t, s, "alice", away, 10) // forgiven
	})
	t.Run("an unknown account is limited alike", func(t *testing.T) {
		s, _ := newService(t)
		fail(t, s, "zebra", away, 10)
		limited(t, s, "zebra", away)
	})
	t.Run("one address, many accounts", func(t *testing.T) {
		s, clock := newService(t)
		add(t, s, "alice")
		for i := range 10 {
			fail(t, s, fmt.Sprint("user", i), away, 10)
		}
		limited(t, s, "alice", away)
		good(t, s, "alice", home)
		clock.Advance(15 * time.Minute)
		good(t, s, "alice", away)
	})
	t.Run("an account of one's own gives no more guesses at others", func(t *testing.T) {
		s, _ := newService(t)
		add(t, s, "alice")
		add(t, s, "mallory")
		for i := range 9 {
			fail(t, s, fmt.Sprint("user", i), away, 10)
			good(t, s, "mallory", away)
		}
		fail(t, s, "user9", away, 10)
		limited(t, s, "alice", away)
	})
	t.Run("sign-ins that succeed count for nobody", func(t *testing.T) { // a whole office
		s, _ := newService(t)
		for i := range 30 {
			name := fmt.Sprint("colleague", i)
			add(t, s, name)
			for range 5 {
				good(t, s, name, away)
			}
		}
	})
	t.Run("one IPv6 network is one address", func(t *testing.T) {
		s, _ := newService(t)
		add(t, s, "alice")
		for i := range 10 {
			fail(t, s, "alice", netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", i+1)), 1)
		}
		limited(t, s, "alice", netip.MustParseAddr("2001:db8::ffff"))
		good(t, s, "alice", netip.MustParseAddr("2001:db8:0:1::1"))
	})
	t.Run("a /48 has one share of what is left when many guess", func(t *testing.T) {
		s, _ := newService(t)
		add(t, s, "alice")
		for i := range 100 {
			fail(t, s, "alice", netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 1)
		}
		for i := range 2 {
			fail(t, s, "alice", netip.MustParseAddr(fmt.Sprintf("2001:db8:0:%x::1", i)), 1)
		}
		limited(t, s, "alice", netip.MustParseAddr("2001:db8:0:ffff::1"))
		good(t, s, "alice", netip.MustParseAddr("2001:db8:1::1"))
	})
	t.Run("mapped IPv4 is IPv4", func(t *testing.T) {
		s, _ := newService(t)
		add(t, s, "alice")
		fail(t, s, "alice", netip.MustParseAddr("::ffff:203.0.113.7"), 10)
		limited(t, s, "alice", away)
	})
	t.Run("many addresses cannot lock the owner out", func(t *testing.T) {
		s, _ := newService(t)
		add(t, s, "alice")
		attackers := 0
		from := func() netip.Addr {
			attackers++
			return netip.AddrFrom4([4]byte{10, byte(attackers >> 16), byte(attackers >> 8), byte(attackers)})
		}
		for range 10 {
			fail(t, s, "alice", from(), 10)
		}
		last := from()
		fail(t, s, "alice", last, 2) // the account's number is used up: two are left for each address
		limited(t, s, "alice", last)
		good(t, s, "alice", home)
	})
}

// The store sees hashes of names and addresses.
func TestAttemptKeys(t *testing.T) {
	spy := &spyStore{Store: memaccount.New()}
	s, _ := newService(t, func(c *account.Config) { c.Store = spy })
	s.Verify(t.Context(), "alice", password, home)
	if len(spy.keys) != 3 {
		t.Fatalf("keys %q", spy.keys)
	}
	for _, key := range spy.keys {
		if strings.Contains(key, "alice") || strings.Contains(key, "198.51") || len(key) != 32 {
			t.Errorf("key %q", key)
		}
	}
}

type spyStore struct {
	account.Store
	keys []string
}

func (s *spyStore) Attempt(ctx context.Context, key string, now time.Time, window time.Duration, max int) (bool, time.Time, error) {
	s.keys = append(s.keys, key)
	return s.Store.Attempt(ctx, key, now, window, max)
}

func TestDisabled(t *testing.T) {
	s, _ := newService(t)
	m, _ := sessiontest.New(t)
	add(t, s, "alice")
	if _, _, err := s.SetDisabled(t.Context(), m, "Alice", true); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Verify(t.Context(), "alice", password, home); !errors.Is(err, account.ErrWrong) || !errors.Is(err, account.ErrDisabled) {
		t.Errorf("%v", err)
	}
	if _, err := s.Verify(t.Context(), "alice", "wrong", home); errors.Is(err, account.ErrDisabled) {
		t.Error("whoever does not know the password learns that the account is disabled")
	}
	if a, _, err := s.SetDisabled(t.Context(), m, "alice", false); err != nil || a.Disabled || a.Epoch != 1 {
		t.Errorf("%+v, %v", a, err)
	}
	if _, err := s.Verify(t.Context(), "alice", password, home); err != nil {
		t.Error(err)
	}
	if _, _, err := s.SetDisabled(t.Context(), m, "zebra", true); !errors.Is(err, account.ErrNotFound) {
		t.Error(err)
	}
}

// A password hashed at another cost is hashed anew at a sign-in; the credential stays the same.
func TestRehash(t *testing.T) {
	store := memaccount.New()
	old, _ := newService(t, func(c *account.Config) { c.Store = store })
	add(t, old, "alice")
	h, err := account.NewHasher(account.Params{Memory: 128, Passes: 1, Threads: 1}, 1)
	if err != nil {
		t.Fatal(err)
	}
	s, _ := newService(t, func(c *account.Config) { c.Store, c.Hasher = store, h })
	a, err := s.Verify(t.Context(), "alice", password, home)
	if err != nil || !strings.Contains(a.Password, "m=128,") || a.Epoch != 1 {
		t.Fatalf("%+v, %v", a, err)
	}
	if a, err = s.Verify(t.Context(), "alice", password, home); err != nil || a.Revision != 2 {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestAdd(t *testing.T) {
	s, _ := newService(t)
	a := add(t, s, "Alice")
	if a.Name != "alice" || a.Epoch != 1 || a.Operator || !strings.HasPrefix(a.Password, "$argon2id$v=19$m=64,t=1,p=1$") {
		t.Errorf("%+v", a)
	}
	if _, err := s.Add(t.Context(), "ALICE", password, true); !errors.Is(err, account.ErrExists) {
		t.Error(err)
	}
	if _, err := s.SetupCode(t.Context()); !errors.Is(err, account.ErrNotFirst) {
		t.Error(err)
	}
	if _, err := s.Add(t.Context(), "a/../b c", password, true); !errors.Is(err, account.ErrName) {
		t.Error(err)
	}
}

// flaky loses the answer of every second write, and of some does not do it at all.
type flaky struct {
	account.Store
	mu sync.Mutex
	n  int
}

var errLost = errors.New("answer lost")

func (f *flaky) Update(ctx context.Context, a *account.Account) error {
	f.mu.Lock()
	f.n++
	n := f.n
	f.mu.Unlock()
	if n%3 == 1 {
		return errLost // not done
	}
	err := f.Store.Update(ctx, a)
	if n%3 == 2 && err == nil {
		return errLost // done
	}
	return err
}

// R14: a change is repeated until its outcome is known, and done once.
func TestChangeIsRepeated(t *testing.T) {
	s, _ := newService(t, func(c *account.Config) {
		c.Store = &flaky{Store: memaccount.New()}
		c.Clock = counterfoil.SystemClock() // it waits between tries
	})
	m, _ := sessiontest.New(t)
	add(t, s, "alice")
	a, _, err := s.SetPassword(t.Context(), m, "alice", "an umbrella in the rain")
	if err != nil || a.Epoch != 2 {
		t.Fatalf("%+v, %v", a, err)
	}
	if stored, err := s.Get(t.Context(), "alice"); err != nil || stored.Epoch != 2 || stored.Password != a.Password {
		t.Errorf("%+v, %v", stored, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := s.SetPassword(ctx, m, "alice", "a third one of some length"); err == nil {
		t.Error("no error though ctx was over")
	}
}

// A password that was proved before an operator acted changes nothing after it. R14
func TestChangeOfAnOlderProof(t *testing.T) {
	for name, act := range map[string]func(s *account.Service, m *counterfoil.Manager) (*account.Account, error){
		"another password": func(s *account.Service, m *counterfoil.Manager) (*account.Account, error) {
			a, _, err := s.SetPassword(t.Context(), m, "alice", "an umbrella in the rain")
			return a, err
		},
		"disabled": func(s *account.Service, m *counterfoil.Manager) (*account.Account, error) {
			a, _, err := s.SetDisabled(t.Context(), m, "alice", true)
			return a, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := newService(t, func(c *account.Config) { c.Clock = counterfoil.SystemClock() })
			m, _ := sessiontest.New(t)
			add(t, s, "alice")
			proved, err := s.Verify(t.Context(), "alice", password, netip.MustParseAddr("192.0.2.1"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := act(s, m); err != nil {
				t.Fatal(err)
			}
			before, _ := s.Get(t.Context(), "alice")
			if _, _, err := s.ChangePassword(t.Context(), m, proved, "a thief's own long password"); !errors.Is(err, account.ErrWrong) {
				t.Errorf("changed: %v", err)
			}
			if after, _ := s.Get(t.Context(), "alice"); after.Password != before.Password || after.Epoch != before.Epoch {
				t.Error("the older proof set the password")
			}
		})
	}
}

func TestConfig(t *testing.T) {
	store := memaccount.New()
	for name, c := range map[string]struct {
		cfg account.Config
		ok  bool
	}{
		"default":             {account.Config{Store: store}, true},
		"no store":            {account.Config{}, false},
		"short, no reason":    {account.Config{Store: store, MinLength: 8}, false},
		"short with a reason": {account.Config{Store: store, MinLength: 8, Why: "every sign-in asks for a second factor"}, true},
		"too short":           {account.Config{Store: store, MinLength: 7, Why: "because"}, false},
		"longer":              {account.Config{Store: store, MinLength: 20}, true},
		"negative limit":      {account.Config{Store: store, Limits: account.Limits{Pair: -1}}, false},
	} {
		if _, err := account.NewService(c.cfg); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// blind is a store that reads no accounts.
type blind struct {
	account.Store
	on bool
}

func (s *blind) Get(ctx context.Context, name string) (*account.Account, error) {
	if s.on {
		return nil, errors.New("the store does not answer")
	}
	return s.Store.Get(ctx, name)
}

// A password that nobody judged, because the store did not answer or the machine was busy, does not use
// up the limits: who is told to try again may.
func TestUnjudgedAttemptIsGivenBack(t *testing.T) {
	store := &blind{Store: memaccount.New()}
	s, _ := newService(t, func(c *account.Config) {
		c.Store = store
		c.Limits = account.Limits{Pair: 2, Address: 2, Account: 2, Strict: 1}
	})
	add(t, s, "alice")
	from := netip.MustParseAddr("192.0.2.1")
	store.on = true
	for range 5 {
		_, err := s.Verify(t.Context(), "alice", "not her password", from)
		if limit := (*account.LimitError)(nil); err == nil || errors.Is(err, account.ErrWrong) || errors.As(err, &limit) {
			t.Fatalf("%v; nobody can know", err)
		}
	}
	store.on = false
	for _, want := range []bool{true, true, false} { // whether it is judged
		_, err := s.Verify(t.Context(), "alice", "not her password", from)
		if errors.Is(err, account.ErrWrong) != want {
			t.Fatalf("%v; judged is to be %v", err, want)
		}
	}
}
