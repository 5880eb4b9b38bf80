package account

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/crypto/argon2"
)

// Params are the costs of argon2id.
type Params struct {
	Memory  uint32 // KiB
	Passes  uint32
	Threads uint8
}

// DefaultParams are RFC 9106's choice for 64 MiB (section 4: three passes), with one lane instead of
// four: at equal memory and passes more lanes do not make guessing dearer, they only let one sign-in
// take four processors. They lie above each of OWASP's equivalent minima (46 MiB and one pass, 19 MiB
// and two). A check takes about 130 ms on a small server.
var DefaultParams = Params{Memory: 64 << 10, Passes: 3, Threads: 1}

// ErrBusy says that more passwords wait to be checked than the memory set aside for it allows. It
// says nothing about the password: answer 503 and ask to try again.
var ErrBusy = errors.New("account: too many passwords are being checked; try again shortly")

// queueFactor bounds the callers that wait, as a multiple of those that work: at the default cost
// nobody waits longer than about four seconds.
const queueFactor = 32

// Hasher does argon2id for a bounded number of callers at once, so that its memory is bounded too;
// the others wait, and past a bound are refused with [ErrBusy]. It is safe for use by many
// goroutines.
type Hasher struct {
	params  Params
	slots   chan struct{}
	waiting atomic.Int64
	dummy   phc // of no password: what an unknown user is checked against
}

// NewHasher returns a Hasher that works on at most parallel passwords at once and so uses about
// parallel times p.Memory.
func NewHasher(p Params, parallel int) (*Hasher, error) {
	if parallel < 1 {
		return nil, fmt.Errorf("account: hasher: %d passwords at once; it must be at least 1", parallel)
	}
	h := &Hasher{params: p, slots: make(chan struct{}, parallel)}
	h.dummy = phc{Params: p, salt: make([]byte, saltSize), key: make([]byte, keySize)}
	if err := h.dummy.check(); err != nil {
		return nil, fmt.Errorf("account: hasher: %w", err)
	}
	rand.Read(h.dummy.salt)
	rand.Read(h.dummy.key)
	return h, nil
}

const (
	saltSize = 16 // RFC 9106 section 3.1
	keySize  = 32
)

// Hash returns the PHC string of password under a fresh salt. ErrBusy, or the context's error.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	p := phc{Params: h.params, salt: make([]byte, saltSize)}
	rand.Read(p.salt)
	key, err := h.derive(ctx, p, keySize, password)
	if err != nil {
		return "", err
	}
	p.key = key
	return p.String(), nil
}

// Check reports whether encoded is a hash of password, and whether it was made at another cost than
// h's and should be made anew. An empty encoded, an account without a password, costs as much as a
// wrong one. ErrBusy, the context's error, or that encoded is not a PHC string of argon2id.
func (h *Hasher) Check(ctx context.Context, encoded, password string) (ok, outdated bool, err error) {
	p := h.dummy
	if encoded != "" {
		if p, err = parsePHC(encoded); err != nil {
			return false, false, err
		}
	}
	key, err := h.derive(ctx, p, uint32(len(p.key)), password)
	if err != nil {
		return false, false, err
	}
	ok = subtle.ConstantTimeCompare(key, p.key) == 1 && encoded != ""
	return ok, p.Params != h.params || len(p.key) != keySize, nil
}

type whileHashing struct{}

// WhileHashing returns a context under which a password that is hashed or checked, or waits for that,
// calls pause before and what pause returned after it: who bounds how long a request waits for its
// store leaves that time out.
func WhileHashing(ctx context.Context, pause func() (resume func())) context.Context {
	return context.WithValue(ctx, whileHashing{}, pause)
}

func (h *Hasher) derive(ctx context.Context, p phc, size uint32, password string) ([]byte, error) {
	if pause, ok := ctx.Value(whileHashing{}).(func() func()); ok {
		defer pause()()
	}
	defer h.waiting.Add(-1)
	if h.waiting.Add(1) > int64(cap(h.slots)*(1+queueFactor)) {
		return nil, ErrBusy
	}
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err := ctx.Err(); err != nil { // the caller has gone while others worked
		return nil, err
	}
	return argon2.IDKey([]byte(password), p.salt, p.Passes, p.Memory, p.Threads, size), nil
}
