// Package keyring holds the keys of an installation. (skeleton: signatures fixed, bodies follow)
package keyring

import (
	"errors"
	"io"
	"time"
)

// KeyID names a key. It is no secret. The zero KeyID names none.
type KeyID uint32

// String returns 8 hexadecimal digits.
func (id KeyID) String() string { panic("skeleton") }

// ParseKeyID reads what String wrote.
func ParseKeyID(s string) (KeyID, error) { panic("skeleton") }

// State of a key.
type State string

const (
	Primary  State = "primary"  // seals and opens
	Enabled  State = "enabled"  // opens only
	Disabled State = "disabled" // does neither; kept so that its ID is not used again
)

// Purpose binds a sub-key to one use.
type Purpose string

const (
	Identity Purpose = "identity" // sealing the identity part of records
	Values   Purpose = "values"   // MAC of the selector: the key of a session's values
	Verifier Purpose = "verifier" // MAC that yields the key of a token's generations
	Selector Purpose = "selector" // tag in a selector
	Detail   Purpose = "detail"   // sealing details of log entries
	Account  Purpose = "account"  // spare: nothing an account needs may depend on the ring
)

// Info is what may be shown of a key.
type Info struct {
	ID      KeyID
	State   State
	Created time.Time
}

// Ring is safe for use by many goroutines; it changes as a whole (rotate, revoke, reload).
type Ring struct{}

// Generate makes a ring with one fresh primary key and fresh roots, in memory alone. random nil: crypto/rand.
func Generate(now time.Time, random io.Reader) (*Ring, error) { panic("skeleton") }

// Primary returns the key that seals.
func (r *Ring) Primary() KeyID { panic("skeleton") }

// Usable returns the primary and the enabled keys, the primary first. The caller must not change it.
func (r *Ring) Usable() []KeyID { panic("skeleton") }

// Keys lists all keys, oldest first.
func (r *Ring) Keys() []Info { panic("skeleton") }

// Derive returns the 32-byte sub-key of a usable key for one purpose (HKDF-SHA-256), cached. ErrNoKey.
func (r *Ring) Derive(id KeyID, p Purpose) (*[32]byte, error) { panic("skeleton") }

// Seal encrypts with AES-256-GCM under a time-bounded sub-key of the primary.
func (r *Ring) Seal(p Purpose, at time.Time, aad, plain []byte) (KeyID, []byte, error) {
	panic("skeleton")
}

// Open undoes Seal. ErrNoKey: no usable key of that ID; ErrSealed: damaged, foreign, or other aad.
func (r *Ring) Open(id KeyID, p Purpose, aad, sealed []byte) ([]byte, error) { panic("skeleton") }

// IndexKey is the root under the hashes of subjects; it never rotates.
func (r *Ring) IndexKey() *[32]byte { panic("skeleton") }

// AuditKey is the root under the audit chain; it never rotates.
func (r *Ring) AuditKey() *[32]byte { panic("skeleton") }

var (
	ErrNoKey  = errors.New("keyring: no usable key of that ID")
	ErrSealed = errors.New("keyring: does not open: damaged, or sealed for another place")
)
