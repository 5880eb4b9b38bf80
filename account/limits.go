package account

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// Limits say how many passwords may be tried. A zero field takes the default that its comment names.
//
// The number that counts for one who knows his password is Pair: it belongs to one account and one
// address (of IPv6, the /64), and nobody else can use it up. Account bounds what many addresses
// together can try; past it each address (of IPv6, the /48) has Strict attempts left instead of Pair. So an attacker can
// slow an owner down only from the owner's own address, and never lock him out for good. Success
// forgives what was counted for the account; of the address' number it gives back its own alone, or
// anybody with an account could guess at all others without end.
type Limits struct {
	Window  time.Duration // Pair, Strict and Address count this far back. 0: 15 minutes
	Pair    int           // for an account from one address. 0: 10
	Address int           // for all accounts from one address. 0: 100
	Account int           // for an account from all addresses in an hour, then Strict holds. 0: 100 (NIST SP 800-63B-4 section 3.2.2)
	Strict  int           // for an account from one address while Account is used up. 0: 2
}

func (l Limits) withDefaults() Limits {
	if l.Window == 0 {
		l.Window = 15 * time.Minute
	}
	for _, f := range []struct {
		field *int
		value int
	}{{&l.Pair, 10}, {&l.Address, 100}, {&l.Account, 100}, {&l.Strict, 2}} {
		if *f.field == 0 {
			*f.field = f.value
		}
	}
	return l
}

// LimitError says that too many passwords were tried, and when the next will be looked at. It does
// not depend on whether there is such an account.
type LimitError struct{ Until time.Time }

func (e *LimitError) Error() string {
	return "account: too many attempts; try again at " + e.Until.UTC().Format(time.RFC3339)
}

// attempts names the counters of one sign-in.
type attempts struct {
	pair, strict, address, account string
	at                             time.Time
}

func attemptsOf(name string, from netip.Addr, at time.Time) attempts {
	block, site := "unknown", "unknown"
	if from = from.Unmap().WithZone(""); from.Is4() {
		block, site = from.String(), from.String()
	} else if p, err := from.Prefix(64); err == nil && from.IsValid() {
		block = p.String() // one customer usually has at least a /64,
		p, _ = from.Prefix(48)
		site = p.String() // and whoever guesses in earnest the 65,536 of a /48
	}
	return attempts{
		at:      at,
		pair:    attemptKey("pair", name, block),
		strict:  attemptKey("strict", name, site),
		address: attemptKey("address", "", block),
		account: attemptKey("account", name, ""),
	}
}

// attemptKey is a hash, so that the store's table of attempts lists neither names nor addresses.
func attemptKey(kind, name, block string) string {
	sum := sha256.Sum256([]byte(kind + "\x00" + name + "\x00" + block))
	return hex.EncodeToString(sum[:16])
}

// reserve takes one attempt from each counter, or returns a *LimitError.
func (s *Service) reserve(ctx context.Context, a attempts) error {
	take := func(key string, window time.Duration, max int) (bool, time.Time, error) {
		ok, retry, err := s.store.Attempt(ctx, key, a.at, window, max)
		if err != nil {
			return false, time.Time{}, fmt.Errorf("account: counting attempts: %w", err)
		}
		return ok, retry, nil
	}
	for _, c := range []struct {
		key string
		max int
	}{{a.address, s.limits.Address}, {a.pair, s.limits.Pair}} {
		if ok, retry, err := take(c.key, s.limits.Window, c.max); err != nil {
			return err
		} else if !ok {
			return &LimitError{retry}
		}
	}
	if ok, _, err := take(a.account, time.Hour, s.limits.Account); ok || err != nil {
		return err
	}
	if ok, retry, err := take(a.strict, s.limits.Window, s.limits.Strict); err != nil {
		return err
	} else if !ok {
		return &LimitError{retry}
	}
	return nil
}

// forgive undoes what reserve counted, after a success: see [Limits].
func (s *Service) forgive(ctx context.Context, a attempts) error {
	return s.forget(ctx, []Attempt{{Key: a.address, At: a.at}, {Key: a.pair}, {Key: a.strict}, {Key: a.account}})
}

// giveBackTime bounds how long an answer that nobody knows is held up to give back its attempt.
const giveBackTime = time.Second

// giveBack undoes what reserve counted for a password that was not judged, because the machine was busy
// or the store did not answer in time: trying again must not use up the limits. If the store does not
// answer now either, the attempt stays counted.
func (s *Service) giveBack(ctx context.Context, a attempts) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveBackTime)
	defer cancel()
	_ = s.forget(ctx, []Attempt{{Key: a.address, At: a.at}, {Key: a.pair, At: a.at}, {Key: a.strict, At: a.at}, {Key: a.account, At: a.at}})
}

// forget forgives together, so that a store may do that at once.
func (s *Service) forget(ctx context.Context, all []Attempt) error {
	errs := make([]error, len(all))
	var forgiving sync.WaitGroup
	for i, one := range all {
		forgiving.Go(func() { errs[i] = s.store.Forgive(ctx, one.Key, one.At) })
	}
	forgiving.Wait()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("account: forgiving attempts: %w", err)
	}
	return nil
}
