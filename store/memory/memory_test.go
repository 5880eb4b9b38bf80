package memory_test

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store/memory"
)

func TestSmoke(t *testing.T) {
	s := memory.New(memory.Options{})
	ctx := context.Background()
	now := time.UnixMilli(1_800_000_000_000).UTC()
	mk := func() *counterfoil.Record {
		r := &counterfoil.Record{Version: 1, Kind: counterfoil.KindBrowser, Created: now, Seen: now, IdleEnd: now.Add(time.Hour), AbsoluteEnd: now.Add(2 * time.Hour), Identity: []byte("x")}
		rand.Read(r.ID[:])
		r.Subject[0] = 1
		return r
	}
	for i := range 10 {
		r := mk()
		e := counterfoil.Entry{Kind: counterfoil.EntryCreated, Time: now}
		rand.Read(e.Op[:])
		c, err := s.Create(ctx, r, counterfoil.Creation{Entry: e, Limit: counterfoil.Limit{Max: 3, Now: now}})
		t.Log(i, c, err, r.Born)
	}
	n := 0
	for _, err := range s.List(ctx, counterfoil.SubjectHash{1}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	rv, err := s.Revoke(ctx, counterfoil.Entry{Kind: counterfoil.EntryEndedSubject, Subject: counterfoil.SubjectHash{1}, Time: now})
	if n != 3 || err != nil || rv.Count != 3 {
		t.Fatal(n, err, rv)
	}
	p, err := s.Log(ctx, 0, 100)
	if err != nil || len(p.Entries) != 18 || p.Head != 18 {
		t.Fatal(err, len(p.Entries))
	}
	out, err := s.Reap(ctx, counterfoil.Reap{Before: now, LogBefore: now.Add(time.Hour), Max: 10})
	t.Log(out, err)
}
