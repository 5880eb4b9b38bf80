package nodetest

import (
	"context"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store/internal/sample"
)

// patience is how long nobody needs here for what happens.
const patience = 3 * time.Minute

// Hints: a node hears of an end as soon as it is there, whichever way it came about, hears of nothing
// else, and is told when it can hear no more. by is another node's way to the store; ready says that
// from listens, and lose breaks its connection.
func Hints(t *testing.T, from counterfoil.Hinter, by counterfoil.Store, ready, lose func()) {
	t.Helper()
	ctx := context.Background()
	heard, lost := make(chan struct{}, 100), make(chan struct{})
	stop, err := from.Hints(ctx, func() { heard <- struct{}{} }, func() { close(lost) })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	ready()
	subject := sample.Subject()
	create := func(limit counterfoil.Limit) counterfoil.ID {
		t.Helper()
		r, how := sample.Session(subject), sample.SignIn()
		how.Limit = limit
		if _, err := by.Create(ctx, r, how); err != nil {
			t.Fatal(err)
		}
		return r.ID
	}
	end := func(e counterfoil.Entry) {
		t.Helper()
		e.Op, e.Time, e.Reason = sample.Op(), sample.Noon(), counterfoil.ReasonRevoked
		if _, err := by.Revoke(ctx, e); err != nil {
			t.Fatal(err)
		}
	}
	create(counterfoil.Limit{})
	for name, act := range map[string]func(){
		"one ends": func() {
			end(counterfoil.Entry{Kind: counterfoil.EntryEnded, Session: create(counterfoil.Limit{})})
		},
		"a subject's": func() {
			end(counterfoil.Entry{Kind: counterfoil.EntryEndedSubject, Subject: subject})
			create(counterfoil.Limit{})
		},
		"all": func() {
			end(counterfoil.Entry{Kind: counterfoil.EntryEndedAll})
			create(counterfoil.Limit{})
		},
		"over the limit": func() { create(counterfoil.Limit{Max: 1, Now: sample.Noon()}) },
	} {
		act()
		select {
		case <-heard:
		case <-time.After(patience):
			t.Errorf("%s: nothing is heard", name)
		}
	}
	if n := len(heard); n != 0 {
		t.Errorf("%d hints too many", n)
	}
	lose()
	select {
	case <-lost:
	case <-time.After(patience):
		t.Error("nothing is said of the lost connection")
	}
}
