package main

import (
	"fmt"
	"math"
	"os"
	"slices"
	"testing"
)

// How often a server is asked does not depend on the machine, so it is the gate. A session that the
// node knows costs nothing, one that it does not know one statement, and what scs does in one or two
// round trips takes no more here. P31
func TestRoundTrips(t *testing.T) {
	most := map[string]map[string]float64{
		"postgres": {rowWarm: 0, rowCold: 1, rowCreate: 2, rowSave: 2, rowEnd: 2},
		"redis":    {rowWarm: 0, rowCold: 1, rowCreate: 1, rowSave: 2, rowEnd: 1},
	}
	p := storesPlan{reads: 64, writes: 8}
	parent := t.TempDir()
	if _, err := os.Stat("/dev/shm"); err == nil {
		parent = "/dev/shm" // in memory, where no disk makes it wait until polls are counted, too
	}
	for _, start := range []func(string) (*server, error){newPostgres, newRedis} {
		s, err := start(parent)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(s.name, func(t *testing.T) {
			both, err := s.open(s.way)
			if err != nil {
				t.Fatal(err)
			}
			defer both.close()
			rows, err := p.rows(both, cycled)
			if err != nil {
				t.Fatal(err)
			}
			table := make(storesTable, len(rows))
			for i, r := range rows {
				table[i] = measured{row: r, asked: math.Inf(1), trips: math.Inf(1)}
			}
			var faults []string
			for range 5 { // the least of some: what managers do in the background, at its own times, is counted, too
				again := slices.Clone(table)
				if err := p.count(s, again); err != nil {
					t.Fatal(err)
				}
				for i, r := range again {
					table[i].asked, table[i].trips = min(table[i].asked, r.asked), min(table[i].trips, r.trips)
				}
				faults = nil
				for what, trips := range most[s.name] {
					got := table.find(what, "counterfoil")
					if got.trips > trips {
						faults = append(faults, fmt.Sprintf("%s: %v round trips, at most %v are allowed", what, got.trips, trips))
					}
					if s.name == "postgres" && trips < 2 && got.asked > trips {
						faults = append(faults, fmt.Sprintf("%s: %v statements, at most %v are allowed", what, got.asked, trips))
					}
				}
				if faults == nil {
					return
				}
			}
			t.Error(faults)
		})
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	}
}
