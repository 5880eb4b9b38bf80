package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/counterfoil/counterfoil"
)

// storesPlan is how much is measured of sessions in PostgreSQL, in Redis and in SQLite.
type storesPlan struct {
	rounds, sessions, reads, writes int
	only                            string
}

// stores is the command "stores": Counterfoil and scs on the same servers, which it starts itself.
func stores(args []string) func() error {
	var p storesPlan
	f := flag.NewFlagSet("stores", flag.ExitOnError)
	f.IntVar(&p.rounds, "rounds", 40, "rounds")
	f.IntVar(&p.sessions, "sessions", 10_000, "live sessions on each side")
	f.IntVar(&p.reads, "reads", 500, "cold reads in a round")
	f.IntVar(&p.writes, "writes", 50, "sign-ins, saves and sign-outs in a round")
	f.StringVar(&p.only, "only", "", "postgres, redis or sqlite alone")
	f.Parse(args)
	return p.run
}

func (p storesPlan) run() error {
	printMachine(os.Stdout)
	var goals []goal
	for _, kind := range []struct {
		name  string
		start func(parent string) (*server, error)
	}{{"postgres", newPostgres}, {"redis", newRedis}, {"sqlite", newSQLite}} {
		if p.only != "" && p.only != kind.name {
			continue
		}
		s, err := kind.start("") // on the disk
		if err != nil {
			return err
		}
		more, err := p.measure(s)
		if err = errors.Join(err, s.stop()); err != nil {
			return err
		}
		goals = append(goals, more...)
	}
	printGoals(os.Stdout, goals)
	return nil
}

func (p storesPlan) measure(s *server) ([]goal, error) {
	both, err := s.open(s.way)
	if err != nil {
		return nil, err
	}
	defer both.close()
	rows, err := p.rows(both, p.sessions)
	if err != nil {
		return nil, err
	}
	if err := measure(rows, p.rounds, 0); err != nil {
		return nil, err
	}
	t := make(storesTable, len(rows))
	for i, r := range rows {
		t[i].row = r
	}
	if s.asked != nil {
		if err := p.count(s, t); err != nil {
			return nil, err
		}
	}
	t.print(os.Stdout, s)
	if err := signInRates(os.Stdout, s, both); err != nil {
		return nil, err
	}
	return t.goals(s), nil
}

// signInRates lets many sign in at once.
func signInRates(w io.Writer, s *server, both *pair) error {
	clock := counterfoil.SystemClock()
	fmt.Fprintf(w, "%-12s %-12s %9s\n", "at once", "", "sign-ins/s")
	for _, n := range []int{1, 8, 64} {
		for _, s := range []*side{both.warm, both.peer} {
			var rates []float64
			for range 3 {
				each := max(8, 1024/n)
				cookies := make([][]string, n)
				_, start := clock.Now()
				var wg sync.WaitGroup
				for g := range n {
					wg.Go(func() {
						v := newVisit()
						for i := range each {
							cookies[g] = append(cookies[g], s.newSession(v, fmt.Sprintf("crowd-%d-%d", g, i)))
						}
					})
				}
				wg.Wait()
				_, end := clock.Now()
				rates = append(rates, float64(n*each)/(end-start).Seconds())
				v := newVisit()
				for _, list := range cookies {
					for _, cookie := range list {
						v.serve(s.signOut, cookie)
					}
				}
			}
			fmt.Fprintf(w, "%-12d %-12s %9.0f\n", n, s.name, median(rates))
		}
	}
	fmt.Fprintln(w)
	return nil
}
