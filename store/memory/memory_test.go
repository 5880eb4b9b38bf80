package memory_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/storetest"
)

// P3, P26
func TestStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) counterfoil.Store { return memory.New(memory.Options{}) })
}

func TestShared(t *testing.T) {
	for _, shared := range []bool{false, true} {
		s := memory.New(memory.Options{Shared: shared})
		want := counterfoil.Capabilities{Linearizable: true, Shared: shared}
		if got := s.Capabilities(); got != want {
			t.Errorf("Shared %v: %+v", shared, got)
		}
		s.Close()
	}
}

// The hash chains against a map, with keys that all fall into one part of the store, while it grows
// and shrinks.
func TestChains(t *testing.T) {
	now := time.UnixMilli(1_800_000_000_123).UTC()
	rnd := rand.New(rand.NewPCG(3, 4))
	s := memory.New(memory.Options{})
	defer s.Close()
	model := map[counterfoil.ID]counterfoil.SubjectHash{}
	for step := range 6000 {
		id := counterfoil.ID{15: byte(rnd.IntN(250)), 14: 1}
		growing := step/1500%2 == 0
		if (rnd.IntN(10) == 0) == growing {
			rv, err := s.Revoke(t.Context(), counterfoil.Entry{Kind: counterfoil.EntryEnded, Session: id, Time: now})
			_, known := model[id]
			if err != nil || (rv.Count == 1) != known {
				t.Fatalf("step %d: revoke says %+v, %v; the model knows it: %v", step, rv, err, known)
			}
			delete(model, id)
		} else if _, known := model[id]; !known {
			subject := counterfoil.SubjectHash{0: 0, 15: byte(1 + rnd.IntN(5))}
			r := counterfoil.Record{ID: id, Subject: subject, Created: now, Seen: now, IdleEnd: now, AbsoluteEnd: now}
			if _, err := s.Create(t.Context(), &r, counterfoil.Creation{Entry: counterfoil.Entry{Kind: counterfoil.EntryCreated, Time: now}}); err != nil {
				t.Fatal(err)
			}
			model[id] = subject
		}
		if step%50 != 0 {
			continue
		}
		listed := 0
		for i := range 6 {
			for r, err := range s.List(t.Context(), counterfoil.SubjectHash{15: byte(i)}) {
				if err != nil || model[r.ID] != r.Subject {
					t.Fatalf("step %d: listed %v, %v", step, r.ID, err)
				}
				listed++
			}
		}
		if listed != len(model) {
			t.Fatalf("step %d: %d listed of %d", step, listed, len(model))
		}
		for id := range model {
			if _, err := s.Load(t.Context(), id); err != nil {
				t.Fatalf("step %d: %v", step, err)
			}
		}
	}
}
