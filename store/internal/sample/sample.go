// Package sample makes what a manager gives to a store, for the tests of stores:
//
//	r := sample.Session(sample.Subject())
//	_, err := store.Create(ctx, r, sample.SignIn())
//	_, err = store.Revoke(ctx, sample.SignOut(r.ID))
//
// What is sealed in a real record are random bytes here.
package sample

import (
	"crypto/rand"
	"time"

	"github.com/counterfoil/counterfoil"
)

// Noon is when everything here happens.
func Noon() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) }

// Op is the ID of a change that nobody has asked for yet.
func Op() (op counterfoil.OpID) {
	rand.Read(op[:])
	return op
}

// Subject is somebody new.
func Subject() (s counterfoil.SubjectHash) {
	rand.Read(s[:])
	return s
}

// Session is a new record of a browser's session, as long as those of sign-ins are: it is idle an hour
// after Noon and ends eight hours after it.
func Session(subject counterfoil.SubjectHash) *counterfoil.Record {
	r := &counterfoil.Record{
		Version: counterfoil.RecordVersion, Kind: counterfoil.KindBrowser, Subject: subject,
		Created: Noon(), Seen: Noon(), IdleEnd: Noon().Add(time.Hour), AbsoluteEnd: Noon().Add(8 * time.Hour),
		IdentityKey: 1, ValuesKey: 1, VerifierKey: 1, SelectorKey: 1, IdentityCount: 1, ValuesCount: 1,
		Identity: make([]byte, 300), Values: make([]byte, 100),
	}
	rand.Read(r.ID[:])
	rand.Read(r.Identity)
	rand.Read(r.Values)
	return r
}

// SignIn is how a Session comes into being, with no limit.
func SignIn() counterfoil.Creation {
	return counterfoil.Creation{Entry: counterfoil.Entry{
		Kind: counterfoil.EntryCreated, Op: Op(), Reason: counterfoil.ReasonSignIn, Time: Noon(), DetailKey: 1, Detail: make([]byte, 120),
	}}
}

// SignOut ends one session.
func SignOut(id counterfoil.ID) counterfoil.Entry {
	return counterfoil.Entry{Kind: counterfoil.EntryEnded, Op: Op(), Session: id, Reason: counterfoil.ReasonSignOut, Time: Noon()}
}
