package main

import (
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/keyring"
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
	f.IntVar(&p.rounds, "rounds", 10, "rounds")
	f.IntVar(&p.sessions, "sessions", 10_000, "live sessions on each side")
	f.IntVar(&p.reads, "reads", 1000, "cold reads in a round")
	f.IntVar(&p.writes, "writes", 100, "sign-ins, saves and sign-outs in a round")
	f.StringVar(&p.only, "only", "", "postgres, redis or sqlite alone")
	f.Parse(args)
	return p.run
}

func (p storesPlan) run() error {
	printMachine(os.Stdout)
	var goals []goal
	for _, kind := range []func() (*server, error){newPostgres, newRedis, newSQLite} {
		s, err := kind()
		if err != nil {
			return err
		}
		if p.only == "" || p.only == s.name {
			var more []goal
			more, err = p.measure(s)
			goals = append(goals, more...)
		}
		if err = errors.Join(err, s.stop()); err != nil {
			return err
		}
	}
	printGoals(os.Stdout, goals)
	return nil
}

// pair is both sides on one server, and what the first one is compared with besides.
type pair struct {
	warm, cold *side // Counterfoil, with a near cache and without one
	peer       *side
	memory     *side
}

func (p *pair) close() {
	for _, s := range []*side{p.cold, p.warm, p.peer, p.memory} {
		s.close()
	}
}

// open puts both sides on a server. way is how to reach it.
func (s *server) open(way string) (*pair, error) {
	if s.keys == nil { // all on one server have the same
		now, _ := counterfoil.SystemClock().Now()
		keys, err := keyring.Generate(now, rand.Reader)
		if err != nil {
			return nil, err
		}
		s.keys = keys
	}
	lease := 5 * time.Second
	if way != s.way { // listened to: polls would be counted, too
		lease = time.Minute
	}
	on := func(cacheBytes int64) (*side, error) {
		store, err := s.ours(way)
		if err != nil {
			return nil, err
		}
		m, stop, err := managerOn(store, counterfoil.Config{Keys: s.keys, CacheBytes: cacheBytes, Lease: lease})
		if err != nil {
			return nil, err
		}
		return newOurs(m, stop), nil
	}
	var p pair
	var err error
	if p.warm, err = on(0); err != nil {
		return nil, err
	}
	if s.alone { // one process, one manager: what is cold there is opened once more elsewhere
		p.cold = &side{close: func() {}}
	} else if p.cold, err = on(-1); err != nil {
		return nil, err
	}
	if p.peer, err = s.peer(way); err != nil {
		return nil, err
	}
	m, stop, err := newManager()
	if err != nil {
		return nil, err
	}
	p.memory = newOurs(m, stop)
	return &p, nil
}

// measured is what one row of a server's table says.
type measured struct {
	*row
	asked, trips float64 // statements or commands, and round trips, of one operation
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

// rows are what is measured on a server, in the order of printing.
func (p storesPlan) rows(both *pair, sessions int) (rows []*row, err error) {
	cookies := map[*side][]string{}
	for _, s := range []*side{both.warm, both.peer, both.memory} {
		if cookies[s], err = manySessions(s, sessions); err != nil {
			return nil, err
		}
	}
	cookies[both.cold] = cookies[both.warm]
	read := func(what, name string, s *side, n int) {
		v := newVisit()
		rows = append(rows, &row{what: what, side: name, n: n,
			prepare: func() error {
				for _, cookie := range cookies[s][:cycled] {
					if *s.seen = ""; n > 1<<12 { // only what is warm stays so
						v.serve(s.identity, cookie)
					}
				}
				if v.serve(s.identity, cookies[s][0]); *s.seen == "" {
					return fmt.Errorf("%s: %s: nobody is signed in", name, what)
				}
				return nil
			},
			op: func(i int) { v.serve(s.identity, cookies[s][i%cycled]) },
		})
	}
	if both.cold.identity != nil {
		read(rowCold, "counterfoil", both.cold, p.reads)
	}
	read(rowCold, "scs", both.peer, p.reads)
	read(rowWarm, "counterfoil", both.warm, 20*p.reads)
	read(rowWarm, "in memory", both.memory, 20*p.reads)
	for _, s := range []*side{both.warm, both.peer} {
		rows = append(rows, p.writing(s, cookies[s])...)
	}
	slices.SortStableFunc(rows, func(a, b *row) int { return slices.Index(order, a.what) - slices.Index(order, b.what) })
	return rows, nil
}

const (
	rowCold   = "read, cold"
	rowWarm   = "read, warm"
	rowCreate = "create"
	rowSave   = "save"
	rowEnd    = "end"
)

var order = []string{rowCold, rowWarm, rowCreate, rowSave, rowEnd}

// writing are the rows that change something. What is signed in for them is signed out, unmeasured.
func (p storesPlan) writing(s *side, users []string) []*row {
	v, nobody, turn := newVisit(), withCookie(""), 0
	lines := make([]string, p.writes)
	in := func(i int) {
		v.r.Header["Subject"] = []string{fmt.Sprintf("guest-%06d", i)}
		v.serve(s.signIn, nobody)
		lines[i] = v.setCookie()
	}
	out := func(i int) {
		if lines[i] != "" {
			v.serve(s.signOut, withCookie(lines[i]))
			lines[i] = ""
		}
	}
	each := func(do func(int)) func() error {
		return func() error {
			for i := range lines {
				do(i)
			}
			return nil
		}
	}
	return []*row{
		{what: rowCreate, side: s.name, n: p.writes, prepare: each(out), op: in},
		{what: rowSave, side: s.name, n: p.writes, op: func(i int) {
			turn++
			v.r.Header["Text"] = []string{fmt.Sprintf("text %d", turn)}
			v.serve(s.writeText, users[turn%cycled])
		}},
		{what: rowEnd, side: s.name, n: p.writes, op: out, prepare: each(func(i int) { out(i); in(i) })},
	}
}

// manySessions signs n subjects in, several at once, and returns the Cookie headers of some.
func manySessions(s *side, n int) ([]string, error) {
	if n < cycled {
		return nil, fmt.Errorf("%d sessions are too few; at least %d are needed", n, cycled)
	}
	all := make([]string, n)
	var wg sync.WaitGroup
	const workers = 16
	for w := range workers {
		wg.Go(func() {
			v := newVisit()
			for i := w; i < n; i += workers {
				all[i] = s.newSession(v, fmt.Sprintf("user-%06d", i))
			}
		})
	}
	wg.Wait()
	return all[:cycled], nil
}

// count finds out what the rows ask of the server, on connections of their own that are listened to.
func (p storesPlan) count(s *server, t storesTable) error {
	tap, err := newTap(s)
	if err != nil {
		return err
	}
	defer tap.close()
	both, err := s.open(tap.way)
	if err != nil {
		return err
	}
	defer both.close()
	rows, err := p.rows(both, cycled)
	if err != nil {
		return err
	}
	for i, r := range rows {
		for turn := range 3 { // the first time prepares statements and opens connections
			if r.prepare != nil {
				if err := r.prepare(); err != nil {
					return err
				}
			}
			trips := tap.trips.Load()
			asked, err := s.asked()
			if err != nil {
				return err
			}
			for i := range r.n {
				r.op(i)
			}
			now, err := s.asked()
			if err != nil {
				return err
			}
			asked, took := (now-asked)/float64(r.n), float64(tap.trips.Load()-trips)/float64(r.n)
			if turn < 2 || took < t[i].trips { // a poll may have come in between
				t[i].asked, t[i].trips = asked, took
			}
		}
	}
	return nil
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
