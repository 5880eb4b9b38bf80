package storetest

import (
	"time"

	"github.com/counterfoil/counterfoil"
)

func loadProofs() []proof {
	return []proof{
		{"Load/not-found", "or ErrNotFound if it was never created, has ended or was reaped.", loadNotFound},
		{"Load/own", "The caller owns what it gets.", loadOwn},
	}
}

func updateProofs() []proof {
	return []proof{
		{"Update/fields", "Update replaces IdleEnd, IdentityKey, ValuesKey, IdentityCount, ValuesCount, Identity, Values, VerifierKey and Epoch of the record with rec.ID", updateFields},
		{"Update/conflict", "Another revision: ErrConflict.", updateConflict},
		{"Update/never-inserts", "No record: ErrNotFound, and none comes into being.", updateNeverInserts},
		{"Update/idle-end", "IdleEnd is only raised, to at most AbsoluteEnd, as by Touch.", updateIdleEnd},
		{"Update/changed", "If changed is not nil it is appended in the same transaction, with Revision set to the new one", updateChanged},
		{"Update/again", "the same Op again is the same change: nil, and rec.Revision is what the first call made it.", updateAgain},
	}
}

func touchProofs() []proof {
	return []proof{
		{"Touch/raises", "Touch raises Seen and IdleEnd of each record that exists, IdleEnd to at most AbsoluteEnd.", touchRaises},
		{"Touch/passes-over", "It lowers nothing, inserts nothing, leaves Revision alone and passes over unknown IDs.", touchPassesOver},
	}
}

func loadNotFound(f *fixture) {
	never := record(newSubject())
	f.gone(never)
	r := f.signIn(newSubject())
	idle := f.signIn(newSubject(), func(r *counterfoil.Record) { r.IdleEnd = start() })
	f.lives(r)
	f.revoke(ended(r.ID))
	f.reapAll(counterfoil.Reap{Before: start(), Max: 10})
	f.gone(r, idle)
}

func loadOwn(f *fixture) {
	r := record(newSubject(), func(r *counterfoil.Record) { r.Values = []byte("values") })
	f.create(r)
	for range 2 {
		got := f.load(r.ID)
		f.same("the record", got, r)
		got.Identity[0], got.Values[0] = 'X', 'X'
		got.Identity = append(got.Identity, 'Y')
		f.same("Values after an append to Identity", string(got.Values), "Xalues")
		got.Subject, got.Revision = newSubject(), 9
	}
	for got := range f.s.List(f.ctx, r.Subject) {
		got.Identity[0] = 'X'
	}
	got, err := f.s.Scan(f.ctx, counterfoil.ID{}, 1)
	f.ok(err)
	got[0].Identity[0] = 'X'
	f.same("the record", f.load(r.ID), r)
}

func updateFields(f *fixture) {
	r := full()
	f.create(r)
	want := r.Clone()
	want.IdleEnd = r.IdleEnd.Add(time.Minute)
	want.IdentityKey, want.ValuesKey, want.VerifierKey = 11, 12, 13
	want.IdentityCount, want.ValuesCount, want.Epoch = 14, 15, 16
	want.Identity, want.Values = []byte("new"), []byte("newer")
	given := want.Clone()
	want.Revision = 2

	// What Update does not list stays.
	given.Version, given.Kind, given.Subject, given.Actor = 99, counterfoil.KindGrant, newSubject(), newSubject()
	given.Parent, given.Root, given.Born, given.SelectorKey = random16(), random16(), 99, 99
	given.Created, given.Seen, given.AbsoluteEnd = start().Add(time.Hour), start().Add(time.Hour), start().Add(99*time.Hour)
	f.ok(f.s.Update(f.ctx, given, nil))
	f.same("rec.Revision", given.Revision, uint64(2))
	given.Identity[0] = 'X'
	f.same("the record", f.load(r.ID), want)
	f.sameIDs("still listed", f.list(r.Subject), r)

	for _, values := range [][]byte{nil, {}} { // opaque, and nil is not empty
		want.Values = values
		given := want.Clone()
		f.ok(f.s.Update(f.ctx, given, nil))
		want.Revision++
		f.same("the record", f.load(r.ID), want)
	}
}

func updateConflict(f *fixture) {
	r := f.signIn(newSubject())
	head := f.head()
	for _, revision := range []uint64{0, 2, 99} {
		other := r.Clone()
		other.Revision, other.Identity = revision, []byte("lost")
		f.is(f.s.Update(f.ctx, other, changedEntry()), counterfoil.ErrConflict)
		f.same("rec.Revision", other.Revision, revision)
	}
	f.same("the record", f.load(r.ID), r)
	f.same("the head", f.head(), head)
}

