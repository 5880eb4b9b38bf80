package storetest

import (
	"fmt"

	"github.com/counterfoil/counterfoil"
)

func revokeProofs() []proof {
	return []proof{
		{"Revoke/session", "Revoke appends e, an entry of a kind that ends, and ends every record that e covers", revokeSession},
		{"Revoke/subject", "Revoke appends e, an entry of a kind that ends, and ends every record that e covers", revokeSubject},
		{"Revoke/subject-bounds", "as [Entry.Ends] says", revokeSubjectBounds},
		{"Revoke/all", "Revoke appends e, an entry of a kind that ends, and ends every record that e covers", revokeAll},
		{"Revoke/descendants", "each descendant that e does not itself cover gets an ended entry of its own, ReasonParent.", revokeDescendants},
		{"Revoke/unknown", "An ended entry for a session that does not exist is not appended: Count 0, Seq the head.", revokeUnknown},
		{"Revoke/nobody", "Revoke appends e", revokeNobody},
		{"Revoke/again", "The same e.Op again, if its entry was appended, changes nothing and returns the first result.", revokeAgain},
		{"Revoke/many", "the records ended, at most [MaxEndedListed] of them", revokeMany},
	}
}

// counted checks a Revoked.Count, which a store may not know.
func (f *fixture) counted(rv counterfoil.Revoked, want int) {
	f.Helper()
	if rv.Count != want && rv.Count != -1 {
		f.Fatalf("Count is %d; want %d, or -1 for unknown", rv.Count, want)
	}
}

func revokeSession(f *fixture) {
	r := full()
	f.create(r)
	other := f.signIn(r.Subject)
	e := ended(r.ID)
	e.DetailKey, e.Detail = 7, []byte("detail")
	rv := f.revoke(e)
	f.sameIDs("ended", rv.Ended, r)
	f.counted(rv, 1)
	es := f.after(2)
	f.same("entries", len(es), 1)
	f.same("the entry", es[0], counterfoil.Entry{
		Seq: 3, Version: counterfoil.EntryVersion, Kind: counterfoil.EntryEnded, Op: e.Op,
		Session: r.ID, Subject: r.Subject, Actor: r.Actor, Parent: r.Parent, Root: r.Root,
		Reason: counterfoil.ReasonSignOut, Time: start(), DetailKey: 7, Detail: []byte("detail"),
	})
	f.same("Seq", rv.Seq, uint64(3))
	f.gone(r)
	f.is(f.s.Update(f.ctx, r, nil), counterfoil.ErrNotFound)
	f.sameIDs("left", f.list(r.Subject), other)
	f.same("of the actor", len(f.list(r.Actor)), 0)
}

func revokeSubject(f *fixture) {
	subject, other := newSubject(), newSubject()
	own := []*counterfoil.Record{
		f.signIn(subject),
		f.signIn(subject, func(r *counterfoil.Record) { r.Kind = counterfoil.KindGrant }),
		f.signIn(subject, func(r *counterfoil.Record) { r.IdleEnd = start() }), // expired
		f.signIn(subject, func(r *counterfoil.Record) { r.Actor = other }),
		f.signIn(other, func(r *counterfoil.Record) { r.Actor = subject }), // it acts
		f.signIn(subject, func(r *counterfoil.Record) { r.Actor = subject }),
	}
	theirs := []*counterfoil.Record{f.signIn(other), f.signIn(newSubject()), f.signIn(counterfoil.SubjectHash{})}
	head := f.head()
	rv := f.revoke(endedSubject(subject))
	f.sameIDs("ended", rv.Ended, own...)
	f.counted(rv, len(own))
	f.gone(own...)
	f.lives(theirs...)
	f.same("log", outline(f.after(head)), []string{"ended-subject revoked"})
	f.same("list", len(f.list(subject)), 0)
	f.sameIDs("list of another", f.list(other), theirs[0])
}

func revokeSubjectBounds(f *fixture) {
	subject := newSubject()
	epoch := func(n uint64) func(*counterfoil.Record) {
		return func(r *counterfoil.Record) { r.Epoch = n }
	}
	none, older, same, newer := f.signIn(subject), f.signIn(subject, epoch(6)), f.signIn(subject, epoch(7)), f.signIn(subject, epoch(8))
	spared := f.signIn(subject)
	raised := f.signIn(subject, epoch(1))
	raised.Epoch = 7
	f.ok(f.s.Update(f.ctx, raised, nil))
	e := endedSubject(subject)
	e.Epoch = 7
	for range counterfoil.MaxExcept - 1 {
		e.Except = append(e.Except, random16())
	}
	e.Except = append(e.Except, spared.ID)
	rv := f.revoke(e)
	f.sameIDs("ended", rv.Ended, none, older)
	f.gone(none, older)
	f.lives(same, newer, spared, raised)
	got := f.after(rv.Seq - 1)[0]
	e.Seq, e.Version = rv.Seq, counterfoil.EntryVersion
	f.same("the entry", got, e)

	e = endedSubject(subject) // of any epoch
	e.Except = []counterfoil.ID{spared.ID, none.ID}
	rv = f.revoke(e)
	f.sameIDs("ended", rv.Ended, same, newer, raised)
	f.sameIDs("left", f.list(subject), spared)
	f.gone(none) // spared too late
}

