package redis_test

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/sessiontest"
)

// Two managers with a client each on one server see each other's values, and what one ends the other
// no longer admits once its lease is over. G2
func TestTwoManagers(t *testing.T) {
	on, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	now, _ := counterfoil.SystemClock().Now() // about what the server's shows
	clock := sessiontest.NewClock(now)
	keys, err := keyring.Generate(now, nil)
	if err != nil {
		t.Fatal(err)
	}
	note := counterfoil.NewKey[string]("note")
	prefix := rand.Text()
	var nodes [2]*counterfoil.Manager
	for i := range nodes {
		nodes[i], err = counterfoil.New(context.Background(), counterfoil.Config{
			Store: open(t, on.DSN(), prefix), Keys: keys, Clock: clock, Logger: slog.New(slog.DiscardHandler),
		})
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
	for range 50 {
		text := rand.Text()
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
	if _, err := nodes[0].Revoke(context.Background(), counterfoil.AllOf("alice"), counterfoil.ReasonRevoked); err != nil {
		t.Fatal(err)
	}
	clock.Advance(5 * time.Second)
	at(nodes[1], func(s *counterfoil.Session) {
		if s.SignedIn() {
			t.Error("the other manager admits a session that was ended a lease ago")
		}
	})
}

// A revocation is in force as soon as the other node has acknowledged it, and a node that left is not
// waited for. R17, G2
func TestWaitForTheOtherNode(t *testing.T) {
	on, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	prefix := rand.Text()
	keys, err := keyring.Generate(start, nil)
	if err != nil {
		t.Fatal(err)
	}
	var nodes [2]*counterfoil.Manager
	for i := range nodes {
		nodes[i], err = counterfoil.New(context.Background(), counterfoil.Config{
			Store: open(t, on.DSN(), prefix), Keys: keys, Lease: 3 * time.Second, Logger: slog.New(slog.DiscardHandler),
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
	on := own(t)
	s, other := open(t, on.DSN(), "p"), open(t, on.DSN(), "p")
	ctx := context.Background()
	heard, lost := make(chan struct{}, 100), make(chan struct{})
	stop, err := s.Hints(ctx, func() { heard <- struct{}{} }, func() { close(lost) })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	for on.ask(t, "PUBSUB", "NUMSUB", "{p}:ended").([]any)[1] == int64(0) {
		runtime.Gosched()
	}
	subject := counterfoil.SubjectHash(random16())
	create := func(c counterfoil.Creation) *counterfoil.Record {
		t.Helper()
		r := record(subject)
		c.Entry.Op = random16()
		if _, err := other.Create(ctx, r, c); err != nil {
			t.Fatal(err)
		}
		return r
	}
	plain := counterfoil.Creation{Entry: counterfoil.Entry{Kind: counterfoil.EntryCreated, Reason: counterfoil.ReasonSignIn, Time: start}}
	limited := plain
	limited.Limit = counterfoil.Limit{Max: 1, Now: start}
	end := func(e counterfoil.Entry) {
		t.Helper()
		e.Op, e.Time, e.Reason = random16(), start, counterfoil.ReasonRevoked
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
	on.Crash()
	if err := on.Recover(); err != nil {
		t.Fatal(err)
	}
	<-lost
}

// Whoever stops listening hears nothing more, and says nothing of having lost the connection.
func TestHintsStop(t *testing.T) {
	s := open(t, own(t).DSN(), "p")
	stop, err := s.Hints(context.Background(), func() {}, func() { t.Error("lost") })
	if err != nil {
		t.Fatal(err)
	}
	stop()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// A user who may not use channels ends sessions all the same.
func TestNoChannels(t *testing.T) {
	on := own(t)
	on.ask(t, "ACL", "SETUSER", "narrow", "on", ">secret", "~*", "+@all", "resetchannels")
	at, err := url.Parse(on.DSN())
	if err != nil {
		t.Fatal(err)
	}
	at.User = url.UserPassword("narrow", "secret")
	s := open(t, at.String(), "p")
	r := record(counterfoil.SubjectHash(random16()))
	signIn(t, s, r)
	done, err := s.Revoke(context.Background(), counterfoil.Entry{Kind: counterfoil.EntryEnded, Op: random16(), Session: r.ID, Reason: counterfoil.ReasonRevoked, Time: start})
	if err != nil || done.Count != 1 {
		t.Errorf("%+v, %v", done, err)
	}
}
