package redis_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store/redis"
)

// saysNothing asks all that reads for a session, and wants "unknown" of each.
func saysNothing(t *testing.T, s *redis.Store, r *counterfoil.Record) {
	t.Helper()
	var loaded []error
	for _, err := range s.List(t.Context(), r.Subject) {
		loaded = append(loaded, err)
	}
	_, err := s.Load(t.Context(), r.ID)
	loaded = append(loaded, err)
	_, err = s.Load(t.Context(), random16())
	loaded = append(loaded, err)
	_, err = s.Scan(t.Context(), counterfoil.ID{}, 10)
	loaded = append(loaded, err)
	_, err = s.Log(t.Context(), 0, 10)
	loaded = append(loaded, err)
	_, err = s.Poll(t.Context(), counterfoil.Poll{Node: "a", Max: 10})
	loaded = append(loaded, err)
	for i, err := range loaded {
		if err == nil || errors.Is(err, counterfoil.ErrNotFound) || errors.Is(err, counterfoil.ErrGap) {
			t.Errorf("call %d: %v", i, err)
		}
	}
}

// A server that has become a replica, as an old primary does after a fail-over, or a standby that an
// address leads to too early, answers with the past: every call says "unknown". PD8
func TestReplicaSaysNothing(t *testing.T) {
	on := own(t)
	s := open(t, on.DSN(), "")
	r := record(random16())
	signIn(t, s, r)
	on.ask(t, "REPLICAOF", "127.0.0.1", "1")
	saysNothing(t, s, r)
	on.ask(t, "REPLICAOF", "NO", "ONE")
	if _, err := s.Load(t.Context(), r.ID); err != nil {
		t.Errorf("it takes writes again: %v", err)
	}
}

// Nor does a primary whose replicas are gone, where some are asked for. PD8
func TestCutOffPrimarySaysNothing(t *testing.T) {
	on := own(t)
	s := open(t, on.DSN(), "")
	r := record(random16())
	signIn(t, s, r)
	on.ask(t, "CONFIG", "SET", "min-replicas-to-write", "1")
	saysNothing(t, s, r)
}

// A replica that is set to take writes refuses nothing, but renews no lease; and before it comes to that,
// a primary that is set so says what it would be. R9
func TestWritableReplicaRenewsNoLease(t *testing.T) {
	on := own(t, "--replica-read-only", "no")
	s := open(t, on.DSN(), "")
	advice, err := s.Advise(t.Context())
	if err != nil || len(advice) != 1 || !strings.Contains(advice[0].Says, "replica-read-only") {
		t.Errorf("advice %q, %v", advice, err)
	}
	poll := func() error {
		_, err := s.Poll(t.Context(), counterfoil.Poll{Node: "a", Max: 10})
		return err
	}
	if err := poll(); err != nil {
		t.Fatal(err)
	}
	on.ask(t, "REPLICAOF", "127.0.0.1", "1")
	if err := poll(); err == nil || !strings.Contains(err.Error(), "replica") {
		t.Errorf("a replica that takes writes: %v", err)
	}
}

// Reading is refused like writing and yet writes nothing: neither to the journal nor to replicas. A
// session that is about to expire expires when it did. P31
func TestReadsWriteNothing(t *testing.T) {
	on := own(t)
	s := open(t, on.DSN(), "p")
	subject := counterfoil.SubjectHash(random16())
	var ids []counterfoil.ID
	for range 150 { // more than are read at once
		r := record(subject)
		signIn(t, s, r)
		ids = append(ids, r.ID)
	}
	written := func() (size string) {
		for line := range strings.Lines(on.ask(t, "INFO", "persistence").(string)) {
			if name, value, _ := strings.Cut(strings.TrimSpace(line), ":"); name == "aof_current_size" || name == "rdb_changes_since_last_save" {
				size += " " + value
			}
		}
		return size
	}
	ends := func() any { return on.ask(t, "PEXPIRETIME", "{p}:0:r:"+string(ids[0][:])) }
	before, end := written(), ends()
	for _, id := range ids {
		if _, err := s.Load(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for _, err := range s.List(t.Context(), subject) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	all, err := s.Scan(t.Context(), counterfoil.ID{}, 1000)
	if err != nil || len(all) != len(ids) || n != len(ids) {
		t.Errorf("%d scanned, %d listed, %v; want %d", len(all), n, err, len(ids))
	}
	if after := written(); after == "" || after != before {
		t.Errorf("written were%s, after reading%s", before, after)
	}
	if after := ends(); after != end {
		t.Errorf("the session expired at %v, now at %v", end, after)
	}
}

// A server whose memory is full takes no sign-in, but who is signed in stays so, and can be signed out. G2
func TestFullServer(t *testing.T) {
	on := own(t)
	s := open(t, on.DSN(), "")
	r := record(random16())
	signIn(t, s, r)
	on.ask(t, "CONFIG", "SET", "maxmemory", "100kb")
	c := counterfoil.Creation{Entry: counterfoil.Entry{Kind: counterfoil.EntryCreated, Op: random16(), Reason: counterfoil.ReasonSignIn, Time: start}}
	if _, err := s.Create(t.Context(), record(random16()), c); err == nil || !strings.Contains(err.Error(), "OOM") {
		t.Errorf("a sign-in: %v", err)
	}
	if _, err := s.Load(t.Context(), r.ID); err != nil {
		t.Errorf("a check: %v", err)
	}
	if _, err := s.Poll(t.Context(), counterfoil.Poll{Node: "a", Max: 10}); err != nil {
		t.Errorf("a poll: %v", err)
	}
	done, err := s.Revoke(t.Context(), counterfoil.Entry{Kind: counterfoil.EntryEnded, Op: random16(), Session: r.ID, Reason: counterfoil.ReasonSignOut, Time: start})
	if err != nil || done.Count != 1 {
		t.Errorf("a sign-out: %+v, %v", done, err)
	}
	if _, err := s.Load(t.Context(), r.ID); !errors.Is(err, counterfoil.ErrNotFound) {
		t.Errorf("a check after it: %v", err)
	}
}

// Another store's end of everything is seen by the next read, whatever this one saw last. G2
func TestOtherGeneration(t *testing.T) {
	on := own(t)
	s, other := open(t, on.DSN(), ""), open(t, on.DSN(), "")
	for range 3 {
		r := record(random16())
		signIn(t, other, r)
		if _, err := s.Load(t.Context(), r.ID); err != nil {
			t.Fatalf("before: %v", err)
		}
		e := counterfoil.Entry{Kind: counterfoil.EntryEndedAll, Op: random16(), Reason: counterfoil.ReasonRevoked, Time: start.Add(time.Second)}
		if _, err := other.Revoke(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Load(t.Context(), r.ID); !errors.Is(err, counterfoil.ErrNotFound) {
			t.Errorf("after: %v", err)
		}
	}
}
