package counterfoil

import (
	"bytes"
	"time"

	"github.com/counterfoil/counterfoil/keyring"
)

// Kind tells what a record is for. Limits apply per subject and kind.
type Kind uint8

const (
	KindVisit   Kind = 1 // an anonymous visitor's session; it has no subject
	KindBrowser Kind = 2 // a signed-in browser
	KindClient  Kind = 3 // a signed-in program
	KindGrant   Kind = 4 // a long-lived credential that starts sessions
)

// String returns the word that lists and logs use.
func (k Kind) String() string {
	switch k {
	case KindVisit:
		return "visit"
	case KindBrowser:
		return "browser"
	case KindClient:
		return "client"
	case KindGrant:
		return "grant"
	}
	return "unknown"
}

// SubjectHash is a keyed hash of a subject, by which stores index. The zero value stands for no
// subject and is in no index.
type SubjectHash [16]byte

// RecordVersion is the version of the records that this package writes.
const RecordVersion = 1

// Record is what a store keeps of a session. The clear fields are for the store's own work; the
// manager judges by the copies of them that Identity proves. All times are UTC in whole
// milliseconds.
type Record struct {
	Version uint8
	ID      ID
	Kind    Kind
	Subject SubjectHash // of whom the session is
	Actor   SubjectHash // of who really acts, if that is somebody else
	Parent  ID          // the session that this one hangs on; zero: none
	Root    ID          // the first of that line; zero: none
	Epoch   uint64      // version of the credential that was proved; 0: none stated
	Born    uint64      // position of the created entry in the log; set by the store

	// Revision is the store's compare-and-swap number: 1 after Create, one more after each Update.
	Revision uint64

	Created     time.Time
	Seen        time.Time
	IdleEnd     time.Time
	AbsoluteEnd time.Time

	IdentityKey keyring.KeyID // the key that sealed Identity
	ValuesKey   keyring.KeyID // the key under Values; zero if there are none
	VerifierKey keyring.KeyID // the key under the token's verifiers
	SelectorKey keyring.KeyID // the key under the selector's tag

	IdentityCount uint64 // how often Identity was sealed; bound into its associated data
	ValuesCount   uint64 // the same of Values

	Identity []byte // who, how proved, generations, device: opens with the keyring
	Values   []byte // opens with keyring and selector; nil: none
}

// Clone returns a copy that shares nothing with r.
func (r *Record) Clone() *Record {
	c := *r
	c.Identity = bytes.Clone(r.Identity)
	c.Values = bytes.Clone(r.Values)
	return &c
}

// Live reports whether both ends of r lie after now.
func (r *Record) Live(now time.Time) bool {
	return r.IdleEnd.After(now) && r.AbsoluteEnd.After(now)
}
