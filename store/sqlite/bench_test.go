package sqlite_test

import (
	"context"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store/internal/sample"
	"github.com/counterfoil/counterfoil/store/sqlite"
)

// filled is a store with n sessions.
func filled(b *testing.B, n int) (*sqlite.Store, []*counterfoil.Record) {
	b.Helper()
	s := open(b, temp(b))
	all := make([]*counterfoil.Record, n)
	work := make(chan int)
	done := make(chan error)
	for range 64 {
		go func() {
			var failed error
			for i := range work {
				all[i] = sample.Session(sample.Subject())
				if _, err := s.Create(context.Background(), all[i], sample.SignIn()); err != nil {
					failed = err
				}
			}
			done <- failed
		}()
	}
	for i := range n {
		work <- i
	}
	close(work)
	for range 64 {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	b.ReportAllocs()
	return s, all
}

func BenchmarkCreate(b *testing.B) {
	s, _ := filled(b, 1000)
	for b.Loop() {
		if _, err := s.Create(context.Background(), sample.Session(sample.Subject()), sample.SignIn()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCreateParallel shows what group commit brings: 128 sign in at once.
func BenchmarkCreateParallel(b *testing.B) {
	s, _ := filled(b, 1000)
	b.SetParallelism(64)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if _, err := s.Create(context.Background(), sample.Session(sample.Subject()), sample.SignIn()); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkLoad(b *testing.B) {
	s, all := filled(b, 10000)
	i := 0
	for b.Loop() {
		if _, err := s.Load(context.Background(), all[i%len(all)].ID); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

func BenchmarkLoadParallel(b *testing.B) {
	s, all := filled(b, 10000)
	b.RunParallel(func(p *testing.PB) {
		for i := 0; p.Next(); i++ {
			if _, err := s.Load(context.Background(), all[i%len(all)].ID); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkUpdate(b *testing.B) {
	s, all := filled(b, 1000)
	i := 0
	for b.Loop() {
		if err := s.Update(context.Background(), all[i%len(all)], &counterfoil.Entry{Op: sample.Op(), Reason: counterfoil.ReasonRotated, Time: sample.Noon()}); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

// BenchmarkTouch is for one session of a batch of 100.
func BenchmarkTouch(b *testing.B) {
	s, all := filled(b, 10000)
	batch := make([]counterfoil.Touch, 0, 100)
	i := 0
	for b.Loop() {
		at := sample.Noon().Add(time.Duration(i) * time.Millisecond)
		batch = append(batch, counterfoil.Touch{ID: all[i%len(all)].ID, Seen: at, IdleEnd: at.Add(2 * time.Hour)})
		if len(batch) == cap(batch) {
			if err := s.Touch(context.Background(), batch); err != nil {
				b.Fatal(err)
			}
			batch = batch[:0]
		}
		i++
	}
}

func BenchmarkRevoke(b *testing.B) {
	s, _ := filled(b, 1000)
	for b.Loop() {
		b.StopTimer()
		r := sample.Session(sample.Subject())
		if _, err := s.Create(context.Background(), r, sample.SignIn()); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if _, err := s.Revoke(context.Background(), sample.SignOut(r.ID)); err != nil {
			b.Fatal(err)
		}
	}
}
