package main

import (
	"fmt"
	"io"
)

// measured is what one row of a server's table says.
type measured struct {
	*row
	asked, trips float64 // statements or commands, and round trips, of one operation
}

type storesTable []measured

func (t storesTable) find(what, side string) *measured {
	for i := range t {
		if t[i].what == what && t[i].side == side {
			return &t[i]
		}
	}
	return nil
}

func (t storesTable) print(w io.Writer, s *server) {
	fmt.Fprintf(w, "%s\n%-12s %-12s %9s %9s %9s", s.about, "", "", "µs least", "median", "scs ÷ it")
	if s.asked != nil {
		fmt.Fprintf(w, " %10s %11s", s.words, "round trips")
	}
	fmt.Fprintln(w)
	for _, r := range t {
		fmt.Fprintf(w, "%-12s %-12s %9.2f %9.2f", r.what, r.side, r.least().wall/1e3, r.medianWall()/1e3)
		if peer := t.find(r.what, "scs"); peer != nil {
			fmt.Fprintf(w, " %9.2f", peer.least().wall/r.least().wall)
		} else {
			fmt.Fprintf(w, " %9s", "")
		}
		if s.asked != nil {
			fmt.Fprintf(w, " %10.2f %11.2f", r.asked, r.trips)
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w)
}

func (r *row) medianWall() float64 {
	return median(column(r.samples, func(c cost) float64 { return c.wall }))
}

func (t storesTable) goals(s *server) (goals []goal) {
	faster := func(what string) float64 {
		return t.find(what, "scs").least().wall / t.find(what, "counterfoil").least().wall
	}
	if s.alone {
		for _, what := range []string{rowCreate, rowSave, rowEnd} {
			goals = append(goals, atLeast(s.name+": "+what+" not slower than scs", faster(what), 1))
		}
		return goals
	}
	warm := t.find(rowWarm, "counterfoil")
	return append(goals,
		atMost(s.name+": a warm check asks nothing", warm.asked+warm.trips, 0),
		atMost(s.name+": a warm check ÷ in memory", warm.least().ns/t.find(rowWarm, "in memory").least().ns, 1.1),
		atLeast(s.name+": cold read not slower than scs", faster(rowCold), 1),
	)
}
