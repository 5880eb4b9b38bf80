package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/store/memory"
)

// memory measures all in one process: the store, the near cache, and sweeps of the store.
func (p scalePlan) memory(w io.Writer) (goals []goal, err error) {
	ctx, clock := context.Background(), counterfoil.SystemClock()
	now, _ := clock.Now()
	keys, err := keyring.Generate(now, nil)
	if err != nil {
		return nil, err
	}
	n := float64(p.sessions)
	store := memory.New(memory.Options{})
	defer store.Close()
	open := func(cacheBytes int64) (*side, *counterfoil.Manager, error) {
		m, _, err := managerOn(store, counterfoil.Config{Keys: keys, CacheBytes: cacheBytes})
		if err != nil {
			return nil, nil, err
		}
		return newOurs(m, func() { m.Close(ctx) }), m, nil
	}
	writer, _, err := open(-1)
	if err != nil {
		return nil, err
	}
	defer writer.close()

	v := newVisit()
	length := len(writer.newSession(v, "somebody"))
	cookies := make([]byte, 0, p.sessions*length) // without a pointer, so that no collection looks at them
	cookie := func(i int) string { return string(cookies[i*length : (i+1)*length]) }
	empty, emptyPages := heap()
	for i := range p.sessions {
		cookies = append(cookies, strings.Clone(writer.newSession(v, fmt.Sprintf("user-%07d", i)))...)
	}
	withLog := allocatedSince(empty)
	sample, err := store.Scan(ctx, counterfoil.ID{}, cycled)
	if err != nil {
		return nil, err
	}
	sealed := 0.0
	for _, r := range sample {
		sealed += float64(len(r.Identity)+len(r.Values)) / float64(len(sample))
	}
	sample = nil
	later, _ := clock.Now()
	for more := true; more; {
		out, err := store.Reap(ctx, counterfoil.Reap{Before: now, LogBefore: later.Add(time.Hour), Max: 500})
		if err != nil {
			return nil, err
		}
		more = out.More
	}
	kept := allocatedSince(empty)
	fmt.Fprintf(w, "memory, %d sessions of different subjects\n", p.sessions)
	fmt.Fprintf(w, "  the store: %.0f B a session, of them %.0f sealed; %.0f B for its line in the log\n", kept/n, sealed, (withLog-kept)/n)
	goals = append(goals, atMost("memory store: at most sealed + 180 B", kept/n-sealed, 180))

	before, _ := heap()
	whole, m, err := open(1 << 40)
	if err != nil {
		return nil, err
	}
	for i := range p.sessions {
		v.serve(whole.identity, cookie(i))
	}
	near := allocatedSince(before) / n
	_, began := clock.Now()
	runtime.GC()
	_, ended := clock.Now()
	fmt.Fprintf(w, "  the near cache, unbounded: %.0f B a session, %d sessions; a full collection of all takes %v\n", near, m.Health().Cached, short(ended-began))
	goals = append(goals, atMost("near cache: at most 340 B a session", near, 340))
	whole.close()
	whole = nil

	const bound = 64 << 20
	before, _ = heap()
	bounded, m, err := open(bound)
	if err != nil {
		return nil, err
	}
	for i := range p.sessions {
		v.serve(bounded.identity, cookie(i))
	}
	time.Sleep(2 * time.Second) // touches wait that long at most to be written
	taken := allocatedSince(before)
	fmt.Fprintf(w, "  the near cache, bounded to 64 MiB: %.1f MiB, %d sessions\n", taken/(1<<20), m.Health().Cached)
	goals = append(goals, atMost("near cache: its bytes ÷ its bound", taken/bound, 1))
	bounded.close()

	more, err := p.sweepMemory(w, store)
	if err != nil {
		return nil, err
	}
	goals = append(goals, more...)

	_, began = clock.Now()
	_, err = store.Revoke(ctx, counterfoil.Entry{Kind: counterfoil.EntryEndedAll, Reason: counterfoil.ReasonRevoked, Time: later})
	_, ended = clock.Now()
	if err != nil {
		return nil, err
	}
	for more := true; more; {
		out, err := store.Reap(ctx, counterfoil.Reap{Before: now, LogBefore: later.Add(time.Hour), Max: 500})
		if err != nil {
			return nil, err
		}
		more = out.More
	}
	_, pages := heap()
	left := (pages - emptyPages) / n
	fmt.Fprintf(w, "  the end of everything takes %v; afterwards %.1f B a session are in use\n\n", short(ended-began), left)
	runtime.KeepAlive(cookies)
	return append(goals, atMost("memory store: bytes left after a mass end, each", left, 10)), nil
}

// endings returns when each session ends, in order.
func endings(store counterfoil.Store) (ends []time.Time, err error) {
	for after := (counterfoil.ID{}); ; {
		page, err := store.Scan(context.Background(), after, 1000)
		if err != nil {
			return nil, err
		}
		for _, r := range page {
			after = r.ID
			ends = append(ends, r.IdleEnd)
		}
		if len(page) < 1000 {
			slices.SortFunc(ends, time.Time.Compare)
			return ends, nil
		}
	}
}

// sweepMemory reaps while others read, touch and sign in.
func (p scalePlan) sweepMemory(w io.Writer, store counterfoil.Store) (goals []goal, err error) {
	ctx := context.Background()
	ends, err := endings(store)
	if err != nil {
		return nil, err
	}
	until := ends[p.expired-1]
	var live []*counterfoil.Record
	for after := (counterfoil.ID{}); len(live) < cycled; {
		page, err := store.Scan(ctx, after, 1000)
		if err != nil {
			return nil, err
		}
		for _, r := range page {
			if after = r.ID; r.IdleEnd.After(until) {
				live = append(live, r)
			}
		}
	}
	gone, steps := 0, []struct {
		what string
		op   func(i int) error
	}{
		{"a load", func(i int) error {
			_, err := store.Load(ctx, live[i%cycled].ID)
			return err
		}},
		{"a touch", func(i int) error {
			r := live[i%cycled]
			return store.Touch(ctx, []counterfoil.Touch{{ID: r.ID, Seen: r.Seen, IdleEnd: r.IdleEnd}})
		}},
		{"a sign-in", func(i int) error {
			r := live[i%cycled].Clone()
			rand.Read(r.ID[:])
			rand.Read(r.Subject[:])
			e := counterfoil.Entry{Kind: counterfoil.EntryCreated, Reason: counterfoil.ReasonSignIn, Time: r.Created}
			_, err := store.Create(ctx, r, counterfoil.Creation{Entry: e})
			return err
		}},
	}
	for i, step := range steps {
		sweep := reaping(store, ends[p.expired*(i+1)/len(steps)-1], &gone)
		t, err := watch(sweep, 1, 0, step.op)
		if err != nil {
			return nil, err
		}
		t.alone.print(w, "  "+step.what)
		t.beside.print(w, "  "+step.what+" while sessions are swept")
		goals = append(goals, atMost("memory store: "+step.what+" beside a sweep, p99.9 ms", float64(t.beside.at(0.999))/1e6, 0.5))
	}
	fmt.Fprintf(w, "  swept: %d\n", gone)
	return goals, nil
}
