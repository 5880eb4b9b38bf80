package sqlite_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store/internal/sample"
	"github.com/counterfoil/counterfoil/store/sqlite"
)

// P33, P35, P61, P62, T23: of 1,000 sessions the 100 old ones go, each once, and no list names them after.
func TestReap(t *testing.T) {
	s, ctx := open(t, temp(t)), context.Background()
	subject := sample.Subject()
	now := sample.Noon().Add(14*24*time.Hour + time.Second)
	for i := range 1000 {
		r := sample.Session(subject)
		r.AbsoluteEnd = sample.Noon().Add(30 * 24 * time.Hour)
		r.IdleEnd = now.Add(time.Millisecond)
		if i%3 == 0 {
			r.Values, r.ValuesKey = nil, 0 // that it is empty neither saves nor ends a session
		}
		if i%10 == 0 {
			r.IdleEnd = now
		}
		if _, err := s.Create(ctx, r, counterfoil.Creation{Entry: counterfoil.Entry{Time: sample.Noon()}}); err != nil {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	gone := 0
	for range 4 { // several at once
		wg.Go(func() {
			for more := true; more; {
				done, err := s.Reap(ctx, counterfoil.Reap{Before: now, Max: 30})
				if err != nil {
					t.Error(err)
					return
				}
				if done.Records > 30 {
					t.Errorf("%d at once, 30 were allowed", done.Records)
				}
				mu.Lock()
				gone += done.Records
				mu.Unlock()
				more = done.More
			}
		})
	}
	wg.Wait()
	if gone != 100 {
		t.Errorf("%d went, want 100", gone)
	}
	listed := 0
	for r, err := range s.List(ctx, subject) {
		if err != nil {
			t.Fatal(err)
		}
		if !r.Live(now) {
			t.Errorf("the list names a dead session: %v", r.IdleEnd)
		}
		if _, err := s.Load(ctx, r.ID); err != nil {
			t.Errorf("the list names a session that does not load: %v", err)
		}
		listed++
	}
	if listed != 900 {
		t.Errorf("%d are listed, want 900", listed)
	}
	if p, err := s.Log(ctx, 0, 0); err != nil || p.Head != 1100 {
		t.Errorf("the log stands at %d, %v; want 1000 created and 100 ended", p.Head, err)
	}
}

// A sweep that has seen a session comes again when it ends, and not when it would have ended without
// the touch; those that signed in between two sweeps are seen by the second.
func TestReapMovesOn(t *testing.T) {
	s, ctx, noon := open(t, temp(t)), context.Background(), sample.Noon()
	sweep := func(at time.Time, want int) {
		t.Helper()
		if done, err := s.Reap(ctx, counterfoil.Reap{Before: at, Max: 1000}); err != nil || done.Records != want || done.More {
			t.Errorf("at %v: %+v, %v; want %d", at.Sub(noon), done, err, want)
		}
	}
	create := func(n int) (all []*counterfoil.Record) {
		for range n {
			r := sample.Session(sample.Subject()) // ends an hour after noon
			if _, err := s.Create(ctx, r, sample.SignIn()); err != nil {
				t.Fatal(err)
			}
			all = append(all, r)
		}
		return all
	}
	first := create(250)
	sweep(noon, 0)
	var touches []counterfoil.Touch
	for _, r := range first[:200] {
		touches = append(touches, counterfoil.Touch{ID: r.ID, Seen: noon.Add(30 * time.Minute), IdleEnd: noon.Add(90 * time.Minute)})
	}
	if err := s.Touch(ctx, touches); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Revoke(ctx, sample.SignOut(first[249].ID)); err != nil { // the newest, whose place nobody else may get
		t.Fatal(err)
	}
	create(150)
	sweep(noon.Add(time.Hour-time.Millisecond), 0)
	create(1)
	sweep(noon.Add(time.Hour), 49+150+1)
	sweep(noon.Add(90*time.Minute-time.Millisecond), 0)
	sweep(noon.Add(90*time.Minute), 200)
	if all, err := s.Scan(ctx, counterfoil.ID{}, 10); err != nil || len(all) != 0 {
		t.Errorf("%d are left, %v", len(all), err)
	}
}

func TestClosed(t *testing.T) {
	s, ctx := open(t, temp(t)), context.Background()
	r := sample.Session(sample.Subject())
	if _, err := s.Create(ctx, r, sample.SignIn()); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 { // Close comes in the middle of these
		wg.Go(func() {
			for {
				if _, err := s.Create(ctx, sample.Session(sample.Subject()), sample.SignIn()); err != nil {
					if !errors.Is(err, sqlite.ErrClosed) {
						t.Errorf("Create: %v", err)
					}
					return
				}
				if _, err := s.Load(ctx, r.ID); err != nil && !errors.Is(err, sqlite.ErrClosed) {
					t.Errorf("Load: %v", err)
				}
			}
		})
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if err := s.Close(); err != nil {
		t.Errorf("the second Close: %v", err)
	}
	_, loadErr := s.Load(ctx, r.ID)
	_, getErr := s.Accounts().Get(ctx, "alice")
	for _, err := range []error{loadErr, getErr, s.Touch(ctx, []counterfoil.Touch{{}}), s.Check(ctx)} {
		if !errors.Is(err, sqlite.ErrClosed) {
			t.Errorf("got %v, want ErrClosed", err)
		}
	}
}

// A list that is being read holds nothing: the reader may use the store meanwhile, as often as it
// likes.
func TestNestedReads(t *testing.T) {
	s := open(t, temp(t))
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute) // it is over then, or hangs
	defer cancel()
	subject := sample.Subject()
	for range 70 {
		if _, err := s.Create(ctx, sample.Session(subject), sample.SignIn()); err != nil {
			t.Fatal(err)
		}
	}
	var nest func(depth int)
	nest = func(depth int) {
		for r, err := range s.List(ctx, subject) {
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Load(ctx, r.ID); err != nil {
				t.Fatal(err)
			}
			if depth > 0 {
				nest(depth - 1)
			}
			break
		}
	}
	nest(20)
}

func TestIncarnation(t *testing.T) {
	path, ctx := temp(t), context.Background()
	s := open(t, path)
	first, err := s.Log(ctx, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := open(t, path).Log(ctx, 0, 0)
	if err != nil || again.Incarnation != first.Incarnation || len(first.Incarnation) != 22 {
		t.Errorf("%q after %q, %v: a restart keeps the log", again.Incarnation, first.Incarnation, err)
	}
	other, err := open(t, temp(t)).Log(ctx, 0, 0)
	if err != nil || other.Incarnation == first.Incarnation {
		t.Errorf("another file has the same incarnation, %v", err)
	}
}
