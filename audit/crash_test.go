package audit_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"syscall"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
)

// world is what a crash leaves: the file, the store's note and its position.
type world struct {
	file  []byte
	note  []byte
	acked uint64
}

// frozen is a store whose exporter's part is what it was at the crash.
type frozen struct {
	counterfoil.Store
	note  []byte
	acked uint64
}

func (s *frozen) Meta(context.Context, string) ([]byte, error) { return s.note, nil }
func (s *frozen) SwapMeta(_ context.Context, _ string, _, new []byte) error {
	s.note = new
	return nil
}
func (s *frozen) Acknowledge(_ context.Context, _ string, seq uint64) error {
	s.acked = max(s.acked, seq)
	return nil
}
func (s *frozen) Acknowledged(context.Context, string) (uint64, error) { return s.acked, nil }

// After a crash at any point, and after a crash at any point of the recovery from it, the next start
// exports each change exactly once and the chain verifies.
func TestCrashAnywhere(t *testing.T) {
	r := newRig(t)
	log := r.store.Store
	var before world
	x := r.open()
	r.end("alice")
	r.flush(x)
	before = world{r.bytes(), r.note(), 1}
	r.end("bob")
	r.end("carol")
	r.close(x)
	want := []string{"alice", "bob", "carol"}
	whole := r.bytes()
	noteAfter := r.note()

	// restart starts an exporter in a world and returns what it leaves.
	restart := func(w world) world {
		must(t, os.WriteFile(r.path, w.file, 0o600))
		f := &frozen{log, w.note, w.acked}
		cfg := r.config()
		cfg.Store = f
		x, err := audit.Open(t.Context(), cfg)
		must(t, err)
		r.close(x)
		return world{r.bytes(), f.note, f.acked}
	}
	check := func(w world, what string) {
		t.Helper()
		if rep := verify(t, bytes.NewReader(w.file), r.keys, w.note); rep.Broken != 0 {
			t.Fatalf("%s: line %d: %s\n%s", what, rep.Broken, rep.Why, w.file)
		}
		if got := r.subjects(); !slices.Equal(got, want) {
			t.Fatalf("%s: the file has %q, want %q\n%s", what, got, want, w.file)
		}
		if w.acked != 3 {
			t.Fatalf("%s: acknowledged %d, want 3", what, w.acked)
		}
	}

	for cut := len(before.file); cut <= len(whole); cut++ {
		what := fmt.Sprintf("crash after %d of %d bytes", cut-len(before.file), len(whole)-len(before.file))
		crashed := world{whole[:cut], before.note, before.acked}
		once := restart(crashed)
		check(once, what)
		if cut%37 != 0 && cut != len(whole) {
			continue
		}
		for again := cut; again <= len(once.file); again += 29 {
			twice := restart(world{once.file[:again], crashed.note, crashed.acked})
			check(twice, fmt.Sprintf("%s, and again after %d more", what, again-cut))
			check(restart(twice), what+", twice, and an orderly restart")
		}
	}
	check(restart(world{whole, noteAfter, before.acked}), "crash between note and acknowledgement")
}

// A disk that fills up in the middle of a write leaves half a line; when there is room again the
// exporter goes on by itself.
func TestDiskFull(t *testing.T) {
	r := newRig(t)
	x := r.open()
	var old syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old))
	limit := old
	limit.Cur = uint64(len(r.bytes()) + 100)
	r.end("alice")
	const sources = audit.MaxPending + 5
	for i := range sources {
		x.Record(counterfoil.Event{Kind: counterfoil.EventRefused, Session: counterfoil.Info{IP: fmt.Sprint(i)}})
	}
	must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit))
	err := x.Flush(t.Context())
	must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old))
	if err == nil {
		t.Fatal("Flush on a full disk succeeded")
	}
	r.flush(x)
	r.end("bob")
	r.close(x)
	rep := r.whole()
	if got := r.subjects(); !slices.Equal(got, []string{"alice", "bob"}) || rep.Torn != 1 {
		t.Errorf("got %q, %+v", got, rep)
	}
	count := make(map[string]int)
	for _, l := range r.lines() {
		count[l.Kind] += l.Count
	}
	if count["refused"] != audit.MaxPending || count[audit.KindDropped] != sources-audit.MaxPending {
		t.Errorf("%v, want %d refusals, the others counted", count, audit.MaxPending)
	}
}

// The exporter is known to the store before it has read anything, so that nothing is trimmed unread.
func TestRegistersAtOnce(t *testing.T) {
	r := newRig(t)
	var verbs []string
	r.store.set(func(verb string) error { verbs = append(verbs, verb); return nil })
	x := r.open()
	r.store.set(nil)
	r.close(x)
	registered, read := slices.Index(verbs, "Acknowledge done"), slices.Index(verbs, "Log")
	if registered < 0 || read < registered {
		t.Errorf("the store was asked for %q", verbs)
	}
}
