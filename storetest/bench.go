package storetest

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
)

// Bench measures the calls that requests make, each on a store with 10,000 sessions of 240 sealed
// bytes, every subject another. open returns an empty store each time; Bench closes it.
func Bench(b *testing.B, open func(b *testing.B) counterfoil.Store) {
	for _, c := range []struct {
		name string
		call func(b *testing.B, s counterfoil.Store, all []*counterfoil.Record)
	}{
		{"Create", benchCreate},
		{"Load", func(b *testing.B, s counterfoil.Store, all []*counterfoil.Record) {
			for i := 0; b.Loop(); i++ {
				if _, err := s.Load(b.Context(), all[i%len(all)].ID); err != nil {
					b.Fatal(err)
				}
			}
		}},
		{"Update", func(b *testing.B, s counterfoil.Store, all []*counterfoil.Record) {
			for i := 0; b.Loop(); i++ {
				if err := s.Update(b.Context(), all[i%len(all)], nil); err != nil {
					b.Fatal(err)
				}
			}
		}},
		{"UpdateChanged", func(b *testing.B, s counterfoil.Store, all []*counterfoil.Record) {
			for i := 0; b.Loop(); i++ {
				e := counterfoil.Entry{Kind: counterfoil.EntryChanged, Op: counterfoil.OpID(number(i)), Time: start()}
				if err := s.Update(b.Context(), all[i%len(all)], &e); err != nil {
					b.Fatal(err)
				}
			}
		}},
		{"Touch100", func(b *testing.B, s counterfoil.Store, all []*counterfoil.Record) {
			batch := make([]counterfoil.Touch, 100)
			for n := 0; b.Loop(); n++ {
				for i := range batch {
					at := start().Add(time.Duration(n) * time.Millisecond)
					batch[i] = counterfoil.Touch{ID: all[(n*len(batch)+i)%len(all)].ID, Seen: at, IdleEnd: at.Add(time.Hour)}
				}
				if err := s.Touch(b.Context(), batch); err != nil {
					b.Fatal(err)
				}
			}
		}},
		{"Revoke", benchRevoke},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := open(b)
			defer s.Close()
			all := make([]*counterfoil.Record, 10_000)
			for i := range all {
				all[i] = benchRecord(i)
				if _, err := s.Create(b.Context(), all[i], benchCreation(i)); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			c.call(b, s, all)
		})
	}
}

func benchCreate(b *testing.B, s counterfoil.Store, all []*counterfoil.Record) {
	for i := len(all); b.Loop(); i++ {
		if _, err := s.Create(b.Context(), benchRecord(i), benchCreation(i)); err != nil {
			b.Fatal(err)
		}
	}
}

// benchRevoke ends sessions and makes as many anew while the clock of the benchmark stands.
func benchRevoke(b *testing.B, s counterfoil.Store, all []*counterfoil.Record) {
	next := len(all)
	for i := 0; b.Loop(); i++ {
		if i == len(all) {
			b.StopTimer()
			for i = range all {
				all[i] = benchRecord(next)
				if _, err := s.Create(b.Context(), all[i], benchCreation(next)); err != nil {
					b.Fatal(err)
				}
				next++
			}
			i = 0
			b.StartTimer()
		}
		e := counterfoil.Entry{
			Kind: counterfoil.EntryEnded, Op: counterfoil.OpID(number(-i - next)),
			Session: all[i].ID, Reason: counterfoil.ReasonSignOut, Time: start(),
		}
		if rv, err := s.Revoke(b.Context(), e); err != nil || rv.Count == 0 {
			b.Fatal(rv, err)
		}
	}
}

// number returns 16 bytes that are spread as a hash is and differ for different i.
func number(i int) (out [16]byte) {
	binary.LittleEndian.PutUint64(out[:], uint64(i)*0x9e3779b97f4a7c15)
	binary.LittleEndian.PutUint64(out[8:], uint64(i))
	out[0] ^= out[7]
	return out
}

func benchRecord(i int) *counterfoil.Record {
	return record(counterfoil.SubjectHash(number(i)), func(r *counterfoil.Record) {
		r.ID, r.Identity = counterfoil.ID(number(i)), make([]byte, 240)
	})
}

func benchCreation(i int) counterfoil.Creation {
	c := creation(limit(20, counterfoil.EvictIdle))
	c.Entry.Op = counterfoil.OpID(number(i))
	return c
}
