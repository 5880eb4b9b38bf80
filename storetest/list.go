package storetest

import (
	"bytes"
	"slices"

	"github.com/counterfoil/counterfoil"
)

func listProofs() []proof {
	return []proof{
		{"List/whose", "List yields the live and the expired, not yet reaped records of a subject, its own and those in which it is the actor, in no order, each at most once", listWhose},
		{"List/break", "Breaking off is allowed and frees everything.", listBreak},
		{"Scan/order", "Scan returns at most max records with IDs above after, in order of ID; fewer than max: there are no more. The zero ID begins.", scanOrder},
	}
}

func listWhose(f *fixture) {
	subject, other := newSubject(), newSubject()
	acts := func(s counterfoil.SubjectHash) func(*counterfoil.Record) {
		return func(r *counterfoil.Record) { r.Actor = s }
	}
	own := []*counterfoil.Record{
		f.signIn(subject),
		f.signIn(subject, func(r *counterfoil.Record) { r.IdleEnd = start().Add(-1) }),
		f.signIn(subject, acts(other)),
		f.signIn(other, acts(subject)),
		f.signIn(subject, acts(subject)),
	}
	f.signIn(other)
	f.signIn(counterfoil.SubjectHash{})
	f.sameIDs("listed", f.list(subject), own...)
	f.same("of nobody known", len(f.list(newSubject())), 0)
	f.same("without a subject", len(f.list(counterfoil.SubjectHash{})), 0) // "is in no index"
	for r, err := range f.s.List(f.ctx, subject) {
		f.ok(err)
		f.same("a listed record", r, f.load(r.ID)) // whole, and a call within is no deadlock
		f.revoke(ended(r.ID))
	}
	f.gone(own...)
}

func listBreak(f *fixture) {
	subject := newSubject()
	for range 5 {
		f.signIn(subject)
	}
	for range 100 { // more than a pool of connections would bear
		for _, err := range f.s.List(f.ctx, subject) {
			f.ok(err)
			break
		}
	}
	f.revoke(endedSubject(subject))
	f.same("left", len(f.list(subject)), 0)
}

func scanOrder(f *fixture) {
	rs := map[counterfoil.ID]*counterfoil.Record{}
	var ids []counterfoil.ID
	for i := range 70 {
		r := full()
		if i < 20 {
			copy(r.ID[:], bytes.Repeat([]byte{byte(1 + i/7)}, 15)) // close together
			r.ID[15] = byte(i)
		}
		if i%3 == 0 {
			r.Subject = counterfoil.SubjectHash{}
		}
		f.create(r)
		rs[r.ID], ids = r, append(ids, r.ID)
	}
	slices.SortFunc(ids, func(a, b counterfoil.ID) int { return bytes.Compare(a[:], b[:]) })
	for _, page := range []int{1, 7, 69, 70, 71} {
		var got []counterfoil.ID
		var after counterfoil.ID
		for {
			part, err := f.s.Scan(f.ctx, after, page)
			f.ok(err)
			for _, r := range part {
				f.same("a scanned record", r, rs[r.ID])
				got, after = append(got, r.ID), r.ID
			}
			if len(part) > page {
				f.Fatalf("%d records in a page of %d", len(part), page)
			}
			if len(part) < page {
				break
			}
		}
		if !slices.Equal(got, ids) {
			f.Fatalf("in pages of %d: %d records, not all %d in order", page, len(got), len(ids))
		}
	}
	// after need not exist
	part, err := f.s.Scan(f.ctx, counterfoil.ID(bytes.Repeat([]byte{255}, 16)), 5)
	f.ok(err)
	f.same("above all", len(part), 0)
}
