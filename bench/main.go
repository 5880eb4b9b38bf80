// Command bench measures counterfoil beside two other session libraries of Go in one run:
//
//	cd bench && go run .
//
// It prints, for each thing that a program does with a session, the least and the median time, the
// bytes and the allocations, each without what the harness itself costs, and whether the project's
// targets are met; then what GET /auth/check costs beside handlers that do nothing. See
// docs/benchmarks.md for how to read it.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"
)

// plan is how much to measure.
type plan struct {
	rounds     int
	round      time.Duration
	sessions   int
	httpRounds int
	httpRound  time.Duration
}

func main() {
	var p plan
	var load loader
	flag.IntVar(&p.rounds, "rounds", 20, "rounds of the table; 0: no table")
	flag.DurationVar(&p.round, "round", 25*time.Millisecond, "length of a round")
	flag.IntVar(&p.sessions, "sessions", 100_000, "live sessions on each side")
	flag.IntVar(&p.httpRounds, "http-rounds", 9, "rounds through HTTP; 0: none")
	flag.DurationVar(&p.httpRound, "http-round", 500*time.Millisecond, "length of a round through HTTP")
	flag.StringVar(&load.addr, "load", "", "be the load on this address, with the request from standard input (the program starts itself so)")
	flag.IntVar(&load.conns, "conns", 1, "with -load: connections")
	flag.Parse()

	run := p.run
	switch {
	case load.addr != "":
		load.length = p.httpRound
		run = load.run
	case flag.Arg(0) == "stores":
		run = stores(flag.Args()[1:])
	case flag.Arg(0) == "scale":
		run = scale(flag.Args()[1:])
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func (p plan) run() error {
	printMachine(os.Stdout)
	var goals []goal
	if p.rounds > 0 {
		t, err := p.table()
		if err != nil {
			return err
		}
		t.print(os.Stdout)
		goals = append(goals, t.goals()...)
	}
	if p.httpRounds > 0 {
		through, err := p.throughHTTP()
		if err != nil {
			return err
		}
		through.print(os.Stdout)
		goals = append(goals, through.goals()...)
	}
	printGoals(os.Stdout, goals)
	return nil
}
