package storetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil"
)

func logProofs() []proof {
	return []proof{
		{"Log/pages", "Log returns the entries with Seq > since in order and without gaps, at most max, with the head of the log.", logPages},
		{"Log/head", "max 0 asks for the head alone, whatever since is.", logHead},
		{"Log/gap", "or since is above the head: ErrGap, with the head.", logGap},
		{"Log/never-below-head", "An entry never appears at or below a head that was returned earlier.", logNeverBelowHead},
		{"Poll/log", "Poll is Log for a node of a cluster", pollIsLog},
		{"Acknowledge/position", "It never goes back.", acknowledge},
		{"Readers/forget", "Forget strikes a named reader off: it holds back no trimming any more, and Acknowledged says 0.", forget},
		{"Renew/incarnation", "Renew gives the log another incarnation, which every node meets with its next Poll", renew},
	}
}

func logPages(f *fixture) {
	for range 25 {
		f.signIn(newSubject())
	}
	incarnation := ""
	for _, size := range []int{1, 7, 25, 100} {
		var since uint64
		for since < 25 {
			p, err := f.s.Log(f.ctx, since, size)
			f.ok(err)
			if incarnation == "" {
				incarnation = p.Incarnation
			}
			f.same("Incarnation", p.Incarnation, incarnation)
			f.same("Head, Floor", []uint64{p.Head, p.Floor}, []uint64{25, 0})
			f.same("length", len(p.Entries), min(size, 25-int(since)))
			for i, e := range p.Entries {
				f.same("Seq", e.Seq, since+1+uint64(i))
			}
			since += uint64(len(p.Entries))
		}
	}
	if incarnation == "" {
		f.Fatal("the log has no Incarnation")
	}
	p, err := f.s.Log(f.ctx, 25, 10)
	f.ok(err)
	f.same("entries after the head", len(p.Entries), 0)
}

func logHead(f *fixture) {
	f.signIn(newSubject())
	for _, since := range []uint64{0, 1, 99} {
		p, err := f.s.Log(f.ctx, since, 0)
		f.ok(err)
		f.same("Head", p.Head, uint64(1))
		f.same("entries", len(p.Entries), 0)
	}
}

func logGap(f *fixture) {
	for range 6 {
		f.signIn(newSubject())
	}
	p, err := f.s.Log(f.ctx, 7, 10)
	f.is(err, counterfoil.ErrGap)
	f.same("Head", p.Head, uint64(6))
	f.ok(f.s.Acknowledge(f.ctx, "reader", 4))
	f.reapAll(counterfoil.Reap{Before: start(), LogBefore: start().Add(1e9), Max: 10})
	for since := range uint64(7) {
		for _, read := range []func() (counterfoil.Page, error){
			func() (counterfoil.Page, error) { return f.s.Log(f.ctx, since, 10) },
			func() (counterfoil.Page, error) {
				return f.s.Poll(f.ctx, counterfoil.Poll{Node: "node", Since: since, Acked: since, Max: 10})
			},
		} {
			p, err := read()
			f.same("Head, Floor", []uint64{p.Head, p.Floor}, []uint64{6, 4})
			if since < 4 {
				f.is(err, counterfoil.ErrGap)
				f.same("entries with a gap", len(p.Entries), 0)
				continue
			}
			f.ok(err)
			f.same("entries", len(p.Entries), 6-int(since))
		}
	}
}

// Readers poll while writers write.
func logNeverBelowHead(f *fixture) {
	const writers, each, readers = 6, 25, 3
	var writing atomic.Int32
	writing.Store(writers)
	read := func(limit int) error {
		var since, head uint64
		for {
			last := writing.Load() == 0
			p, err := f.s.Log(f.ctx, since, limit)
			switch {
			case err != nil:
				return err
			case p.Head < head:
				return fmt.Errorf("the head went back from %d to %d", head, p.Head)
			}
			head = p.Head
			for _, e := range p.Entries {
				if e.Seq != since+1 || e.Seq > p.Head {
					return fmt.Errorf("entry %d follows %d, the head is %d", e.Seq, since, p.Head)
				}
				since = e.Seq
			}
			if len(p.Entries) < limit && since != p.Head {
				return fmt.Errorf("%d of %d entries end at %d, the head is %d", len(p.Entries), limit, since, p.Head)
			}
			if last && since == head {
				return nil
			}
		}
	}
	var wg sync.WaitGroup
	for i := range readers {
		wg.Go(func() {
			if err := read(1 + 49*i); err != nil {
				f.Errorf("reader %d: %v", i, err)
			}
		})
	}
	together(writers, func(w int) {
		defer writing.Add(-1)
		for range each {
			r := record(newSubject())
			_, err := f.s.Create(f.ctx, r, creation())
			err = errors.Join(err, f.s.Update(f.ctx, r, changedEntry()))
			_, err2 := f.s.Revoke(f.ctx, ended(r.ID))
			if err = errors.Join(err, err2); err != nil {
				f.Errorf("writer %d: %v", w, err)
				return
			}
		}
	})
	wg.Wait()
	seen := map[counterfoil.ID][]counterfoil.EntryKind{}
	for _, e := range f.after(0) {
		seen[e.Session] = append(seen[e.Session], e.Kind)
	}
	f.same("sessions", len(seen), writers*each)
	for _, kinds := range seen {
		f.same("a session's entries", kinds, []counterfoil.EntryKind{counterfoil.EntryCreated, counterfoil.EntryChanged, counterfoil.EntryEnded})
	}
}

