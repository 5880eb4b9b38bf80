package memory

import (
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
)

// A touch between the reaper's look and its deed saves the record.
func TestReapLooksAgain(t *testing.T) {
	now := time.UnixMilli(1_800_000_000_123).UTC()
	s := New(Options{})
	defer s.Close()
	rec := counterfoil.Record{ID: counterfoil.ID{1}, Created: now, Seen: now, IdleEnd: now, AbsoluteEnd: now.Add(time.Hour)}
	if _, err := s.Create(t.Context(), &rec, counterfoil.Creation{Entry: counterfoil.Entry{Kind: counterfoil.EntryCreated, Time: now}}); err != nil {
		t.Fatal(err)
	}
	due := s.shard(rec.ID).expired(now.UnixMilli(), 10)
	if len(due) != 1 {
		t.Fatalf("%d are due, want 1", len(due))
	}
	if err := s.Touch(t.Context(), []counterfoil.Touch{{ID: rec.ID, Seen: now, IdleEnd: now.Add(time.Minute)}}); err != nil {
		t.Fatal(err)
	}
	if n := s.reapSlice(counterfoil.Reap{Before: now, Max: 10}, due); n != 0 {
		t.Fatalf("%d ended, though touched", n)
	}
	if _, err := s.Load(t.Context(), rec.ID); err != nil {
		t.Fatal(err)
	}
}
