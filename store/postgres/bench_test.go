package postgres_test

import (
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store/internal/sample"
)

// BenchmarkCalls measures the calls one after the other, each behind the last one's commit.
func BenchmarkCalls(b *testing.B) {
	s := open(b, empty(b))
	last := sample.Session(sample.Subject())
	for _, c := range []struct {
		name string
		call func(b *testing.B) error
	}{
		{"Create", func(b *testing.B) error {
			last = sample.Session(sample.Subject())
			_, err := s.Create(b.Context(), last, sample.SignIn())
			return err
		}},
		{"Load", func(b *testing.B) error { _, err := s.Load(b.Context(), last.ID); return err }},
		{"Update", func(b *testing.B) error { return s.Update(b.Context(), last, nil) }},
		{"Touch", func(b *testing.B) error {
			return s.Touch(b.Context(), []counterfoil.Touch{{ID: last.ID, Seen: sample.Noon().Add(time.Second), IdleEnd: sample.Noon()}})
		}},
		{"Poll", func(b *testing.B) error {
			_, err := s.Poll(b.Context(), counterfoil.Poll{Node: "a", Max: 1})
			return err
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				if err := c.call(b); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
