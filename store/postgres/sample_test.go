package postgres_test

import (
	"crypto/rand"
	"time"

	"github.com/counterfoil/counterfoil"
)

// noon is when the tests' clock stands.
var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func newOp() (op counterfoil.OpID) {
	rand.Read(op[:])
	return op
}

func newSubject() (s counterfoil.SubjectHash) {
	rand.Read(s[:])
	return s
}

// session is a record as sign-ins make them.
func session(subject counterfoil.SubjectHash) *counterfoil.Record {
	r := &counterfoil.Record{
		Version: counterfoil.RecordVersion, Kind: counterfoil.KindBrowser, Subject: subject,
		Created: noon, Seen: noon, IdleEnd: noon.Add(time.Hour), AbsoluteEnd: noon.Add(8 * time.Hour),
		IdentityKey: 1, ValuesKey: 1, VerifierKey: 1, SelectorKey: 1, IdentityCount: 1, ValuesCount: 1,
		Identity: make([]byte, 300), Values: make([]byte, 100),
	}
	rand.Read(r.ID[:])
	rand.Read(r.Identity)
	rand.Read(r.Values)
	return r
}

func signIn() counterfoil.Creation {
	return counterfoil.Creation{Entry: counterfoil.Entry{
		Op: newOp(), Reason: counterfoil.ReasonSignIn, Time: noon, DetailKey: 1, Detail: make([]byte, 120),
	}}
}

func signOut(id counterfoil.ID) counterfoil.Entry {
	return counterfoil.Entry{Kind: counterfoil.EntryEnded, Op: newOp(), Session: id, Reason: counterfoil.ReasonSignOut, Time: noon}
}
