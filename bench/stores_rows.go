package main

import (
	"fmt"
	"slices"
	"sync"
)

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
