package storetest

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil"
)

func limitProofs() []proof {
	return []proof{
		{"Limit/order", "enough of them are ended with ReasonLimit, in the asked order, to leave Max-1", limitOrder},
		{"Limit/lowered", "enough of them are ended with ReasonLimit, in the asked order, to leave Max-1", limitLowered},
		{"Limit/deny", "with Deny nothing changes and ErrLimit is returned.", limitDeny},
		{"Limit/who-counts", "if the subject has Max or more other live records of rec.Kind without a parent", limitWhoCounts},
		{"Limit/parent", "Records that have a parent do not count and evict nobody; nor do those without a subject.", limitParents},
		{"Limit/parallel", "However many run at once, no more than Max are live afterwards.", limitParallel},
		{"Limit/parallel-deny", "However many run at once, no more than Max are live afterwards.", limitParallelDeny},
	}
}

func seen(after time.Duration) func(*counterfoil.Record) {
	return func(r *counterfoil.Record) { r.Seen = start().Add(after) }
}

func made(after time.Duration) func(*counterfoil.Record) {
	return func(r *counterfoil.Record) { r.Created = start().Add(after) }
}

// S38: the oldest, or the longest idle, goes.
func limitOrder(f *fixture) {
	for name, c := range map[string]struct {
		order counterfoil.Overflow
		first int // of the three sessions below, the one to go
	}{
		"idle":   {counterfoil.EvictIdle, 1},
		"oldest": {counterfoil.EvictOldest, 2},
	} {
		subject := newSubject()
		rs := []*counterfoil.Record{
			f.signIn(subject, made(2*time.Minute), seen(4*time.Minute)),
			f.signIn(subject, made(3*time.Minute), seen(5*time.Minute)),
			f.signIn(subject, made(1*time.Minute), seen(6*time.Minute)),
		}
		// A touch counts: without it the first would be the longest idle.
		f.ok(f.s.Touch(f.ctx, []counterfoil.Touch{{ID: rs[0].ID, Seen: start().Add(7 * time.Minute), IdleEnd: rs[0].IdleEnd}}))
		head := f.head()
		r := record(subject, made(4*time.Minute), seen(8*time.Minute))
		got := f.create(r, limit(3, c.order))
		f.sameIDs(name, got.Evicted, rs[c.first])
		f.same("log", outline(f.after(head)), []string{line("ended limit", rs[c.first]), line("created sign-in", r)})
		f.gone(rs[c.first])
		f.same("live", len(f.list(subject)), 3)
	}
}

// SD4: lowering the limit from 10 to 3 leaves 3.
func limitLowered(f *fixture) {
	subject := newSubject()
	var rs []*counterfoil.Record
	for i := range 10 {
		r := record(subject, seen(time.Duration(i)*time.Second))
		f.create(r, limit(10, counterfoil.EvictIdle))
		rs = append(rs, r)
	}
	f.lives(rs...)
	r := record(subject, seen(time.Minute))
	c := f.create(r, limit(3, counterfoil.EvictIdle))
	f.sameIDs("evicted", c.Evicted, rs[:8]...)
	f.gone(rs[:8]...)
	f.sameIDs("left", f.list(subject), rs[8], rs[9], r)
}

func limitDeny(f *fixture) {
	subject := newSubject()
	a, b := f.signIn(subject), f.signIn(subject)
	visit := f.signIn(counterfoil.SubjectHash{})
	head := f.head()
	r := record(subject)
	_, err := f.s.Create(f.ctx, r, creation(limit(2, counterfoil.Deny), replaces(visit.ID)))
	f.is(err, counterfoil.ErrLimit)
	f.same("the head", f.head(), head)
	f.lives(a, b, visit)
	f.gone(r)
	f.create(r, limit(3, counterfoil.Deny))
}

// SD9: what has expired but was not reaped does not count.
func limitWhoCounts(f *fixture) {
	subject := newSubject()
	live := f.signIn(subject)
	others := []*counterfoil.Record{
		f.signIn(newSubject()),
		f.signIn(subject, func(r *counterfoil.Record) { r.Kind = counterfoil.KindClient }),
		f.signIn(newSubject(), func(r *counterfoil.Record) { r.Actor = subject }),
		f.signIn(subject, func(r *counterfoil.Record) { r.IdleEnd = start() }),
		f.signIn(subject, func(r *counterfoil.Record) { r.AbsoluteEnd = start() }),
	}
	f.create(record(subject), limit(2, counterfoil.Deny))
	_, err := f.s.Create(f.ctx, record(subject), creation(limit(2, counterfoil.Deny)))
	f.is(err, counterfoil.ErrLimit)
	f.lives(append(others, live)...)
	f.create(record(subject)) // Max 0: none
}

func limitParents(f *fixture) {
	subject := newSubject()
	root := f.signIn(subject)
	child := record(subject, childOf(root))
	f.create(child, limit(1, counterfoil.Deny))
	f.create(record(subject, childOf(root)), limit(1, counterfoil.EvictIdle))
	f.lives(root, child)
	c := f.create(record(subject), limit(2, counterfoil.Deny))
	f.same("evicted", len(c.Evicted), 0)
	for range 3 { // visitors
		c := f.create(record(counterfoil.SubjectHash{}), limit(1, counterfoil.EvictIdle))
		f.same("evicted visitors", len(c.Evicted), 0)
	}
}

// S37, SD5
func limitParallel(f *fixture) {
	subject := newSubject()
	together(50, func(i int) {
		if _, err := f.s.Create(f.ctx, record(subject), creation(limit(3, counterfoil.EvictOldest))); err != nil {
			f.Errorf("sign-in %d: %v", i, err)
		}
	})
	f.same("live", len(f.list(subject)), 3)
	n := map[counterfoil.EntryKind]int{}
	for _, e := range f.after(0) {
		n[e.Kind]++
	}
	f.same("entries by kind", n, map[counterfoil.EntryKind]int{counterfoil.EntryCreated: 50, counterfoil.EntryEnded: 47})
}

func limitParallelDeny(f *fixture) {
	subject := newSubject()
	var done atomic.Int32
	together(50, func(i int) {
		_, err := f.s.Create(f.ctx, record(subject), creation(limit(3, counterfoil.Deny)))
		if err == nil {
			done.Add(1)
		} else if !errors.Is(err, counterfoil.ErrLimit) {
			f.Errorf("sign-in %d: %v", i, err)
		}
	})
	f.same("sign-ins let in", done.Load(), int32(3))
	f.same("live", len(f.list(subject)), 3)
}
