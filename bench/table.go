package main

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/counterfoil/counterfoil"
)

const (
	cycled    = 1024 // sessions that a row goes round
	perRound  = 8192 // sign-ins, and then sign-outs, in a round
	rowSignIn = "sign in"
)

// table is what the rows measured.
type table struct {
	floor, check *row
	rows         []*row
}

func (p plan) table() (*table, error) {
	m, stop, err := newManager()
	if err != nil {
		return nil, err
	}
	sides := []*side{newOurs(m, stop), newSCS(), newGorilla()}
	t := new(table)
	harness := &row{what: "harness", side: "-"}
	empty, v, nobody := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), newVisit(), withCookie("")
	harness.op = func(int) { v.serve(empty, nobody) }
	t.floor = floor(p.sessions)
	t.rows = []*row{harness, t.floor}
	for _, s := range sides {
		defer s.close()
		users, err := populate(s, p.sessions)
		if err != nil {
			return nil, err
		}
		if s.name == "counterfoil" {
			t.check = checkRow(m, users.plain)
			t.rows = append(t.rows, t.check)
		}
		t.rows = append(t.rows, rowsOf(s, users, harness)...)
	}
	return t, measure(t.rows, p.rounds, p.round)
}

// users are the Cookie headers of those sessions of a side that the rows go round.
type users struct{ plain, text, prefs, writing []string }

// populate signs n subjects in and gives some of them values.
func populate(s *side, n int) (u users, err error) {
	v := newVisit()
	sets := []*[]string{&u.plain, &u.text, &u.prefs, &u.writing}
	every := max(1, n/(len(sets)*cycled))
	for i := range n {
		cookie := s.newSession(v, fmt.Sprintf("user-%06d", i))
		set := sets[i/every%len(sets)]
		if i%every != 0 || len(*set) == cycled {
			continue
		}
		switch set {
		case &u.text, &u.writing:
			v.r.Header["Text"] = []string{"first"}
			v.serve(s.writeText, cookie)
		case &u.prefs:
			v.serve(s.setPrefs, cookie)
		default:
			v.serve(s.identity, cookie)
		}
		if line := v.setCookie(); line != "" { // the values stand in it, or it is merely sent again
			cookie = withCookie(line)
		}
		*set = append(*set, cookie)
	}
	for _, set := range sets {
		if len(*set) < cycled {
			return u, fmt.Errorf("%d sessions are too few; at least %d are needed", n, len(sets)*cycled)
		}
		for i, cookie := range *set { // side by side, as the floor's selectors: a server has just read them
			(*set)[i] = strings.Clone(cookie)
		}
	}
	return u, nil
}

func rowsOf(s *side, u users, harness *row) []*row {
	v := newVisit()
	round := func(what string, h http.Handler, cookies []string, want func(string) bool) *row {
		return &row{
			what: what, side: s.name, over: harness,
			prepare: func() error {
				*s.seen = ""
				if v.serve(h, cookies[0]); !want(*s.seen) {
					return fmt.Errorf("%s: %s: read %q", s.name, what, *s.seen)
				}
				return nil
			},
			op: func(i int) { v.serve(h, cookies[i%cycled]) },
		}
	}
	nobody := slices.Repeat([]string{withCookie("")}, cycled)
	none := func(got string) bool { return got == "" }
	some := func(got string) bool { return got != "" }
	write := &row{what: "write a string", side: s.name, over: harness}
	words, turn := [][]string{{"second"}, {"first"}}, 0
	write.op = func(int) {
		v.r.Header["Text"] = words[turn/cycled%2] // always another one than is stored
		v.serve(s.writeText, u.writing[turn%cycled])
		turn++
	}
	return append([]*row{
		round("no cookie", s.identity, nobody, none),
		round("identity", s.identity, u.plain, some),
		round("one string", s.readText, u.text, some),
		round("small struct", s.readPrefs, u.prefs, some),
		write,
	}, comeAndGo(s, harness)...)
}

// comeAndGo are the rows that begin and end sessions. What one of them does the other undoes,
// unmeasured, so that the number of sessions stays.
func comeAndGo(s *side, harness *row) []*row {
	v := newVisit()
	subjects, answers, cookies := make([][]string, perRound), make([][]string, perRound), []string{}
	for i := range subjects {
		subjects[i] = []string{fmt.Sprintf("guest-%06d", i)}
	}
	nobody := withCookie("")
	in := func(i int) {
		v.r.Header["Subject"] = subjects[i]
		v.serve(s.signIn, nobody)
		answers[i] = v.w.header["Set-Cookie"]
	}
	out := func(i int) { v.serve(s.signOut, cookies[i]) }
	carry := func() {
		cookies = cookies[:0]
		for _, lines := range answers {
			if lines != nil {
				cookies = append(cookies, withCookie(lines[len(lines)-1]))
			}
		}
		clear(answers)
	}
	signIn := &row{what: rowSignIn, side: s.name, over: harness, n: perRound, op: in}
	signIn.prepare = func() error {
		carry()
		for i := range cookies {
			out(i)
		}
		return nil
	}
	signOut := &row{what: "sign out", side: s.name, over: harness, n: perRound, op: out}
	signOut.prepare = func() error {
		must(signIn.prepare())
		for i := range perRound {
			in(i)
		}
		carry()
		return nil
	}
	return []*row{signIn, signOut}
}

// checkRow is Manager.Check by itself, without a handler.
func checkRow(m *counterfoil.Manager, cookies []string) *row {
	v := newVisit()
	return &row{what: "Check alone", side: "counterfoil", op: func(i int) {
		v.cookie[0] = cookies[i%cycled]
		if _, verdict := m.Check(&v.r); verdict != counterfoil.Valid {
			panic("a session is not valid any more")
		}
	}}
}

// floor is what no server can do without that keeps only hashes of its tokens: one SHA-256 and one
// look-up among as many sessions.
func floor(sessions int) *row {
	type id [16]byte
	known := make(map[id]*int, sessions)
	selectors := make([]id, cycled)
	for i := range sessions {
		var s id
		rand.Read(s[:])
		sum := sha256.Sum256(s[:])
		known[id(sum[:16])] = &i
		if i < cycled {
			selectors[i] = s
		}
	}
	return &row{what: "floor: SHA-256, map", side: "-", op: func(i int) {
		sum := sha256.Sum256(selectors[i%cycled][:])
		if known[id(sum[:16])] == nil {
			panic("not found")
		}
	}}
}

func (t *table) find(what, side string) *row {
	for _, r := range t.rows {
		if r.what == what && r.side == side {
			return r
		}
	}
	return nil
}
