package storetest

import (
	"time"

	"github.com/counterfoil/counterfoil"
)

func createProofs() []proof {
	return []proof{
		{"Create/inserts", "Create inserts rec with Revision 1", createInserts},
		{"Create/bytes", "All times are UTC in whole milliseconds.", createKeepsBytes},
		{"Create/entry", "the created entry c.Entry is appended; rec.Born and the Entry's Seq are its position.", createAppends},
		{"Create/parent", "if rec.Parent is set and no such record exists, or one of its ends has passed at c.Entry.Time: ErrNoParent.", createNeedsParent},
		{"Create/since", "if it is not 0 and an ended-subject or ended-all entry from that position on covers rec", createHeedsSince},
		{"Create/since-trimmed", "or the log no longer reaches back that far, or Since is above head + 1: ErrSuperseded.", createSinceOutsideLog},
		{"Create/replaces", "those records that exist are ended with ReasonReplaced, one ended entry each.", createReplaces},
		{"Create/replaced-parent", "If one of them is rec's parent or an ancestor of it: ErrNoParent.", createReplacesParent},
		{"Create/descendants", "Descendants of what is replaced or evicted end too, with an ended entry each, ReasonParent.", createEndsDescendants},
		{"Create/exists", "If the ID is taken: ErrExists", createExists},
		{"Create/again", "but for the same rec with the same c.Entry.Op: the first call's result again, so that a retry is safe", createAgain},
		{"Create/again-after-end", "also if the record has ended meanwhile: it does not come back.", createAgainAfterEnd},
	}
}

// full returns a record in which no field is zero.
func full() *counterfoil.Record {
	parent := random16()
	return record(newSubject(), func(r *counterfoil.Record) {
		r.Kind, r.Actor, r.Root = counterfoil.KindClient, newSubject(), parent
		r.Epoch, r.IdentityCount, r.ValuesCount = 1<<40, 1<<41, 1<<42
		r.IdentityKey, r.ValuesKey, r.VerifierKey, r.SelectorKey = 1<<32-1, 1<<31, 3, 4
		r.Created, r.Seen = start().Add(-time.Millisecond), start().Add(7*time.Millisecond)
		r.Identity, r.Values = []byte{0, 255, '\'', '\n', 0}, []byte{0}
	})
}

func createInserts(f *fixture) {
	r := full()
	given := r.Clone()
	c := f.create(r)
	given.Born, given.Revision = c.Seq, 1
	f.same("the record after Create", r, given)

	// What the caller does with its record afterwards is its own business.
	r.Identity[0], r.Values[0], r.Subject = 1, 1, newSubject()
	f.same("the record loaded", f.load(given.ID), given)
}

func createKeepsBytes(f *fixture) {
	big := make([]byte, 64<<10)
	for i := range big {
		big[i] = byte(i * i)
	}
	for name, values := range map[string][]byte{"nil": nil, "empty": {}, "zero byte": {0}, "64 KiB": big} {
		r := f.signIn(newSubject(), func(r *counterfoil.Record) { r.Values = values })
		got := f.load(r.ID)
		f.same(name, got, r)
		for _, t := range []time.Time{got.Created, got.Seen, got.IdleEnd, got.AbsoluteEnd} {
			if t.Location() != time.UTC {
				f.Fatalf("%s: a time is in %v, not UTC", name, t.Location())
			}
		}
	}
}

func createAppends(f *fixture) {
	f.same("the head of an empty log", f.head(), uint64(0))
	r := full()
	c := creation()
	c.Entry.DetailKey, c.Entry.Detail = 7, []byte{0, 1, 255}
	got, err := f.s.Create(f.ctx, r, c)
	f.ok(err)
	es := f.after(0)
	if len(es) != 1 {
		f.Fatalf("%d entries after one Create", len(es))
	}
	f.same("the entry", es[0], counterfoil.Entry{
		Seq: got.Seq, Version: counterfoil.EntryVersion, Kind: counterfoil.EntryCreated, Op: c.Entry.Op,
		Session: r.ID, Subject: r.Subject, Actor: r.Actor, Parent: r.Parent, Root: r.Root,
		Reason: counterfoil.ReasonSignIn, Time: start(), DetailKey: 7, Detail: []byte{0, 1, 255},
	})
	f.same("Seq, Born", []uint64{got.Seq, r.Born}, []uint64{1, 1})
	f.same("Seq of the next", f.create(record(newSubject())).Seq, uint64(2))
}