func revokeAll(f *fixture) {
	var rs []*counterfoil.Record
	for _, s := range []counterfoil.SubjectHash{newSubject(), newSubject(), {}} {
		r := f.signIn(s)
		rs = append(rs, r, f.signIn(s, childOf(r), func(r *counterfoil.Record) { r.Actor = newSubject() }))
	}
	head := f.head()
	rv := f.revoke(endedAll())
	f.counted(rv, len(rs))
	f.sameIDs("ended", rv.Ended, rs...)
	f.gone(rs...)
	f.same("log", outline(f.after(head)), []string{"ended-all revoked"})
	for _, r := range rs {
		f.same("list", len(f.list(r.Subject))+len(f.list(r.Actor)), 0)
	}
	next := f.signIn(rs[0].Subject)
	f.sameIDs("list", f.list(rs[0].Subject), next)
	f.sameIDs("ended next", f.revoke(endedAll()).Ended, next)
}

func revokeDescendants(f *fixture) {
	a, b := newSubject(), newSubject()
	root := f.signIn(a)
	child := f.signIn(a, childOf(root))
	grandchild := f.signIn(b, childOf(child)) // root is its root
	stray := f.signIn(b, func(r *counterfoil.Record) { r.Parent = grandchild.ID })
	apart := f.signIn(b)
	head := f.head()
	rv := f.revoke(ended(root.ID)) // covers all but stray by itself
	f.sameIDs("ended", rv.Ended, root, child, grandchild, stray)
	f.counted(rv, 4)
	f.same("log", outline(f.after(head)), []string{line("ended sign-out", root), line("ended parent", stray)})
	f.same("Seq", rv.Seq, head+2)
	f.gone(root, child, grandchild, stray)
	f.lives(apart)

	// A child ends alone; its parent lives.
	root = f.signIn(a)
	child, second := f.signIn(b, childOf(root)), f.signIn(b, childOf(root))
	f.sameIDs("ended", f.revoke(ended(child.ID)).Ended, child)
	f.lives(root, second, apart)

	// Another subject's child ends with its parent, and says so; a spared one too.
	spared := f.signIn(a, childOf(root))
	head = f.head()
	e := endedSubject(a)
	e.Except = []counterfoil.ID{spared.ID}
	rv = f.revoke(e)
	f.sameIDs("ended", rv.Ended, root, second, spared)
	es := f.after(head)
	f.same("entries", len(es), 3)
	f.same("the first", outline(es[:1]), []string{"ended-subject revoked"})
	for _, e := range es[1:] {
		f.same("reason", e.Reason, counterfoil.ReasonParent)
		f.same("session", e.Session == second.ID || e.Session == spared.ID, true)
	}
	f.lives(apart)
}

func revokeUnknown(f *fixture) {
	r := f.signIn(newSubject())
	f.revoke(ended(r.ID))
	head := f.head()
	for _, id := range []counterfoil.ID{r.ID, random16()} {
		rv := f.revoke(ended(id))
		f.same("Seq", rv.Seq, head)
		f.same("Count", rv.Count, 0)
		f.same("Ended", len(rv.Ended), 0)
		f.same("the head", f.head(), head)
	}
}

// An end of a subject without sessions stands in the log: sign-ins in flight must meet it.
func revokeNobody(f *fixture) {
	head := f.head()
	for i, e := range []counterfoil.Entry{endedSubject(newSubject()), endedAll()} {
		rv := f.revoke(e)
		f.same("Seq", rv.Seq, head+uint64(i)+1)
		f.counted(rv, 0)
		f.same("Ended", len(rv.Ended), 0)
		f.same("the head", f.head(), rv.Seq)
	}
}

func revokeAgain(f *fixture) {
	subject := newSubject()
	r := f.signIn(subject)
	child := f.signIn(newSubject(), childOf(r))
	for _, e := range []counterfoil.Entry{ended(r.ID), endedSubject(subject), endedAll()} {
		name := fmt.Sprintf("kind %d", e.Kind)
		first := f.revoke(e)
		after := f.signIn(subject)
		head := f.head()
		second := f.revoke(e)
		f.same(name+": the second result's Seq, Count", []int{int(second.Seq), second.Count}, []int{int(first.Seq), first.Count})
		f.same(name+": ended again", fmt.Sprint(second.Ended), fmt.Sprint(first.Ended))
		f.same(name+": the head", f.head(), head)
		f.lives(after)
		f.gone(r, child)
	}
}

func revokeMany(f *fixture) {
	subject := newSubject()
	const n, at = counterfoil.MaxEndedListed + 8, 8
	together(at, func(int) {
		for range n / at {
			if _, err := f.s.Create(f.ctx, record(subject), creation()); err != nil {
				f.Error(err)
			}
		}
	})
	rv := f.revoke(endedSubject(subject))
	f.counted(rv, n)
	if len(rv.Ended) > counterfoil.MaxEndedListed {
		f.Fatalf("%d listed", len(rv.Ended))
	}
	f.same("left", len(f.list(subject)), 0)
}
