package memory_test

import (
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store/memory"
)

func heap() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// A record takes its sealed bytes and at most 180 more, every subject another, log not counted; and
// what ends gives its memory back. T23
func TestSize(t *testing.T) {
	const n, sealed = 140_000, 240 // just after the indexes have grown
	now := time.UnixMilli(1_800_000_000_123).UTC()
	rnd := rand.New(rand.NewPCG(1, 2))
	random16 := func() (b [16]byte) {
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		return b
	}
	s := memory.New(memory.Options{})
	empty := heap()
	rec := counterfoil.Record{
		Version: 1, Kind: counterfoil.KindBrowser, Created: now, Seen: now, IdleEnd: now.Add(time.Hour), AbsoluteEnd: now.Add(time.Hour),
		IdentityKey: 1, VerifierKey: 1, SelectorKey: 1, IdentityCount: 1, Identity: make([]byte, sealed),
	}
	for i := range n {
		rec.ID, rec.Subject = random16(), random16()
		op := random16()
		binary.BigEndian.PutUint64(op[:], uint64(now.UnixMilli())<<16+uint64(i)) // as a manager's: rising
		e := counterfoil.Entry{Kind: counterfoil.EntryCreated, Op: op, Reason: counterfoil.ReasonSignIn, Time: now}
		if _, err := s.Create(t.Context(), &rec, counterfoil.Creation{Entry: e}); err != nil {
			t.Fatal(err)
		}
	}
	withLog := heap() - empty
	reap := func(r counterfoil.Reap) {
		for more := true; more; {
			out, err := s.Reap(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			more = out.More
		}
	}
	reap(counterfoil.Reap{Before: now, LogBefore: now.Add(time.Second), Max: 1000})
	trimmed := heap() - empty
	t.Logf("a record takes %d bytes more than the %d sealed; its log entry %d", trimmed/n-sealed, sealed, (withLog-trimmed)/n)
	if trimmed/n > sealed+180 {
		t.Errorf("a record takes %d bytes more than are sealed", trimmed/n-sealed)
	}
	reap(counterfoil.Reap{Before: now.Add(time.Hour), LogBefore: now.Add(2 * time.Hour), Max: 1000})
	left := heap() - empty
	t.Logf("%d bytes a record are left after all have ended", left/n)
	if left/n > 8 {
		t.Errorf("%d bytes a record are left after all have ended", left/n)
	}
	runtime.KeepAlive(s)
}