func createNeedsParent(f *fixture) {
	at := func(t time.Time) func(*counterfoil.Creation) {
		return func(c *counterfoil.Creation) { c.Entry.Time = t }
	}
	p := f.signIn(newSubject())
	f.create(record(p.Subject, childOf(p)), at(p.IdleEnd.Add(-time.Millisecond)))
	short := f.signIn(newSubject(), func(r *counterfoil.Record) { r.AbsoluteEnd = start().Add(time.Minute) })
	head := f.head()
	for name, c := range map[string]struct {
		parent *counterfoil.Record
		t      time.Time
	}{
		"none":               {record(newSubject()), start()},
		"idle":               {p, p.IdleEnd},
		"over its time":      {short, short.AbsoluteEnd},
		"long over its time": {short, short.AbsoluteEnd.Add(time.Hour)},
	} {
		child := record(p.Subject, childOf(c.parent))
		if _, err := f.s.Create(f.ctx, child, creation(at(c.t))); err == nil {
			f.Fatalf("%s: a child came into being", name)
		} else {
			f.is(err, counterfoil.ErrNoParent)
		}
		f.gone(child)
	}
	f.revoke(ended(p.ID))
	_, err := f.s.Create(f.ctx, record(p.Subject, childOf(p)), creation())
	f.is(err, counterfoil.ErrNoParent)
	f.same("entries since", len(f.after(head)), 1)
}

func createReplacesParent(f *fixture) {
	grandparent := f.signIn(newSubject())
	parent, other := record(grandparent.Subject, childOf(grandparent)), f.signIn(newSubject())
	f.create(parent)
	head := f.head()
	for name, replaced := range map[string]counterfoil.ID{"parent": parent.ID, "grandparent": grandparent.ID} {
		child := record(parent.Subject, childOf(parent))
		_, err := f.s.Create(f.ctx, child, creation(replaces(other.ID, replaced)))
		if err == nil {
			f.Fatalf("%s: a child came into being that hangs on nothing", name)
		}
		f.is(err, counterfoil.ErrNoParent)
		f.gone(child)
		f.lives(grandparent, parent, other) // refused, it changed nothing
	}
	f.same("entries since", len(f.after(head)), 0)
}

func createHeedsSince(f *fixture) {
	subject, actor := newSubject(), newSubject()
	f.revoke(endedAll()) // the very first entry
	_, err := f.s.Create(f.ctx, record(subject), creation(since(0)))
	f.is(err, counterfoil.ErrSuperseded)
	older := func(e counterfoil.Entry) counterfoil.Entry { e.Epoch = 5; return e }
	epoch := func(n uint64) func(*counterfoil.Record) {
		return func(r *counterfoil.Record) { r.Epoch = n }
	}
	acted := func(r *counterfoil.Record) { r.Actor = actor }
	plain := func(*counterfoil.Record) {}
	for _, c := range []struct {
		name    string
		between counterfoil.Entry
		rec     func(*counterfoil.Record)
		refused bool
	}{
		{"the subject's sessions ended", endedSubject(subject), plain, true},
		{"all sessions ended", endedAll(), plain, true},
		{"another subject's ended", endedSubject(newSubject()), plain, false},
		{"those of an older credential ended, this is older", older(endedSubject(subject)), epoch(4), true},
		{"those of an older credential ended, this states none", older(endedSubject(subject)), plain, true},
		{"those of an older credential ended, this is the new one", older(endedSubject(subject)), epoch(5), false},
		{"the actor's ended", endedSubject(actor), acted, true},
		{"the actor's ended, but nobody acts", endedSubject(actor), plain, false},
	} {
		mark := f.create(record(newSubject())).Seq
		f.revoke(c.between)
		head := f.head()
		r := record(subject, c.rec)
		_, err := f.s.Create(f.ctx, r, creation(since(mark)))
		if !c.refused {
			if err != nil {
				f.Fatalf("%s: %v", c.name, err)
			}
			continue
		}
		if err == nil {
			f.Fatalf("%s: Create went through", c.name)
		}
		f.is(err, counterfoil.ErrSuperseded)
		f.gone(r)
		f.same("the head after a refusal", f.head(), head)
		f.create(record(subject, c.rec), since(head)) // the end lies before the check
		f.create(record(subject, c.rec))              // no check
	}

	// "Evictions and ends of single sessions never refuse."
	subject = newSubject()
	r := f.signIn(subject)
	mark := f.head()
	f.revoke(ended(r.ID))
	f.create(record(subject), since(mark), limit(1, counterfoil.EvictIdle))
	f.create(record(subject), since(mark), limit(1, counterfoil.EvictIdle))
}

