package memory

import (
	"context"
	"math"
	"runtime"

	"github.com/counterfoil/counterfoil"
)

// slice is how many records are ended, and about how many are looked at, under one lock.
const slice = 64

// Reap implements [counterfoil.Store]. It looks at every record, from where the last call stopped.
func (s *Store) Reap(ctx context.Context, r counterfoil.Reap) (counterfoil.Reaped, error) {
	var out counterfoil.Reaped
	s.mu.Lock()
	first := s.sweep
	s.mu.Unlock()
	for i := range s.shards {
		at := (first + i) % len(s.shards)
		due := s.shards[at].expired(r.Before.UnixMilli(), max(1, r.Max-out.Records+1))
		for len(due) > 0 {
			if err := s.enter(ctx); err != nil {
				return out, err
			}
			if out.Records >= r.Max {
				s.mu.Lock()
				s.sweep = at
				s.mu.Unlock()
				out.More = true
				break
			}
			n := min(slice, len(due), r.Max-out.Records)
			out.Records += s.reapSlice(r, due[:n])
			runtime.Gosched() // to whoever waits for the lock; else we had it again before he wakes
			due = due[n:]
		}
		if out.More {
			break
		}
	}
	for {
		if err := s.enter(ctx); err != nil {
			return out, err
		}
		n, more := s.trim(r)
		runtime.Gosched()
		out.Entries += n
		if !more {
			return out, nil
		}
	}
}

// reapSlice ends those of ids that are still due.
func (s *Store) reapSlice(r counterfoil.Reap, ids []counterfoil.ID) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	ch := s.begin(r.Before)
	before := r.Before.UnixMilli()
	due := func(r *record) bool { return !r.live(before) }
	for _, id := range ids {
		r := s.peek(id)
		if r == nil {
			continue
		}
		why := counterfoil.ReasonIdle
		if r.absoluteEnd <= before {
			why = counterfoil.ReasonAbsolute
		}
		ch.end(r, why, due, nil)
	}
	ch.publish()
	return ch.count
}

// trim forgets one slice of what every reader has acknowledged.
func (s *Store) trim(r counterfoil.Reap) (n int, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seq := uint64(math.MaxUint64)
	for _, acked := range s.readers {
		seq = min(seq, acked)
	}
	return s.log.trim(r.LogBefore, seq, slice)
}

// expired returns at most limit records that are not live. It lets go of the lock between slices.
func (sh *shard) expired(before int64, limit int) []counterfoil.ID {
	const step = slice / perHead
	var ids []counterfoil.ID
	for from, more := 0, true; more && len(ids) < limit; from += step {
		sh.mu.RLock()
		sh.recs.each(from, from+step, func(r *record) bool {
			if !r.live(before) {
				ids = append(ids, r.id)
			}
			return len(ids) < limit
		})
		more = from+step < len(sh.recs.heads)
		sh.mu.RUnlock()
	}
	return ids
}
