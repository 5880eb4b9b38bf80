package storetest

import (
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil"
)

func reapProofs() []proof {
	return []proof{
		{"Reap/ends", "Reap ends at most r.Max records with IdleEnd or AbsoluteEnd at or before r.Before, with an ended entry each, ReasonAbsolute if that end has passed, else ReasonIdle", reapEnds},
		{"Reap/max", "Reap ends at most r.Max records", reapMax},
		{"Reap/descendants", "and their descendants beyond that, ReasonParent", reapDescendants},
		{"Reap/at-once", "several nodes may call it at once: each removal is counted exactly once.", reapAtOnce},
		{"Reap/log", "It trims log entries older than r.LogBefore that every reader has acknowledged, from the oldest on.", reapLog},
	}
}

func ends(idle, absolute time.Duration) func(*counterfoil.Record) {
	return func(r *counterfoil.Record) { r.IdleEnd, r.AbsoluteEnd = start().Add(idle), start().Add(absolute) }
}

func reapEnds(f *fixture) {
	idle := f.signIn(newSubject(), ends(0, time.Hour))
	absolute := f.signIn(newSubject(), ends(time.Hour, 0))
	both := f.signIn(newSubject(), ends(-time.Hour, -time.Millisecond))
	live := f.signIn(newSubject(), ends(time.Millisecond, time.Millisecond))
	touched := f.signIn(newSubject(), ends(0, time.Hour))
	f.ok(f.s.Touch(f.ctx, []counterfoil.Touch{{ID: touched.ID, Seen: start(), IdleEnd: start().Add(time.Second)}}))
	head := f.head()
	out := f.reapAll(counterfoil.Reap{Before: start(), Max: 10})
	f.same("reaped", out, counterfoil.Reaped{Records: 3})
	f.gone(idle, absolute, both)
	f.lives(live, touched)
	f.same("list", len(f.list(idle.Subject)), 0)
	want := map[counterfoil.ID]counterfoil.Reason{
		idle.ID: counterfoil.ReasonIdle, absolute.ID: counterfoil.ReasonAbsolute, both.ID: counterfoil.ReasonAbsolute,
	}
	es := f.after(head)
	f.same("entries", len(es), 3)
	for _, e := range es {
		f.same("kind and reason", []any{e.Kind, e.Reason}, []any{counterfoil.EntryEnded, want[e.Session]})
		f.same("time", e.Time, start()) // "the entries bear the time r.Before"
		f.same("op", e.Op, counterfoil.OpID{})
		delete(want, e.Session)
	}
	f.same("reaped again", f.reapAll(counterfoil.Reap{Before: start(), Max: 10}), counterfoil.Reaped{})
}

func reapMax(f *fixture) {
	for range 12 {
		f.signIn(newSubject(), ends(0, time.Hour))
	}
	left := 12
	for _, max := range []int{5, 1, 4} {
		out, err := f.s.Reap(f.ctx, counterfoil.Reap{Before: start(), Max: max})
		f.ok(err)
		left -= max
		f.same("reaped", out, counterfoil.Reaped{Records: max, More: true})
		all, err := f.s.Scan(f.ctx, counterfoil.ID{}, 20)
		f.ok(err)
		f.same("left", len(all), left)
	}
	f.same("the rest", f.reapAll(counterfoil.Reap{Before: start(), Max: 5}), counterfoil.Reaped{Records: left})
}

func reapDescendants(f *fixture) {
	p := f.signIn(newSubject(), ends(time.Minute, time.Hour))
	child := f.signIn(newSubject(), func(r *counterfoil.Record) { r.Parent = p.ID }, ends(time.Hour, time.Hour))
	grandchild := f.signIn(newSubject(), func(r *counterfoil.Record) { r.Parent = child.ID }, ends(time.Hour, time.Hour))
	head := f.head()
	out, err := f.s.Reap(f.ctx, counterfoil.Reap{Before: p.IdleEnd, Max: 1})
	f.ok(err)
	f.same("reaped", out.Records, 3)
	f.gone(p, child, grandchild)
	f.same("log", outline(f.after(head)), []string{
		line("ended idle", p), line("ended parent", child), line("ended parent", grandchild),
	})
}

func reapAtOnce(f *fixture) {
	const n = 120
	together(4, func(int) {
		for range n / 4 {
			if _, err := f.s.Create(f.ctx, record(newSubject(), ends(0, time.Hour)), creation()); err != nil {
				f.Error(err)
			}
		}
	})
	var sum atomic.Int32
	together(4, func(i int) {
		for {
			out, err := f.s.Reap(f.ctx, counterfoil.Reap{Before: start(), Max: 7})
			if err != nil {
				f.Errorf("reaper %d: %v", i, err)
				return
			}
			sum.Add(int32(out.Records))
			if !out.More {
				return
			}
		}
	})
	f.same("counted", sum.Load(), int32(n))
	once := map[counterfoil.ID]int{}
	for _, e := range f.after(n) {
		once[e.Session]++
	}
	f.same("sessions with an entry", len(once), n)
	f.same("the head", f.head(), uint64(2*n))
}

func reapLog(f *fixture) {
	at := func(d time.Duration) func(*counterfoil.Creation) {
		return func(c *counterfoil.Creation) { c.Entry.Time = start().Add(d) }
	}
	rs := make([]*counterfoil.Record, 8)
	for i := range rs {
		rs[i] = record(newSubject())
		f.create(rs[i], at(time.Duration(i)*time.Second))
	}
	trim := func(before time.Duration, entries int, floor uint64) {
		f.Helper()
		out := f.reapAll(counterfoil.Reap{Before: start(), LogBefore: start().Add(before), Max: 10})
		f.same("trimmed", out, counterfoil.Reaped{Entries: entries})
		p, err := f.s.Log(f.ctx, floor, 100)
		f.ok(err)
		f.same("Floor, Head", []uint64{p.Floor, p.Head}, []uint64{floor, 8})
		f.same("kept", len(p.Entries), 8-int(floor))
	}
	trim(0, 0, 0)             // none is older
	trim(2*time.Second, 2, 2) // nobody is registered
	f.ok(f.s.Acknowledge(f.ctx, "a", 7))
	f.ok(f.s.Acknowledge(f.ctx, "b", 3))
	trim(time.Hour, 1, 3) // "Entries that a registered reader has not acknowledged are never trimmed."
	f.ok(f.s.Acknowledge(f.ctx, "b", 8))
	trim(5*time.Second, 2, 5)
	trim(time.Hour, 2, 7)
	f.lives(rs...) // records outlive their entries
	f.same("Seq of the next", f.create(record(newSubject())).Seq, uint64(9))
}
