package postgres_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/sessiontest"
)

// Two nodes on one database see each other's values.
func TestTwoManagers(t *testing.T) {
	dsn := empty(t)
	now, _ := counterfoil.SystemClock().Now() // about what the server's shows
	clock := sessiontest.NewClock(now)
	keys, err := keyring.Generate(now, nil)
	if err != nil {
		t.Fatal(err)
	}
	note := counterfoil.NewKey[string]("note")
	var nodes [2]*counterfoil.Manager
	for i := range nodes {
		nodes[i], err = counterfoil.New(context.Background(), counterfoil.Config{Store: open(t, dsn), Keys: keys, Clock: clock, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = nodes[i].Close(context.Background()) })
	}
	r := httptest.NewRequest("GET", "/", nil)
	sessiontest.SignIn(t, nodes[0], r, counterfoil.Identity{Subject: "alice"})
	at := func(m *counterfoil.Manager, do func(*counterfoil.Session)) {
		m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { do(m.FromContext(r.Context())) })).
			ServeHTTP(httptest.NewRecorder(), r)
	}
	for _, text := range []string{"first", "second"} {
		at(nodes[0], func(s *counterfoil.Session) {
			if err := note.Set(s, text); err != nil {
				t.Error(err)
			}
		})
		at(nodes[1], func(s *counterfoil.Session) {
			if got, err := note.Get(s); got != text || err != nil {
				t.Errorf("the other manager reads %q, %v; want %q", got, err, text)
			}
		})
	}
}

// A revocation is in force as soon as the other node has acknowledged it, and a node that left is not
// waited for. R17, G2
func TestWaitForTheOtherNode(t *testing.T) {
	dsn := empty(t)
	keys, err := keyring.Generate(noon, nil)
	if err != nil {
		t.Fatal(err)
	}
	var nodes [2]*counterfoil.Manager
	for i := range nodes {
		nodes[i], err = counterfoil.New(context.Background(), counterfoil.Config{
			Store: open(t, dsn), Keys: keys, Lease: 3 * time.Second, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = nodes[i].Close(context.Background()) })
	}
	r := httptest.NewRequest("GET", "/", nil)
	sessiontest.SignIn(t, nodes[0], r, counterfoil.Identity{Subject: "alice"})
	if _, v := nodes[1].Check(r); v != counterfoil.Valid {
		t.Fatalf("before: %v", v)
	}
	wait := func() counterfoil.Waited {
		rv, err := nodes[0].Revoke(context.Background(), counterfoil.AllOf("alice"), counterfoil.ReasonRevoked)
		if err != nil {
			t.Fatal(err)
		}
		w, err := rv.Wait(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	if w := wait(); w.Nodes != 2 || w.Fenced != 0 || w.Took > 2900*time.Millisecond {
		t.Errorf("it took %+v", w)
	}
	if _, v := nodes[1].Check(r); v != counterfoil.Invalid {
		t.Errorf("after it: %v", v)
	}
	if err := nodes[1].Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if w := wait(); w.Nodes != 1 {
		t.Errorf("without the other node it took %+v", w)
	}
}

// A node hears of an end as soon as it is there, whichever way it came about, and is told when it can
// hear no more. R9
func TestHints(t *testing.T) {
	ctx, dsn := context.Background(), empty(t)
	s, other := open(t, dsn), open(t, dsn)
	heard, lost := make(chan struct{}, 100), make(chan struct{})
	stop, err := s.Hints(ctx, func() { heard <- struct{}{} }, func() { close(lost) })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	subject := newSubject()
	create := func(c counterfoil.Creation) *counterfoil.Record {
		t.Helper()
		r := session(subject)
		c.Entry.Op = counterfoil.OpID(newSubject())
		if _, err := other.Create(ctx, r, c); err != nil {
			t.Fatal(err)
		}
		return r
	}
	plain := counterfoil.Creation{Entry: counterfoil.Entry{Kind: counterfoil.EntryCreated, Reason: counterfoil.ReasonSignIn, Time: noon}}
	limited := plain
	limited.Limit = counterfoil.Limit{Max: 1, Now: noon}
	end := func(e counterfoil.Entry) {
		t.Helper()
		e.Op, e.Time, e.Reason = counterfoil.OpID(newSubject()), noon, counterfoil.ReasonRevoked
		if _, err := other.Revoke(ctx, e); err != nil {
			t.Fatal(err)
		}
	}
	create(plain)
	for name, act := range map[string]func(){
		"one ends":       func() { end(counterfoil.Entry{Kind: counterfoil.EntryEnded, Session: create(plain).ID}) },
		"a subject's":    func() { end(counterfoil.Entry{Kind: counterfoil.EntryEndedSubject, Subject: subject}); create(plain) },
		"all":            func() { end(counterfoil.Entry{Kind: counterfoil.EntryEndedAll}); create(plain) },
		"over the limit": func() { create(limited) },
	} {
		act()
		select {
		case <-heard:
		case <-time.After(10 * time.Second):
			t.Errorf("%s: nothing is heard", name)
		}
	}
	if n := len(heard); n != 0 {
		t.Errorf("%d hints too many", n)
	}
	if err := errors.Join(server.Crash(), server.Recover()); err != nil {
		t.Fatal(err)
	}
	<-lost
}

// Whoever stops listening hears nothing more, and says nothing of having lost the connection.
func TestHintsStop(t *testing.T) {
	s := open(t, empty(t))
	stop, err := s.Hints(context.Background(), func() {}, func() { t.Error("lost") })
	if err != nil {
		t.Fatal(err)
	}
	stop()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