func pollIsLog(f *fixture) {
	for range 5 {
		f.signIn(newSubject())
	}
	for _, node := range []string{"a", "b", "a"} {
		for since := range uint64(6) {
			want, err := f.s.Log(f.ctx, since, 3)
			f.ok(err)
			got, err := f.s.Poll(f.ctx, counterfoil.Poll{Node: node, Since: since, Acked: since, Max: 3})
			f.ok(err)
			got.Now, want.Now = time.Time{}, time.Time{}
			f.same("Poll", got, want)
		}
	}
}

func acknowledge(f *fixture) {
	for range 5 {
		f.signIn(newSubject())
	}
	for _, step := range []struct {
		reader string
		seq    uint64
		want   uint64
	}{{"a", 3, 3}, {"a", 2, 3}, {"b", 1, 1}, {"a", 5, 5}, {"b", 0, 1}} {
		f.ok(f.s.Acknowledge(f.ctx, step.reader, step.seq))
		got, err := f.s.Acknowledged(f.ctx, step.reader)
		f.ok(err)
		f.same("Acknowledged", got, step.want)
	}
	got, err := f.s.Acknowledged(f.ctx, "c")
	f.ok(err)
	f.same("Acknowledged of none of that name", got, uint64(0))
}

func forget(f *fixture) {
	for range 5 {
		f.signIn(newSubject())
	}
	readers := func(want map[string]uint64) {
		f.Helper()
		got, err := f.s.Readers(f.ctx)
		f.ok(err)
		if len(got) > 0 || len(want) > 0 {
			f.same("Readers", got, want)
		}
	}
	readers(nil)
	f.ok(f.s.Acknowledge(f.ctx, "gone", 2))
	f.ok(f.s.Acknowledge(f.ctx, "here", 5))
	readers(map[string]uint64{"gone": 2, "here": 5})
	trim := counterfoil.Reap{Before: start(), LogBefore: start().Add(1e9), Max: 10}
	f.same("trimmed while the reader holds it back", f.reapAll(trim).Entries, 2)
	for range 2 { // the second time it is gone already
		f.ok(f.s.Forget(f.ctx, "gone"))
	}
	readers(map[string]uint64{"here": 5})
	got, err := f.s.Acknowledged(f.ctx, "gone")
	f.ok(err)
	f.same("Acknowledged", got, uint64(0))
	f.same("trimmed once it is forgotten", f.reapAll(trim).Entries, 3)
}

func renew(f *fixture) {
	r := f.signIn(newSubject())
	f.ok(f.s.Acknowledge(f.ctx, "reader", 1))
	seen := map[string]bool{}
	for range 3 {
		p, err := f.s.Poll(f.ctx, counterfoil.Poll{Node: "node", Since: 1, Acked: 1, Max: 10})
		f.ok(err)
		if p.Incarnation == "" || seen[p.Incarnation] {
			f.Fatalf("incarnation %q after %v", p.Incarnation, seen)
		}
		seen[p.Incarnation] = true
		f.same("Head", p.Head, uint64(1))
		f.lives(r)
		f.ok(f.s.Renew(f.ctx))
	}
	p, err := f.s.Log(f.ctx, 0, 10)
	f.ok(err)
	f.same("entries", len(p.Entries), 1)
	got, err := f.s.Acknowledged(f.ctx, "reader")
	f.ok(err)
	f.same("Acknowledged", got, uint64(1))
}
