package redis_test

import (
	"context"
	"crypto/rand"
	"net/url"
	"runtime"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/sessiontest"
	"github.com/counterfoil/counterfoil/store/internal/nodetest"
	"github.com/counterfoil/counterfoil/store/redis"
)

// onePlace opens stores on one place of the shared server.
func onePlace(t *testing.T) func() counterfoil.Store {
	t.Helper()
	on, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	prefix := rand.Text()
	return func() counterfoil.Store { return open(t, on.DSN(), prefix) }
}

// Two managers with a client each on one server see what the other does. G2
func TestTwoManagers(t *testing.T) {
	now, _ := counterfoil.SystemClock().Now() // about what the server's shows
	clock := sessiontest.NewClock(now)
	nodetest.SeeEachOther(t, nodetest.Managers(t, clock, onePlace(t)), clock)
}

// Several nodes that start at once on an empty server make one store.
func TestStartAtOnce(t *testing.T) {
	on, prefix := own(t), rand.Text()
	nodetest.StartAtOnce(t, func() (counterfoil.Store, error) {
		return redis.OpenSlowly(context.Background(), on.DSN(), redis.Options{Prefix: prefix})
	})
}

// A revocation is in force as soon as the other node has acknowledged it, and a node that left is not
// waited for. R17, G2
func TestWaitForTheOtherNode(t *testing.T) {
	nodetest.Wait(t, nodetest.Managers(t, counterfoil.SystemClock(), onePlace(t)))
}

// A node hears of an end as soon as it is there, whichever way it came about, and is told when it can
// hear no more. R9
func TestHints(t *testing.T) {
	on := own(t)
	listening := func() {
		for on.ask(t, "PUBSUB", "NUMSUB", "{p}:ended").([]any)[1] == int64(0) {
			runtime.Gosched()
		}
	}
	nodetest.Hints(t, open(t, on.DSN(), "p"), open(t, on.DSN(), "p"), listening, func() {
		on.Crash()
		if err := on.Recover(); err != nil {
			t.Fatal(err)
		}
	})
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
