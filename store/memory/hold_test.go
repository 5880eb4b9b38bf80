package memory

import (
	"crypto/rand"
	"slices"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
)

// BenchmarkHold reaps 100,000 of 200,000 sessions and reports how long one slice holds the lock that
// every sign-in takes: of a thousand the longest but one, and the longest.
func BenchmarkHold(b *testing.B) {
	clock := counterfoil.SystemClock()
	now := time.UnixMilli(1_800_000_000_123).UTC()
	var holds []time.Duration
	for b.Loop() {
		b.StopTimer()
		s := New(Options{})
		for i := range 200_000 {
			r := counterfoil.Record{Kind: counterfoil.KindBrowser, Created: now, Seen: now, IdleEnd: now, AbsoluteEnd: now.Add(time.Hour), Identity: make([]byte, 240)}
			rand.Read(r.ID[:])
			rand.Read(r.Subject[:])
			if i%2 == 0 {
				r.IdleEnd = r.AbsoluteEnd
			}
			if _, err := s.Create(b.Context(), &r, counterfoil.Creation{Entry: counterfoil.Entry{Kind: counterfoil.EntryCreated, Time: now}}); err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
		for i := range s.shards {
			for ids := range slices.Chunk(s.shards[i].expired(now.UnixMilli(), 1<<20), slice) {
				_, before := clock.Now()
				s.reapSlice(counterfoil.Reap{Before: now}, ids)
				_, after := clock.Now()
				holds = append(holds, after-before)
			}
		}
	}
	slices.Sort(holds)
	b.ReportMetric(float64(holds[len(holds)*999/1000])/1e3, "µs/hold-p99.9")
	b.ReportMetric(float64(holds[len(holds)-1])/1e3, "µs/hold-most")
}
