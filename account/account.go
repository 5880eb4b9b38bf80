// Package account keeps the accounts of the gateway: names, password hashes and one-time links.
//
//	accounts, err := account.NewService(account.Config{Store: store})
//	a, err := accounts.Verify(ctx, "alice", password, clientAddr)
//	if errors.Is(err, account.ErrWrong) {
//		// one answer for a wrong password, an unknown name and a disabled account
//	}
//
// A Service holds the rules, a Store the data; no part depends on the keyring.
package account

import (
	"context"
	"errors"
	"iter"
	"time"
)

// Account is one user of the gateway.
type Account struct {
	Name     string // normalised (lower case, NFC), 1 to 64 bytes
	Operator bool
	Disabled bool
	Password string // PHC string of argon2id; "": none
	Epoch    uint64 // version of the credential, from 1; one more at each change
	Created  time.Time
	Changed  time.Time // last change of the credential
	Revision uint64    // compare-and-swap number, set by the store
}

// Store keeps accounts, counters of attempts and one-time links. Package accounttest proves each
// sentence. Errors other than the sentinels mean "unknown"; every call may be repeated.
type Store interface {
	// Add inserts a, sets its Revision to 1. ErrExists if the name is taken. onlyFirst: insert only
	// if there is no account at all, else ErrNotFirst (the set-up page).
	Add(ctx context.Context, a *Account, onlyFirst bool) error
	// Get returns ErrNotFound if there is none of that name.
	Get(ctx context.Context, name string) (*Account, error)
	// Update replaces the account at its Revision, adding one to both. ErrConflict, ErrNotFound.
	Update(ctx context.Context, a *Account) error
	// All yields accounts in order of name.
	All(ctx context.Context) iter.Seq2[*Account, error]

	// Attempt reserves one attempt under key (an opaque hash) if fewer than max were reserved in the
	// sliding window that ends at now, atomically. Otherwise ok is false and retry says from when
	// the next would be allowed. Reservations older than window may be forgotten.
	Attempt(ctx context.Context, key string, now time.Time, window time.Duration, max int) (ok bool, retry time.Time, err error)
	// Forgive forgets the attempts under key; if at is not zero, one that was reserved then and no
	// more.
	Forgive(ctx context.Context, key string, at time.Time) error

	// Attempts yields the reserved attempts that are kept, in no order: to copy a store.
	Attempts(ctx context.Context) iter.Seq2[Attempt, error]

	// PutLink keeps a one-time link; the same hash again replaces it. Older links of the same
	// purpose and subject are removed.
	PutLink(ctx context.Context, l Link) error
	// TakeLink returns and removes the link if it is there and not expired at now; ErrNotFound
	// otherwise. Of many callers at once exactly one gets it.
	TakeLink(ctx context.Context, hash [32]byte, now time.Time) (Link, error)
	// Links yields the links that are kept, expired ones perhaps among them, in no order: to copy a
	// store.
	Links(ctx context.Context) iter.Seq2[Link, error]
	// Tidy removes expired links and old attempts, in bounded batches.
	Tidy(ctx context.Context, now time.Time) error
}

// Attempt is one that was reserved.
type Attempt struct {
	Key  string
	At   time.Time
	Ends time.Time // from then on it certainly counts no more
}

// Link is a one-time link; the store sees only the hash of its code.
type Link struct {
	Hash    [32]byte
	Purpose string // "set-up"
	Subject string
	Expires time.Time
}

var (
	ErrNotFound = errors.New("account: not found")
	ErrExists   = errors.New("account: the name is taken")
	ErrConflict = errors.New("account: changed meanwhile")
	ErrNotFirst = errors.New("account: there is an account already")
)
