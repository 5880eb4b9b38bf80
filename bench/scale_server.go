package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/keyring"
)

// filled is a store on a server, with sessions in it. No manager is at it, whose sweeps would come in
// between, but for the moments that need one.
type filled struct {
	plan  scalePlan
	name  string
	clock counterfoil.Clock
	store closingStore
	keys  *keyring.Ring
}

// crowd is how many sessions the subject has whose list is measured.
const crowd = 20

// fill signs in the first sessions, from which the others are made.
func (p scalePlan) fill(s *server) (*filled, error) {
	f := &filled{plan: p, name: s.name, clock: counterfoil.SystemClock()}
	now, _ := f.clock.Now()
	var err error
	if f.keys, err = keyring.Generate(now, nil); err != nil {
		return nil, err
	}
	if f.store, err = s.ours(s.way); err != nil {
		return nil, err
	}
	return f, f.manage(func(m *counterfoil.Manager) error {
		side, v := newOurs(m, nil), newVisit()
		for range crowd {
			side.newSession(v, "crowd")
		}
		_, err := manySessions(side, firstSessions-crowd)
		return err
	})
}

// firstSessions are signed in through a manager.
const firstSessions = 2 * cycled

// manage runs do with a manager.
func (f *filled) manage(do func(*counterfoil.Manager) error) error {
	m, _, err := managerOn(f.store, counterfoil.Config{Keys: f.keys, CacheBytes: -1})
	if err != nil {
		return err
	}
	return errors.Join(do(m), m.Close(context.Background()))
}

// some returns the IDs of live sessions from all over the store.
func (f *filled) some(n int) (live []counterfoil.ID, err error) {
	now, _ := f.clock.Now()
	for len(live) < n {
		page, err := f.store.Scan(context.Background(), counterfoil.ID(random16()), 50)
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

// goals measures what there are targets for.
func (f *filled) goals(w io.Writer) ([]goal, error) {
	list, err := f.list(w)
	if err != nil {
		return nil, err
	}
	sweep, err := f.sweep(w)
	return []goal{list, sweep}, err
}

// list measures how long it takes to list a subject's sessions.
func (f *filled) list(w io.Writer) (goal, error) {
	var times latencies
	err := f.manage(func(m *counterfoil.Manager) error {
		for range 500 {
			_, began := f.clock.Now()
			n := 0
			for _, err := range m.List(context.Background(), "crowd") {
				if err != nil {
					return err
				}
				n++
			}
			_, ended := f.clock.Now()
			if n != crowd {
				return fmt.Errorf("%d sessions are listed, not %d", n, crowd)
			}
			times = append(times, ended-began)
		}
		return nil
	})
	times.sort()
	if err == nil {
		times.print(w, fmt.Sprintf("  a list of one subject's %d", crowd))
	}
	return atMost(f.name+": a list of one subject's sessions, p99 ms", float64(times.at(0.99))/1e6, 5), err
}

// sweep measures checks of sessions that the node does not know, while others are swept and while none
// are. With and without, somebody signs in all the time.
func (f *filled) sweep(w io.Writer) (goal, error) {
	ctx := context.Background()
	live, err := f.some(20_000)
	if err != nil {
		return goal{}, err
	}
	like, err := f.store.Load(ctx, live[0])
	if err != nil {
		return goal{}, err
	}
	now, _ := f.clock.Now()
	stop, signIns := make(chan struct{}), make(chan error)
	go func() {
		signIns <- func() error {
			for {
				select {
				case <-stop:
					return nil
				case <-time.After(signInEvery):
				}
				r := like.Clone()
				r.ID, r.Subject = counterfoil.ID(random16()), counterfoil.SubjectHash(random16())
				e := counterfoil.Entry{Kind: counterfoil.EntryCreated, Op: counterfoil.OpID(random16()), Reason: counterfoil.ReasonSignIn, Time: now}
				if _, err := f.store.Create(ctx, r, counterfoil.Creation{Entry: e}); err != nil {
					return err
				}
			}
		}()
	}()
	gone := 0
	_, began := f.clock.Now()
	t, err := watch(reaping(f.store, now.Add(-time.Hour), &gone), 2, time.Millisecond, func(i int) error {
		_, err := f.store.Load(ctx, live[i%len(live)])
		return err
	})
	_, ended := f.clock.Now()
	close(stop)
	if err := errors.Join(err, <-signIns); err != nil {
		return goal{}, err
	}
	if gone != f.plan.expired {
		return goal{}, fmt.Errorf("%d sessions were swept, not %d", gone, f.plan.expired)
	}
	t.alone.print(w, "  a cold check")
	t.beside.print(w, "  a cold check while others are swept")
	fmt.Fprintf(w, "  swept: %d in %v\n", gone, short((ended-began)*2/3))
	return atMost(f.name+": p99 of cold checks in a sweep ÷ without", float64(t.beside.at(0.99))/float64(t.alone.at(0.99)), 2), nil
}

// signInEvery is about how often somebody signs in while sweeps are measured.
const signInEvery = 5 * time.Millisecond

func random16() (b [16]byte) {
	rand.Read(b[:])
	return b
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
