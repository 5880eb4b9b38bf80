package sqlite

import (
	"context"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store/internal/sample"
)

// consecutive reports whether a page has every entry behind since, up to the last.
func consecutive(p counterfoil.Page, since, last uint64) bool {
	for i, e := range p.Entries {
		if e.Seq != since+1+uint64(i) {
			return false
		}
	}
	return p.Head == last && since+uint64(len(p.Entries)) == last
}

// How a session came into being is in the log while it lives and after it has ended, however it ends,
// and as long as everything else of that time.
func TestCreatedEntryStays(t *testing.T) {
	path, ctx, noon := filepath.Join(t.TempDir(), "sessions.db"), context.Background(), sample.Noon()
	s, err := Open(ctx, path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	subject := sample.Subject()
	create := func(change ...func(*counterfoil.Record, *counterfoil.Creation)) *counterfoil.Record {
		t.Helper()
		r, c := sample.Session(sample.Subject()), sample.SignIn()
		for _, f := range change {
			f(r, &c)
		}
		if _, err := s.Create(ctx, r, c); err != nil {
			t.Fatal(err)
		}
		return r
	}
	of := func(r *counterfoil.Record, _ *counterfoil.Creation) { r.Subject = subject }
	log := func(since uint64, max int) (all []counterfoil.Entry) {
		t.Helper()
		for {
			p, err := s.Log(ctx, since, max)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range p.Entries {
				if since++; e.Seq != since {
					t.Fatalf("entry %d where %d belongs", e.Seq, since)
				}
			}
			if all = append(all, p.Entries...); since == p.Head {
				return all
			}
		}
	}
	one := create()
	child := func(r *counterfoil.Record, _ *counterfoil.Creation) { r.Parent, r.Root = one.ID, one.ID }
	create(child)
	create(of)
	create(of)
	replaced, expired := create(), create(func(r *counterfoil.Record, c *counterfoil.Creation) {
		r.AbsoluteEnd, c.Entry.Reason, c.Entry.Detail = noon.Add(time.Second), counterfoil.ReasonVisit, nil
	})
	create(of, func(_ *counterfoil.Record, c *counterfoil.Creation) {
		c.Limit = counterfoil.Limit{Max: 2, Now: noon} // evicts one
	})
	create()
	before := log(0, 2)
	for what, end := range map[string]func() error{ // in any order
		"one, and what hangs on it": func() error {
			_, err := s.Revoke(ctx, sample.SignOut(one.ID))
			return err
		},
		"a subject's": func() error {
			_, err := s.Revoke(ctx, counterfoil.Entry{Kind: counterfoil.EntryEndedSubject, Op: sample.Op(), Subject: subject, Time: noon})
			return err
		},
		"replaced": func() error {
			create(func(_ *counterfoil.Record, c *counterfoil.Creation) { c.Replaces = []counterfoil.ID{replaced.ID} })
			return nil
		},
		"by time": func() error {
			_, err := s.Reap(ctx, counterfoil.Reap{Before: noon.Add(time.Minute), Max: 10})
			return err
		},
	} {
		if err := end(); err != nil {
			t.Fatal(what, err)
		}
		if now := log(0, 3); !reflect.DeepEqual(now[:len(before)], before) {
			t.Fatalf("%s: the log says now\n%+v\nand said before\n%+v", what, now, before)
		}
	}
	if _, err := s.Load(ctx, expired.ID); err == nil {
		t.Error("a session outlived its time")
	}
	before = log(0, 100)
	if _, err := s.Revoke(ctx, counterfoil.Entry{Kind: counterfoil.EntryEndedAll, Op: sample.Op(), Time: noon}); err != nil {
		t.Fatal(err)
	}
	if now := log(0, 100); !reflect.DeepEqual(now[:len(before)], before) || len(now) != len(before)+1 {
		t.Errorf("all ended: the log says now\n%+v\nand said before\n%+v", now, before)
	}

	// What is trimmed does not come back when the session ends.
	late := create()
	done, err := s.Reap(ctx, counterfoil.Reap{Before: noon, LogBefore: noon.Add(time.Hour), Max: 10})
	if err != nil || done.Entries != int(late.Born) {
		t.Fatalf("%+v, %v; want all %d trimmed", done, err, late.Born)
	}
	for _, want := range []int{0, 1} { // the end's own
		if p, err := s.Log(ctx, late.Born, 100); err != nil || !consecutive(p, late.Born, late.Born+uint64(want)) || p.Floor != late.Born {
			t.Errorf("%+v, %v; want %d entries", p, err, want)
		}
		if _, err := s.Revoke(ctx, sample.SignOut(late.ID)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n := number(t, raw(t, path), "SELECT count(*) FROM log"); n != 1 {
		t.Errorf("%d rows in the log's table, want the last end alone", n)
	}
}
