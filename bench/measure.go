package main

import (
	"cmp"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/counterfoil/counterfoil"
)

// row is one thing that is measured on one side.
type row struct {
	what, side string
	over       *row // the harness, whose cost is subtracted; nil: none
	prepare    func() error
	op         func(i int)
	n          int // operations a round; 0: as many as fill one
	samples    []cost
}

// cost is of one operation. Its ns are processor time of the whole process, the collector's
// included: what a busy server pays, whoever else uses the machine. wall is the clock's.
type cost struct{ ns, wall, bytes, allocs float64 }

func (c cost) minus(o cost) cost {
	return cost{c.ns - o.ns, c.wall - o.wall, c.bytes - o.bytes, c.allocs - o.allocs}
}

// measure runs the rows in interleaved rounds, so that what drifts on the machine touches all alike. Each
// round begins with another row, and every other one goes backwards: what a row leaves behind, such as a
// processor that has just waited for a server, is not always the same row's to bear.
func measure(rows []*row, rounds int, length time.Duration) error {
	clock := counterfoil.SystemClock()
	for _, r := range rows {
		if err := r.warm(clock, length); err != nil {
			return err
		}
	}
	for round := range rounds {
		for i := range rows {
			at := (i + round) % len(rows)
			if round%2 == 1 {
				at = len(rows) - 1 - at
			}
			r := rows[at]
			c, err := r.run(clock)
			if err != nil {
				return err
			}
			r.samples = append(r.samples, c)
		}
	}
	return nil
}

// warm runs the row once and finds out how many operations fill a round.
func (r *row) warm(clock counterfoil.Clock, length time.Duration) error {
	if r.n > 0 {
		_, err := r.run(clock)
		return err
	}
	for r.n = cycled; ; r.n *= 2 {
		c, err := r.run(clock)
		if err != nil {
			return err
		}
		if took := c.ns * float64(r.n); took >= float64(length)/4 {
			r.n = max(cycled, int(float64(length)/c.ns))
			return nil
		}
	}
}

func (r *row) run(clock counterfoil.Clock) (cost, error) {
	if r.prepare != nil {
		if err := r.prepare(); err != nil {
			return cost{}, err
		}
	}
	runtime.GC() // as package testing does: no row pays for what another left behind
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, start := clock.Now()
	used := processorTime()
	for i := range r.n {
		r.op(i)
	}
	used = processorTime() - used
	_, end := clock.Now()
	runtime.ReadMemStats(&after)
	n := float64(r.n)
	return cost{
		ns:     float64(used) / n,
		wall:   float64(end-start) / n,
		bytes:  float64(after.TotalAlloc-before.TotalAlloc) / n,
		allocs: float64(after.Mallocs-before.Mallocs) / n,
	}, nil
}

// processorTime is what this process has used.
func processorTime() time.Duration {
	var u syscall.Rusage
	must(syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// least is what the operation costs when nothing disturbs it, without the harness.
func (r *row) least() cost {
	c := cost{
		ns:     slices.Min(column(r.samples, func(c cost) float64 { return c.ns })),
		wall:   slices.Min(column(r.samples, func(c cost) float64 { return c.wall })),
		bytes:  slices.Min(column(r.samples, func(c cost) float64 { return c.bytes })),
		allocs: slices.Min(column(r.samples, func(c cost) float64 { return c.allocs })),
	}
	if r.over != nil {
		c = c.minus(r.over.least())
	}
	return c
}

// middle is the median time, without the harness'.
func (r *row) middle() float64 {
	ns := median(column(r.samples, func(c cost) float64 { return c.ns }))
	if r.over != nil {
		ns -= r.over.middle()
	}
	return ns
}

func column[T any](list []T, f func(T) float64) []float64 {
	out := make([]float64, len(list))
	for i, v := range list {
		out[i] = f(v)
	}
	return out
}

func median[T cmp.Ordered](list []T) T {
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}
