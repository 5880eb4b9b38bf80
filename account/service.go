package account

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"runtime"
	"time"

	"github.com/counterfoil/counterfoil"
)

// Service is what is done with accounts: the rules above a [Store]. It is safe for use by many
// goroutines.
type Service struct {
	store     Store
	clock     counterfoil.Clock
	hasher    *Hasher
	limits    Limits
	service   string
	minLength int
}

// Config of a [Service].
type Config struct {
	Store  Store             // Required.
	Clock  counterfoil.Clock // Nil: the system's.
	Hasher *Hasher           // Nil: argon2id with DefaultParams, at most four passwords at once.
	Limits Limits            // Zero: see Limits.

	Service   string // The name of this service, which passwords must not contain. "": counterfoil.
	MinLength int    // Shortest password in characters. 0: DefaultMinLength; at least 8.
	Why       string // The written reason that a MinLength below DefaultMinLength needs: a second factor that is always asked for.
}

var (
	// ErrWrong says that name and password do not belong together. Visitors learn no more than that.
	ErrWrong = errors.New("account: wrong name or password")
	// ErrDisabled is ErrWrong by [errors.Is], for logs alone: the password was right, the account is
	// disabled.
	ErrDisabled = fmt.Errorf("account: disabled: %w", ErrWrong)
	// ErrLink says that a one-time link is used up, expired or was never given out.
	ErrLink = errors.New("account: the link is used up or has expired; start the server again to get a new one")
)

// SetupLifetime is how long a set-up link is good.
const SetupLifetime = 15 * time.Minute

