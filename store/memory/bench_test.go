package memory_test

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/storetest"
)

func BenchmarkStore(b *testing.B) {
	storetest.Bench(b, func(*testing.B) counterfoil.Store { return memory.New(memory.Options{}) })
}

// BenchmarkReap ends 100,000 of 100,000 sessions while another goroutine loads, and reports the
// longest load.
func BenchmarkReap(b *testing.B) {
	clock := counterfoil.SystemClock()
	now := time.UnixMilli(1_800_000_000_123).UTC()
	for b.Loop() {
		b.StopTimer()
		s := memory.New(memory.Options{})
		var live counterfoil.ID
		for i := range 100_000 {
			r := counterfoil.Record{Kind: counterfoil.KindVisit, Created: now, Seen: now, IdleEnd: now, AbsoluteEnd: now, Identity: make([]byte, 240)}
			rand.Read(r.ID[:])
			if i == 0 {
				live = r.ID
				r.IdleEnd, r.AbsoluteEnd = now.Add(time.Hour), now.Add(time.Hour)
			}
			if _, err := s.Create(b.Context(), &r, counterfoil.Creation{Entry: counterfoil.Entry{Kind: counterfoil.EntryCreated, Time: now}}); err != nil {
				b.Fatal(err)
			}
		}
		done, longest := make(chan struct{}), make(chan time.Duration)
		go func() {
			var most time.Duration
			for {
				select {
				case <-done:
					longest <- most
					return
				default:
				}
				_, before := clock.Now()
				s.Load(b.Context(), live)
				_, after := clock.Now()
				most = max(most, after-before)
			}
		}()
		b.StartTimer()
		for more := true; more; {
			out, err := s.Reap(b.Context(), counterfoil.Reap{Before: now, Max: 500})
			if err != nil {
				b.Fatal(err)
			}
			more = out.More
		}
		b.StopTimer()
		close(done)
		b.ReportMetric(float64(<-longest)/1e6, "ms/longest-load")
		b.StartTimer()
	}
}
