package counterfoil

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"io"
	"time"

	"github.com/counterfoil/counterfoil/keyring"
)

// EntryKind says what a log entry records. The numbers are part of the stored format.
type EntryKind uint8

const (
	EntryCreated      EntryKind = 1 // a session was created
	EntryChanged      EntryKind = 2 // identity, assurance, generation or limits of a session changed
	EntryEnded        EntryKind = 3 // one session ended
	EntryEndedSubject EntryKind = 4 // sessions of a subject ended, see Epoch and Except
	EntryEndedAll     EntryKind = 5 // all sessions ended
)

// ends reports whether an entry of this kind ends sessions.
func (k EntryKind) ends() bool {
	return k == EntryEnded || k == EntryEndedSubject || k == EntryEndedAll
}

// EntryVersion is the version of the log entries that this package writes.
const EntryVersion = 1

// OpID makes a change repeatable: a store takes the same operation twice as once. It begins with the
// session time of the first attempt, in ms as 6 bytes, most significant first, and goes on at random
// (as the UUID of version 7 does, RFC 9562 section 5.7), so that an index of them grows at one end and
// a new one is known to be new by a look at the latest.
type OpID [16]byte

const opRandom = len(OpID{}) - 6 // bytes

func newOpID(now time.Time, random [opRandom]byte) (op OpID) {
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(now.UnixMilli()))
	copy(op[:], ms[2:])
	copy(op[6:], random[:])
	return op
}

func randomOpID(random io.Reader, now time.Time) (OpID, error) {
	if random == nil {
		random = rand.Reader
	}
	var b [opRandom]byte
	_, err := io.ReadFull(random, b[:])
	return newOpID(now, b), err
}

// Entry is one line of the store's ordered log (R9): what nodes read to drop what they
// cached, and what the audit exporter reads. It is written in the transaction of the change.
type Entry struct {
	Seq     uint64 // position, from 1, without gaps; set by the store
	Version uint8
	Kind    EntryKind
	Op      OpID // zero on entries that a store writes by itself

	Session ID          // created, changed, ended
	Subject SubjectHash // of the session, or of those that ended
	Actor   SubjectHash // of the session, if another than its subject acts
	Parent  ID          // of the session
	Root    ID          // of the session

	Except   []ID   // ended-subject: sessions that live on; at most [MaxExcept]
	Epoch    uint64 // ended-subject: ends only records of a lower epoch; 0: of any
	Revision uint64 // changed: the record's new revision

	Reason Reason
	Time   time.Time // UTC, whole milliseconds

	Request RequestID // what the entry was written by; set by the store, zero in most

	DetailKey keyring.KeyID // the key that sealed Detail; zero: there is none
	Detail    []byte        // what the audit shows beside: who, from where; opens with the keyring
}

// RequestID names a request of a store to a storage under it that keeps a record of requests. The first
// 8 bytes are the same in all of one process' store, see [Capabilities]. Zero: there is none.
type RequestID [16]byte

// String returns 32 hexadecimal digits; "" for the zero RequestID.
func (id RequestID) String() string {
	if id == (RequestID{}) {
		return ""
	}
	return hex.EncodeToString(id[:])
}

// MaxExcept is how many sessions an ended-subject entry can spare.
const MaxExcept = 16

// Ends reports whether e is an end that covers the record.
func (e *Entry) Ends(r *Record) bool {
	switch e.Kind {
	case EntryEnded:
		return e.Session == r.ID || e.Session == r.Parent || e.Session == r.Root
	case EntryEndedSubject:
		if e.Subject != r.Subject && (r.Actor == SubjectHash{} || e.Subject != r.Actor) {
			return false
		}
		if e.Epoch != 0 && r.Epoch >= e.Epoch {
			return false
		}
		for _, id := range e.Except {
			if id == r.ID {
				return false
			}
		}
		return true
	case EntryEndedAll:
		return true
	}
	return false
}
