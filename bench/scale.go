package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil"
)

// scalePlan is how many sessions there are at once.
type scalePlan struct {
	sessions, expired int
	only              string
}

// scale is the command "scale": what very many sessions take, and what sweeping some of them costs
// the others.
func scale(args []string) func() error {
	var p scalePlan
	f := flag.NewFlagSet("scale", flag.ExitOnError)
	f.IntVar(&p.sessions, "sessions", 1_000_000, "live sessions")
	f.IntVar(&p.expired, "expired", 100_000, "of them are swept")
	f.StringVar(&p.only, "only", "", "memory, postgres or redis alone")
	f.Parse(args)
	return p.run
}

func (p scalePlan) run() error {
	printMachine(os.Stdout)
	if p.sessions < 10_000 || p.expired*2 > p.sessions {
		return errors.New("at least 10,000 sessions, and at most half of them expired")
	}
	var goals []goal
	for _, part := range []struct {
		name string
		run  func(io.Writer) ([]goal, error)
	}{{"memory", p.memory}, {"postgres", p.postgres}, {"redis", p.redis}} {
		if p.only != "" && p.only != part.name {
			continue
		}
		more, err := part.run(os.Stdout)
		if err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
		goals = append(goals, more...)
		debug.FreeOSMemory()
	}
	printGoals(os.Stdout, goals)
	return nil
}

// heap is what is allocated after a collection, and how much room its pages take.
func heap() (allocated, inUse float64) {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc), float64(m.HeapInuse)
}

// allocatedSince is how much more is now than at a moment before.
func allocatedSince(before float64) float64 {
	now, _ := heap()
	return now - before
}

// latencies are of calls of one sort.
type latencies []time.Duration

func (l latencies) at(share float64) time.Duration {
	return l[min(len(l)-1, int(share*float64(len(l))))]
}

func (l latencies) sort() { slices.Sort(l) }

func (l latencies) print(w io.Writer, what string) {
	fmt.Fprintf(w, "%-36s %8d calls  p50 %9v  p99 %9v  p99.9 %9v  most %9v\n", what, len(l),
		short(l.at(0.5)), short(l.at(0.99)), short(l.at(0.999)), short(l.at(1)))
}

func short(d time.Duration) time.Duration {
	if d > time.Millisecond {
		return d.Round(10 * time.Microsecond)
	}
	return d.Round(10 * time.Nanosecond)
}

// both are latencies with nothing else to do, and while something else was done.
type both struct{ alone, beside latencies }

// watch calls op over and over in some goroutines: while a piece of the work lasts, and in turn for
// half as long without it. pause is about how long a goroutine waits between two calls.
func watch(work func() (more bool, err error), goroutines int, pause time.Duration, op func(i int) error) (out both, err error) {
	clock := counterfoil.SystemClock()
	next := make([]int, goroutines) // each goes its own way, and on where it was
	for g := range next {
		next[g] = g * 15485863
	}
	during := func(into *latencies, piece func() error) error {
		var wg sync.WaitGroup
		var stop atomic.Bool
		lists, errs := make([]latencies, goroutines), make([]error, goroutines+1)
		for g := range lists {
			wg.Go(func() {
				for ; !stop.Load() && errs[g] == nil; next[g]++ {
					i := next[g]
					_, before := clock.Now()
					errs[g] = op(i)
					_, after := clock.Now()
					lists[g] = append(lists[g], after-before)
					if pause > 0 {
						time.Sleep(pause/2 + pause*time.Duration(i%16)/16) // not in step with the others
					}
				}
			})
		}
		errs[goroutines] = piece()
		stop.Store(true)
		wg.Wait()
		*into = append(*into, slices.Concat(lists...)...)
		return errors.Join(errs...)
	}
	for more := true; more; {
		var took time.Duration
		err := during(&out.beside, func() (err error) {
			_, start := clock.Now()
			for took < time.Second && more && err == nil {
				more, err = work()
				_, now := clock.Now()
				took = now - start
			}
			return err
		})
		if err == nil {
			err = during(&out.alone, func() error { time.Sleep(took / 2); return nil })
		}
		if err != nil {
			return both{}, err
		}
	}
	out.alone.sort()
	out.beside.sort()
	return out, nil
}

// reaping sweeps in batches with rests between them, as the manager does, and counts how many went.
func reaping(store counterfoil.Store, before time.Time, gone *int) func() (bool, error) {
	clock := counterfoil.SystemClock()
	return func() (bool, error) {
		_, start := clock.Now()
		done, err := store.Reap(context.Background(), counterfoil.Reap{Before: before, LogBefore: time.Unix(0, 0), Max: 500})
		_, end := clock.Now()
		*gone += done.Records
		time.Sleep(max(5*time.Millisecond, 4*(end-start)))
		return done.More, err
	}
}
