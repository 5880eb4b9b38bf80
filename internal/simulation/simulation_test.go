// Package simulation runs real managers on simulated machines, network, clocks and store, by schedules
// that follow from a seed, and judges every answer. See docs/simulation.md.
package simulation

import (
	"crypto/rand"
	"flag"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/keyring"
)

var (
	firstSeed = flag.Uint64("seed", 0, "the first schedule")
	howMany   = flag.Int("runs", 2000, "how many schedules")
	goOn      = flag.Bool("all", false, "go on after a schedule that breaks something, and say how many do")
	about     = flag.String("about", "", "only schedules about: ends, expiry or rotation")
	shorten   = flag.Bool("shrink", true, "leave out of a schedule that breaks something whatever it breaks without")
	keep      = flag.String("keep", "", "only the moves of these numbers, as a failure prints them")
)

// On every schedule: nobody gets in after the bound, after an end was acknowledged on that node, after
// a wait for it was over, with a retired token, or when time is up; no write brings a session back;
// reads show what was acknowledged; nobody whose session lives is turned away; what a 503 leaves alone
// stays alone; and once all is well again everybody's session works on every node. R9–R12, R16–R21
func TestG2Simulation(t *testing.T) { // G5, G9
	keys := newKeys(t)
	r := &round{runs: *howMany, seen: tally{}, began: bubbleTime()}
	t.Run("schedules", func(t *testing.T) {
		for i := range runtime.GOMAXPROCS(0) {
			t.Run(fmt.Sprint("worker ", i), func(t *testing.T) {
				t.Parallel()
				for n, more := r.next(t); more; n, more = r.next(t) {
					p := newPlan(*firstSeed+uint64(n), *about).only(*keep)
					seen := tally{}
					broken := simulate(t, keys, p, variant{}, seen, nil)
					r.add(seen, broken)
					switch {
					case broken != "" && *goOn:
						t.Errorf("seed %d: %s", p.seed, broken)
					case broken != "":
						explain(t, keys, p, broken)
					}
				}
			})
		}
	})
	r.say(t)
	for _, what := range slices.Sorted(maps.Keys(r.seen)) {
		t.Logf("%8d %s", r.seen[what], what)
	}
	runs, seen := r.runs, r.seen
	if *about+*keep != "" || t.Failed() || runs < 500 {
		return
	}
	for what, atLeast := range floors {
		if seen[what]*1000 < atLeast*runs {
			t.Errorf("%s: only %d in %d schedules; they show too little", what, seen[what], runs)
		}
	}
}

// floors are how often what the schedules are there for happens, in a thousand of them at least.
var floors = map[string]int{
	"admits": 30_000, "invalid": 30_000, "unknown": 8000, "ended": 1500, "admits after an end": 1000, "admits near the bound": 15,
	"steps": 300, "suspensions": 150, "stops": 350, "crashes": 130, "fail-overs": 250, "losses": 80, "alarms": 600, "outages": 120,
	"confirmed": 80, "settled": 80, "replays": 40, "expired": 90, "waits": 230, "shut out": 60, "values": 3500, "probes": 5000,
	"hints": 5000, "streams told": 800,
}

// round is one run of the test: workers share it.
type round struct {
	runs  int
	began time.Time

	mu     sync.Mutex
	begun  int
	broken int
	seen   tally
}

// next returns the number of the next schedule. Long rounds say now and then how far they are.
func (r *round) next(t *testing.T) (n int, more bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.begun >= r.runs || r.broken > 0 && !*goOn {
		return 0, false
	}
	r.begun++
	if r.begun%5000 == 0 && r.begun < r.runs {
		t.Log(r.state())
	}
	return r.begun - 1, true
}

func (r *round) add(seen tally, broken string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen.add(seen)
	if broken != "" {
		r.broken++
	}
}

func (r *round) say(t *testing.T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t.Log(r.state())
}

// state says what was done so far; r is locked.
func (r *round) state() string {
	return fmt.Sprintf("%d of %d schedules from seed %d in %v: %d admissions and %d refusals judged, %d schedules broke something",
		r.seen["runs"], r.runs, *firstSeed, bubbleTime().Sub(r.began).Round(time.Second), r.seen["admits"], r.seen["invalid"], r.broken)
}

func newKeys(t *testing.T) *keyring.Ring {
	t.Helper()
	keys, err := keyring.Generate(time.Unix(1_900_000_000, 0), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// explain prints the shortest schedule that can be found in which something breaks, move by move.
func explain(t *testing.T, keys *keyring.Ring, p *plan, broken string) {
	t.Errorf("seed %d: %s", p.seed, broken)
	if !*shorten {
		return
	}
	least := shrink(p, func(p *plan) bool { return simulate(t, keys, p, variant{}, tally{}, nil) != "" })
	var lines, kept []string
	simulate(t, keys, least, variant{}, tally{}, &lines)
	for _, m := range least.moves {
		kept = append(kept, fmt.Sprint(m.n))
	}
	t.Logf("of %d moves these %d do it:\n%s", len(p.moves), len(least.moves), strings.Join(lines, "\n"))
	t.Logf("again: go test ./internal/simulation -run Simulation -v -seed %d -runs 1 -about %q -keep %s", p.seed, *about, strings.Join(kept, ","))
}

// Schedules that found faults which no other test shows: a node gave up its name of before a fail-over
// when its streams knew all that it had read, though its next name was not in the store yet.
func TestG2SchedulesThatFoundFaults(t *testing.T) { // R17
	keys := newKeys(t)
	for _, seed := range []uint64{2076389} {
		if broken := simulate(t, keys, newPlan(seed, ""), variant{}, tally{}, nil); broken != "" {
			t.Errorf("seed %d: %s", seed, broken)
		}
	}
}

// The same schedule is the same run, to the last line.
func TestSchedulesRepeat(t *testing.T) {
	keys := newKeys(t)
	for seed := range uint64(40) {
		var first, second []string
		p := newPlan(seed, "")
		simulate(t, keys, p, variant{}, tally{}, &first)
		simulate(t, keys, p, variant{}, tally{}, &second)
		for i := range first {
			if i >= len(second) || first[i] != second[i] {
				t.Fatalf("seed %d: line %d was\n%s\nand is\n%s", seed, i, first[i], strings.Join(second[min(i, len(second)):min(i+1, len(second))], ""))
			}
		}
		if len(first) != len(second) || len(first) < 20 {
			t.Errorf("seed %d: %d lines, then %d", seed, len(first), len(second))
		}
	}
}