func createSinceOutsideLog(f *fixture) {
	subject := newSubject()
	f.create(record(subject), since(0)) // an empty log has a mark, too
	mark := f.head()
	_, err := f.s.Create(f.ctx, record(subject), creation(since(mark+1)))
	f.is(err, counterfoil.ErrSuperseded)
	f.signIn(subject)
	f.reapAll(counterfoil.Reap{Before: start(), LogBefore: start().Add(time.Hour), Max: 10})
	_, err = f.s.Create(f.ctx, record(subject), creation(since(mark)))
	f.is(err, counterfoil.ErrSuperseded)
	f.create(record(subject), since(f.head()))
}

func createReplaces(f *fixture) {
	subject := newSubject()
	a, b := f.signIn(subject), f.signIn(counterfoil.SubjectHash{}, func(r *counterfoil.Record) { r.Kind = counterfoil.KindVisit })
	never := record(subject)
	head := f.head()
	r := record(subject)
	c := f.create(r, replaces(a.ID, never.ID, b.ID), limit(1, counterfoil.Deny)) // "They do not count for the limit."
	f.same("evicted", len(c.Evicted), 0)
	es := f.after(head)
	f.same("log", outline(es), []string{line("ended replaced", a), line("ended replaced", b), line("created sign-in", r)})
	f.same("Seq", c.Seq, es[2].Seq)
	f.same("an entry of the store's own", es[0], counterfoil.Entry{
		Seq: head + 1, Version: counterfoil.EntryVersion, Kind: counterfoil.EntryEnded,
		Session: a.ID, Subject: subject, Reason: counterfoil.ReasonReplaced, Time: start(),
	})
	f.gone(a, b, never)
	f.lives(r)
}

func createEndsDescendants(f *fixture) {
	subject := newSubject()
	a, b := f.signIn(subject), f.signIn(subject)
	childA := f.signIn(newSubject(), childOf(a))
	childB := f.signIn(newSubject(), childOf(b))
	head := f.head()
	r := record(subject)
	c := f.create(r, replaces(a.ID), limit(1, counterfoil.EvictIdle))
	f.sameIDs("evicted", c.Evicted, b)
	f.same("log", outline(f.after(head)), []string{
		line("ended replaced", a), line("ended parent", childA),
		line("ended limit", b), line("ended parent", childB), line("created sign-in", r),
	})
	f.gone(a, b, childA, childB)
}

func createExists(f *fixture) {
	r := f.signIn(newSubject())
	head := f.head()
	other := r.Clone()
	other.Identity = []byte("other")
	_, err := f.s.Create(f.ctx, other, creation())
	f.is(err, counterfoil.ErrExists)
	f.same("the record", f.load(r.ID), r)

	// "the zero Op never"
	noOp := creation()
	noOp.Entry.Op = counterfoil.OpID{}
	s := record(newSubject())
	_, err = f.s.Create(f.ctx, s, noOp)
	f.ok(err)
	_, err = f.s.Create(f.ctx, s, noOp)
	f.is(err, counterfoil.ErrExists)
	f.same("entries", len(f.after(head)), 1)
}

func createAgain(f *fixture) {
	subject := newSubject()
	old := f.signIn(subject)
	r := record(subject)
	c := creation(since(f.head()), limit(1, counterfoil.EvictIdle))
	first, err := f.s.Create(f.ctx, r, c)
	f.ok(err)
	f.sameIDs("evicted", first.Evicted, old)
	f.revoke(endedSubject(newSubject()))
	head := f.head()
	again := r.Clone()
	again.Born, again.Revision = 0, 0
	second, err := f.s.Create(f.ctx, again, c)
	f.ok(err)
	f.same("the second result", second, first)
	f.same("Born, Revision", []uint64{again.Born, again.Revision}, []uint64{first.Seq, 1})
	f.same("the head", f.head(), head)
}

func createAgainAfterEnd(f *fixture) {
	subject := newSubject()
	r, c := record(subject), creation()
	first, err := f.s.Create(f.ctx, r, c)
	f.ok(err)
	f.revoke(endedSubject(subject))
	second, err := f.s.Create(f.ctx, r.Clone(), c)
	f.ok(err)
	f.same("the second result", second, first)
	f.gone(r)
	f.same("list", len(f.list(subject)), 0)
}