// NewService returns a Service, or all faults of cfg.
func NewService(cfg Config) (*Service, error) {
	s := &Service{store: cfg.Store, clock: cfg.Clock, hasher: cfg.Hasher, limits: cfg.Limits.withDefaults(),
		service: cfg.Service, minLength: cfg.MinLength}
	var errs []error
	if s.store == nil {
		errs = append(errs, errors.New("account: Config.Store is missing"))
	}
	if s.clock == nil {
		s.clock = counterfoil.SystemClock()
	}
	if s.service == "" {
		s.service = "counterfoil"
	}
	if s.minLength == 0 {
		s.minLength = DefaultMinLength
	}
	if s.minLength < lowestMinLength || s.minLength > 64 {
		errs = append(errs, fmt.Errorf("account: MinLength is %d; %d to 64 are allowed (NIST SP 800-63B-4)", s.minLength, lowestMinLength))
	} else if s.minLength < DefaultMinLength && cfg.Why == "" {
		errs = append(errs, fmt.Errorf("account: MinLength is %d, below the %d of NIST SP 800-63B-4 for a password that is the only factor: state the reason in Why", s.minLength, DefaultMinLength))
	}
	if l := s.limits; l.Window < time.Second || l.Pair < 1 || l.Address < 1 || l.Account < 1 || l.Strict < 1 {
		errs = append(errs, errors.New("account: Limits: numbers must be at least 1, the window at least 1s"))
	}
	if s.hasher == nil {
		var err error
		if s.hasher, err = NewHasher(DefaultParams, min(4, runtime.GOMAXPROCS(0))); err != nil {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Service) now() time.Time {
	wall, _ := s.clock.Now()
	return wall.UTC().Truncate(time.Millisecond)
}

// MinLength returns the shortest password in characters, for pages that say so beforehand.
func (s *Service) MinLength() int { return s.minLength }

// Verify returns the account if password is that of name, under the limits per account and per
// address. Take the session manager's mark before it (R14).
//
// [ErrWrong] covers a wrong password, an unknown or disabled account, which cost the same, and a name or
// password that cannot be one, which says nothing about any account. *[LimitError] says when to try again, [ErrBusy] that the machine is
// loaded; anything else means unknown.
func (s *Service) Verify(ctx context.Context, name, password string, from netip.Addr) (*Account, error) {
	normal, nameErr := NormalizeName(name)
	counted := attemptsOf(normal, from, s.now())
	if err := s.reserve(ctx, counted); err != nil {
		return nil, err
	}
	password, err := normalizePassword(password)
	if err != nil || nameErr != nil {
		return nil, ErrWrong // whoever sent that knows it
	}
	a, err := s.prove(ctx, normal, password)
	if err == nil {
		err = s.forgive(ctx, counted)
	}
	if err != nil && !errors.Is(err, ErrWrong) {
		s.giveBack(ctx, counted) // nobody learnt anything
	}
	if err != nil {
		return nil, err
	}
	return a, nil
}

// prove returns the account if password is that of name.
func (s *Service) prove(ctx context.Context, name, password string) (*Account, error) {
	a, err := s.store.Get(ctx, name)
	if errors.Is(err, ErrNotFound) {
		a, err = &Account{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("account: verify: %w", err)
	}
	ok, outdated, err := s.hasher.Check(ctx, a.Password, password)
	switch {
	case err != nil:
		return nil, fmt.Errorf("account: verify: %w", err)
	case !ok:
		return nil, ErrWrong
	case a.Disabled:
		return nil, ErrDisabled
	}
	if outdated {
		s.rehash(ctx, a, password)
	}
	return a, nil
}

// rehash moves a credential to today's cost. It is the same credential, so its epoch stays; if the
// account changed meanwhile or the store does not answer, the next sign-in tries again.
func (s *Service) rehash(ctx context.Context, a *Account, password string) {
	hash, err := s.hasher.Hash(ctx, password)
	if err != nil {
		return
	}
	c := *a
	c.Password = hash
	if s.store.Update(ctx, &c) == nil {
		*a = c
	}
}

// Add makes an account. ErrName, *PasswordError, ErrExists.
func (s *Service) Add(ctx context.Context, name, password string, operator bool) (*Account, error) {
	a, err := s.draft(ctx, name, password)
	if err != nil {
		return nil, err
	}
	a.Operator = operator
	if err := s.store.Add(ctx, a, false); err != nil {
		return nil, fmt.Errorf("account: add: %w", err)
	}
	return a, nil
}

// draft checks and hashes; it stores nothing.
func (s *Service) draft(ctx context.Context, name, password string) (*Account, error) {
	name, hash, err := s.credential(ctx, name, password)
	if err != nil {
		return nil, err
	}
	now := s.now()
	return &Account{Name: name, Password: hash, Epoch: 1, Created: now, Changed: now}, nil
}

// credential returns the name as it is kept and the hash of a password that is good enough.
func (s *Service) credential(ctx context.Context, name, password string) (kept, hash string, err error) {
	name, password, err = s.acceptable(name, password)
	if err != nil {
		return "", "", err
	}
	if hash, err = s.hasher.Hash(ctx, password); err != nil {
		return "", "", fmt.Errorf("account: hash: %w", err)
	}
	return name, hash, nil
}

// acceptable returns both in the form that is kept.
func (s *Service) acceptable(name, password string) (string, string, error) {
	name, err := NormalizeName(name)
	if err != nil {
		return "", "", err
	}
	if password, err = normalizePassword(password); err != nil {
		return "", "", err
	}
	return name, password, checkPassword(password, s.minLength, name, s.service)
}

// SetupCode returns a fresh code for AddFirst, good once and for [SetupLifetime]; earlier ones are
// void. [ErrNotFirst] if there is an account already.
func (s *Service) SetupCode(ctx context.Context) (code string, err error) {
	for _, err := range s.store.All(ctx) {
		if err != nil {
			return "", fmt.Errorf("account: set-up code: %w", err)
		}
		return "", ErrNotFirst
	}
	var raw [32]byte
	rand.Read(raw[:])
	code = base64.RawURLEncoding.EncodeToString(raw[:])
	err = s.store.PutLink(ctx, Link{Hash: sha256.Sum256([]byte(code)), Purpose: setup, Expires: s.now().Add(SetupLifetime)})
	if err != nil {
		return "", fmt.Errorf("account: set-up code: %w", err)
	}
	return code, nil
}

const setup = "set-up"

// AddFirst makes the first account, an operator's. A name or password that will not do leaves the
// code good. [ErrLink], [ErrNotFirst], [ErrName], *[PasswordError].
func (s *Service) AddFirst(ctx context.Context, code, name, password string) (*Account, error) {
	if _, _, err := s.acceptable(name, password); err != nil {
		return nil, err
	}
	link, err := s.store.TakeLink(ctx, sha256.Sum256([]byte(code)), s.now())
	if errors.Is(err, ErrNotFound) || err == nil && link.Purpose != setup {
		return nil, ErrLink
	}
	if err != nil {
		return nil, fmt.Errorf("account: set-up: %w", err)
	}
	a, err := s.draft(ctx, name, password)
	if err == nil {
		a.Operator = true
		err = s.store.Add(ctx, a, true)
	}
	switch {
	case err == nil:
		return a, nil
	case errors.Is(err, ErrNotFirst), errors.Is(err, ErrExists):
		return nil, fmt.Errorf("account: set-up: %w", ErrNotFirst)
	}
	// Nothing is known to have been made: the code may be used again, or nobody could ever set up.
	return nil, errors.Join(fmt.Errorf("account: set-up: %w", err), s.store.PutLink(context.WithoutCancel(ctx), link))
}

// Get returns the account of that name. [ErrNotFound].
func (s *Service) Get(ctx context.Context, name string) (*Account, error) {
	name, err := NormalizeName(name)
	if err != nil {
		return nil, ErrNotFound
	}
	return s.store.Get(ctx, name)
}

// All yields the accounts in order of name; it stops after the first error.
func (s *Service) All(ctx context.Context) iter.Seq2[*Account, error] { return s.store.All(ctx) }

// Tidy removes expired links and old attempts; call it now and then.
func (s *Service) Tidy(ctx context.Context) error { return s.store.Tidy(ctx, s.now()) }
