package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/counterfoil/counterfoil"
)

// filled is a store on a server, with sessions in it that were signed in.
type filled struct {
	plan  scalePlan
	name  string
	clock counterfoil.Clock
	store counterfoil.Store
	m     *counterfoil.Manager
	close func()
}

// crowd is how many sessions the subject has whose list is measured.
const crowd = 20

func (p scalePlan) fill(s *server) (*filled, error) {
	store, err := s.ours(s.way)
	if err != nil {
		return nil, err
	}
	m, stop, err := managerOn(store, counterfoil.Config{CacheBytes: -1})
	if err != nil {
		return nil, err
	}
	side, v := newOurs(m, stop), newVisit()
	for range crowd {
		side.newSession(v, "crowd")
	}
	if _, err := manySessions(side, 2*cycled-crowd); err != nil {
		return nil, err
	}
	return &filled{p, s.name, counterfoil.SystemClock(), store, m, stop}, nil
}

// some returns the IDs of live sessions from all over the store.
func (f *filled) some(n int) (live []counterfoil.ID, err error) {
	now, _ := f.clock.Now()
	for len(live) < n {
		var from counterfoil.ID
		for i := range from {
			from[i] = byte(rand.Uint32())
		}
		page, err := f.store.Scan(context.Background(), from, 50)
		if err != nil {
			return nil, err
		}
		for _, r := range page {
			if r.Live(now) {
				live = append(live, r.ID)
			}
		}
	}
	return live, nil
}

// touch writes batches of touches, as a busy node does. hot says which share of them moved no index.
func (f *filled) touch(w io.Writer, hot func() (float64, error)) error {
	live, err := f.some(20_000)
	if err != nil {
		return err
	}
	now, _ := f.clock.Now()
	var times latencies
	for round := range 2 {
		for i := 0; i+1000 <= len(live); i += 1000 {
			batch := make([]counterfoil.Touch, 1000)
			for j := range batch {
				at := now.Add(time.Duration(round+1) * time.Minute)
				batch[j] = counterfoil.Touch{ID: live[i+j], Seen: at, IdleEnd: at.Add(30 * time.Minute)}
			}
			_, began := f.clock.Now()
			if err := f.store.Touch(context.Background(), batch); err != nil {
				return err
			}
			_, ended := f.clock.Now()
			times = append(times, ended-began)
		}
		time.Sleep(time.Second + time.Second/10) // the server counts once a second
	}
	times.sort()
	times.print(w, "  touching 1000 sessions")
	if hot == nil {
		return nil
	}
	share, err := hot()
	if err == nil {
		fmt.Fprintf(w, "  touches that moved no index (HOT): %.1f %%\n", 100*share)
	}
	return err
}

// sweep measures lists, and checks of sessions that the node does not know, with a sweep and without.
func (f *filled) sweep(w io.Writer) ([]goal, error) {
	ctx := context.Background()
	var lists latencies
	for range 300 {
		_, began := f.clock.Now()
		n := 0
		for _, err := range f.m.List(ctx, "crowd") {
			if err != nil {
				return nil, err
			}
			n++
		}
		_, ended := f.clock.Now()
		if n != crowd {
			return nil, fmt.Errorf("%d sessions are listed, not %d", n, crowd)
		}
		lists = append(lists, ended-began)
	}
	lists.sort()
	lists.print(w, fmt.Sprintf("  a list of one subject's %d", crowd))

	live, err := f.some(20_000)
	if err != nil {
		return nil, err
	}
	now, _ := f.clock.Now()
	gone := 0
	_, began := f.clock.Now()
	t, err := watch(reaping(f.store, now.Add(-time.Hour), &gone), 2, time.Millisecond, func(i int) error {
		_, err := f.store.Load(ctx, live[i%len(live)])
		return err
	})
	if err != nil {
		return nil, err
	}
	_, ended := f.clock.Now()
	if gone != f.plan.expired {
		return nil, fmt.Errorf("%d sessions were swept, not %d", gone, f.plan.expired)
	}
	t.alone.print(w, "  a cold check")
	t.beside.print(w, "  a cold check while others are swept")
	fmt.Fprintf(w, "  swept: %d in %v, half of it pauses\n", gone, short(ended-began))
	return []goal{
		atMost(f.name+": a list of one subject's sessions, p99 ms", float64(lists.at(0.99))/1e6, 5),
		atMost(f.name+": p99 of cold checks in a sweep ÷ without", float64(t.beside.at(0.99))/float64(t.alone.at(0.99)), 2),
	}, nil
}

// everything measures the end of all that is left.
func (f *filled) everything(w io.Writer) error {
	now, _ := f.clock.Now()
	e := counterfoil.Entry{Kind: counterfoil.EntryEndedAll, Reason: counterfoil.ReasonRevoked, Time: now}
	for i := range e.Op {
		e.Op[i] = byte(i)
	}
	_, began := f.clock.Now()
	done, err := f.store.Revoke(context.Background(), e)
	_, ended := f.clock.Now()
	if err == nil {
		fmt.Fprintf(w, "  the end of everything, %d sessions: %v\n\n", done.Count, short(ended-began))
	}
	return err
}
