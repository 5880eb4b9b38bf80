package redis_test

import (
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store/redis"
)

func random16() (b [16]byte) {
	rand.Read(b[:])
	return b
}

var start = time.UnixMilli(1_800_000_000_123).UTC()

func record(subject counterfoil.SubjectHash) *counterfoil.Record {
	return &counterfoil.Record{
		Version: counterfoil.RecordVersion, ID: random16(), Kind: counterfoil.KindBrowser, Subject: subject,
		Created: start, Seen: start, IdleEnd: start.Add(time.Hour), AbsoluteEnd: start.Add(8 * time.Hour),
		IdentityKey: 1, VerifierKey: 1, SelectorKey: 1, IdentityCount: 1, Identity: []byte("sealed"),
	}
}

func signIn(t *testing.T, s *redis.Store, r *counterfoil.Record) counterfoil.Creation {
	t.Helper()
	c := counterfoil.Creation{Entry: counterfoil.Entry{
		Kind: counterfoil.EntryCreated, Op: random16(), Reason: counterfoil.ReasonSignIn, Time: start,
	}}
	if _, err := s.Create(t.Context(), r, c); err != nil {
		t.Fatal(err)
	}
	return c
}

// A server that is killed and started again has everything that was acknowledged, and the same store
// goes on with it. While it is away every call says "unknown". G1
func TestKilledServer(t *testing.T) {
	on := own(t)
	s := open(t, on.DSN(), "")
	var live, ended []*counterfoil.Record
	var again counterfoil.Creation
	for i := range 40 {
		r := record(random16())
		again = signIn(t, s, r)
		if i%2 == 0 {
			live = append(live, r)
			continue
		}
		if _, err := s.Revoke(t.Context(), counterfoil.Entry{
			Kind: counterfoil.EntryEnded, Op: random16(), Session: r.ID, Reason: counterfoil.ReasonSignOut, Time: start,
		}); err != nil {
			t.Fatal(err)
		}
		ended = append(ended, r)
	}
	before, err := s.Log(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	on.Crash()
	for range 3 {
		if _, err := s.Load(t.Context(), live[0].ID); err == nil || errors.Is(err, counterfoil.ErrNotFound) {
			t.Fatalf("without a server Load says %v", err)
		}
	}
	if err := on.Recover(); err != nil {
		t.Fatal(err)
	}
	for _, r := range live {
		if _, err := s.Load(t.Context(), r.ID); err != nil {
			t.Fatalf("a session that was acknowledged: %v", err)
		}
	}
	for _, r := range ended {
		if _, err := s.Load(t.Context(), r.ID); !errors.Is(err, counterfoil.ErrNotFound) {
			t.Fatalf("a session whose end was acknowledged: %v", err)
		}
	}
	after, err := s.Log(t.Context(), 0, 100)
	if err != nil || after.Head != before.Head || len(after.Entries) != len(before.Entries) {
		t.Fatalf("the log: head %d, was %d: %v", after.Head, before.Head, err)
	}
	// The server names another replication ID: nodes drop their caches rather than guess.
	if after.Incarnation == before.Incarnation {
		t.Error("a server that crashed has the same incarnation")
	}
	last := ended[len(ended)-1]
	if c, err := s.Create(t.Context(), last.Clone(), again); err != nil || c.Seq != last.Born {
		t.Errorf("the same sign-in again: %v, %v", c, err)
	}
}

// Records expire by themselves, later than their end, and are counted and logged once. P35
func TestExpiresByItself(t *testing.T) {
	s, prefix := fresh(t)
	on, _ := shared()
	r := record(random16())
	signIn(t, s, r)
	child := record(r.Subject)
	child.Parent, child.Root = r.ID, r.ID
	signIn(t, s, child)
	key := "{" + prefix + "}:0:r:" + string(r.ID[:])
	left := time.Duration(on.ask(t, "PTTL", key).(int64)) * time.Millisecond
	if least := r.IdleEnd.Sub(r.Seen) + 4*time.Minute; left < least || left > least+2*time.Minute {
		t.Errorf("the record expires in %v", left)
	}
	seen := r.Seen.Add(30 * time.Minute)
	if err := s.Touch(t.Context(), []counterfoil.Touch{{ID: r.ID, Seen: seen, IdleEnd: seen.Add(2 * time.Hour)}}); err != nil {
		t.Fatal(err)
	}
	if left := time.Duration(on.ask(t, "PTTL", key).(int64)) * time.Millisecond; left < 2*time.Hour {
		t.Errorf("touched, it expires in %v", left)
	}

	on.ask(t, "PEXPIRE", key, "0")
	if _, err := s.Load(t.Context(), r.ID); !errors.Is(err, counterfoil.ErrNotFound) {
		t.Fatalf("expired, Load says %v", err)
	}
	late := seen.Add(3 * time.Hour)
	out, err := s.Reap(t.Context(), counterfoil.Reap{Before: late, Max: 10})
	if err != nil || out.Records != 2 {
		t.Fatalf("reaped %+v, %v", out, err)
	}
	if out, err := s.Reap(t.Context(), counterfoil.Reap{Before: late, Max: 10}); err != nil || out.Records != 0 {
		t.Errorf("reaped again %+v, %v", out, err)
	}
	p, err := s.Log(t.Context(), 2, 10)
	if err != nil || len(p.Entries) != 2 {
		t.Fatalf("%d entries, %v", len(p.Entries), err)
	}
	reasons := map[counterfoil.ID]counterfoil.Reason{}
	for _, e := range p.Entries {
		if e.Kind != counterfoil.EntryEnded || e.Subject != r.Subject {
			t.Errorf("entry %+v", e)
		}
		reasons[e.Session] = e.Reason
	}
	if reasons[r.ID] != counterfoil.ReasonIdle || reasons[child.ID] == "" {
		t.Errorf("reasons %v", reasons)
	}
	if n := on.ask(t, "EXISTS", "{"+prefix+"}:0:ids", "{"+prefix+"}:0:due", "{"+prefix+"}:0:s:"+string(r.Subject[:])); n != int64(0) {
		t.Errorf("%d indexes are left", n)
	}
}

// After an end of everything nothing of the former keys stays.
func TestSweep(t *testing.T) {
	s, prefix := fresh(t)
	on, _ := shared()
	subject := counterfoil.SubjectHash(random16())
	for range 230 {
		signIn(t, s, record(subject))
	}
	if _, err := s.Revoke(t.Context(), counterfoil.Entry{Kind: counterfoil.EntryEndedAll, Op: random16(), Reason: counterfoil.ReasonRevoked, Time: start}); err != nil {
		t.Fatal(err)
	}
	next := record(subject)
	signIn(t, s, next)
	if _, err := s.Reap(t.Context(), counterfoil.Reap{Before: start, Max: 10}); err != nil {
		t.Fatal(err)
	}
	if left := on.ask(t, "KEYS", "{"+prefix+"}:0:*").([]any); len(left) != 0 {
		t.Errorf("%d keys of the former generation", len(left))
	}
	if _, err := s.Load(t.Context(), next.ID); err != nil {
		t.Errorf("a later session: %v", err)
	}
}

// R14: a fenced node gets nothing more; another goes on.
func TestFence(t *testing.T) {
	s, _ := fresh(t)
	signIn(t, s, record(random16()))
	if err := s.Fence(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Poll(t.Context(), counterfoil.Poll{Node: "a", Max: 10}); !errors.Is(err, counterfoil.ErrFenced) {
		t.Errorf("the fenced node: %v", err)
	}
	if p, err := s.Poll(t.Context(), counterfoil.Poll{Node: "b", Max: 10}); err != nil || len(p.Entries) != 1 {
		t.Errorf("another node: %v, %v", p, err)
	}
}

// A node that has not polled for a day is forgotten, whether it was fenced or never heard of; others
// are not.
func TestDeadNodesAreForgotten(t *testing.T) {
	s, prefix := fresh(t)
	for _, node := range []string{"dead", "fenced", "alive"} {
		if _, err := s.Poll(t.Context(), counterfoil.Poll{Node: node, Max: 10}); err != nil {
			t.Fatal(err)
		}
	}
	for _, node := range []string{"fenced", "unheard of"} {
		if err := s.Fence(t.Context(), node); err != nil {
			t.Fatal(err)
		}
	}
	on, _ := shared()
	for _, node := range []string{"dead", "fenced", "unheard of"} {
		on.ask(t, "HSET", "{"+prefix+"}:nodes", node, "1 1 0")
	}
	if _, err := s.Reap(t.Context(), counterfoil.Reap{Before: start, Max: 10}); err != nil {
		t.Fatal(err)
	}
	if all, err := s.Nodes(t.Context()); err != nil || len(all) != 1 || all[0].Name != "alive" {
		t.Errorf("nodes %+v, %v", all, err)
	}
	if left := on.ask(t, "SMEMBERS", "{"+prefix+"}:fenced").([]any); len(left) != 0 {
		t.Errorf("fenced: %v", left)
	}
}

// A server that may drop keys is refused, one that may lose them says so.
func TestSettings(t *testing.T) {
	evicts := own(t, "--maxmemory-policy", "allkeys-lru")
	if _, err := redis.OpenSlowly(t.Context(), evicts.DSN(), redis.Options{}); !errors.Is(err, redis.ErrEviction) {
		t.Errorf("a server that evicts: %v", err)
	}
	replica := own(t, "--replicaof", "127.0.0.1 1")
	if _, err := redis.OpenSlowly(t.Context(), replica.DSN(), redis.Options{}); !errors.Is(err, redis.ErrUnfit) {
		t.Errorf("a replica: %v", err)
	}
	for name, c := range map[string]struct {
		args    []string
		durable bool
		warning string
	}{
		"always":     {nil, true, ""},
		"everysec":   {[]string{"--appendfsync", "everysec"}, false, "appendfsync is everysec"},
		"no journal": {[]string{"--appendonly", "no"}, false, "appendonly is off"},
		"hidden":     {[]string{"--rename-command", "CONFIG", ""}, false, "CONFIG GET is forbidden"},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, own(t, c.args...).DSN(), "")
			can := s.Capabilities()
			if want := (counterfoil.Capabilities{Durable: c.durable, Linearizable: true, Shared: true}); can != want {
				t.Errorf("capabilities %+v, want %+v", can, want)
			}
			advice, err := s.Advise(t.Context())
			if err != nil || (c.warning == "") != (len(advice) == 0) {
				t.Errorf("advice %q, %v", advice, err)
			}
			for _, a := range advice {
				if !strings.Contains(a.Says, c.warning) || a.Fix == "" {
					t.Errorf("advice %q, want %q and a fix", a, c.warning)
				}
			}
		})
	}
	if _, err := redis.Open(t.Context(), "unix:///nowhere/at/all", redis.Options{}); err == nil {
		t.Error("no server, and no error")
	}
}