func updateNeverInserts(f *fixture) {
	never, r := record(newSubject()), f.signIn(newSubject())
	never.Revision = 1
	f.revoke(ended(r.ID))
	head := f.head()
	for _, rec := range []*counterfoil.Record{never, r} {
		f.is(f.s.Update(f.ctx, rec.Clone(), nil), counterfoil.ErrNotFound)
		f.is(f.s.Update(f.ctx, rec.Clone(), changedEntry()), counterfoil.ErrNotFound)
		f.gone(rec)
		f.same("list", len(f.list(rec.Subject)), 0)
	}
	all, err := f.s.Scan(f.ctx, counterfoil.ID{}, 10)
	f.ok(err)
	f.same("records", len(all), 0)
	f.same("the head", f.head(), head)
}

func updateIdleEnd(f *fixture) {
	r := f.signIn(newSubject())
	touched := r.IdleEnd.Add(time.Minute)
	f.ok(f.s.Touch(f.ctx, []counterfoil.Touch{{ID: r.ID, Seen: start(), IdleEnd: touched}}))
	f.ok(f.s.Update(f.ctx, r, nil)) // with the idle end from before the touch
	f.same("IdleEnd after a later touch", f.load(r.ID).IdleEnd, touched)
	r.IdleEnd = r.AbsoluteEnd.Add(time.Minute)
	f.ok(f.s.Update(f.ctx, r, nil))
	f.same("IdleEnd over AbsoluteEnd", f.load(r.ID).IdleEnd, r.AbsoluteEnd)
}

func updateChanged(f *fixture) {
	r := full()
	f.create(r)
	head := f.head()
	f.ok(f.s.Update(f.ctx, r, nil))
	f.same("the head after a change of values", f.head(), head)
	e := changedEntry()
	e.DetailKey, e.Detail = 7, []byte("detail")
	f.ok(f.s.Update(f.ctx, r, e))
	f.same("rec.Revision", r.Revision, uint64(3))
	es := f.after(head)
	if len(es) != 1 {
		f.Fatalf("%d entries after one change", len(es))
	}
	f.same("the entry", es[0], counterfoil.Entry{
		Seq: head + 1, Version: counterfoil.EntryVersion, Kind: counterfoil.EntryChanged, Op: e.Op,
		Session: r.ID, Subject: r.Subject, Actor: r.Actor, Parent: r.Parent, Root: r.Root, Revision: 3,
		Reason: counterfoil.ReasonRotated, Time: start(), DetailKey: 7, Detail: []byte("detail"),
	})
}

func updateAgain(f *fixture) {
	r := f.signIn(newSubject())
	before, e := r.Clone(), changedEntry()
	before.Identity = []byte("changed")
	f.ok(f.s.Update(f.ctx, before.Clone(), e))
	later := f.load(r.ID)
	f.ok(f.s.Update(f.ctx, later, nil)) // somebody else goes on
	head := f.head()
	retry := before.Clone()
	f.ok(f.s.Update(f.ctx, retry, e))
	f.same("rec.Revision", retry.Revision, uint64(2))
	f.same("the stored revision", f.load(r.ID).Revision, uint64(3))
	f.same("the head", f.head(), head)
}

func touchRaises(f *fixture) {
	r, s := f.signIn(newSubject()), f.signIn(newSubject())
	at := start().Add(time.Minute)
	head := f.head()
	f.ok(f.s.Touch(f.ctx, []counterfoil.Touch{
		{ID: r.ID, Seen: at, IdleEnd: at.Add(time.Hour)},
		{ID: s.ID, Seen: at, IdleEnd: s.AbsoluteEnd.Add(time.Millisecond)},
	}))
	r.Seen, r.IdleEnd = at, at.Add(time.Hour)
	s.Seen, s.IdleEnd = at, s.AbsoluteEnd
	f.same("touched", f.load(r.ID), r)
	f.same("touched beyond the absolute end", f.load(s.ID), s)
	f.same("the head", f.head(), head)
}

func touchPassesOver(f *fixture) {
	r, end, never := f.signIn(newSubject()), f.signIn(newSubject()), record(newSubject())
	f.revoke(ended(end.ID))
	old := start().Add(-time.Hour)
	later := start().Add(time.Second)
	f.ok(f.s.Touch(f.ctx, nil))
	f.ok(f.s.Touch(f.ctx, []counterfoil.Touch{
		{ID: never.ID, Seen: later, IdleEnd: later},
		{ID: end.ID, Seen: later, IdleEnd: later.Add(time.Hour)},
		{ID: r.ID, Seen: later, IdleEnd: old}, // raises one of the two
		{ID: r.ID, Seen: old, IdleEnd: old},
	}))
	r.Seen = later
	f.same("touched", f.load(r.ID), r)
	f.gone(end, never) // PD10
	all, err := f.s.Scan(f.ctx, counterfoil.ID{}, 10)
	f.ok(err)
	f.same("records", len(all), 1)
}
