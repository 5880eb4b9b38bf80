package main

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net/http"

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
	empty, w := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), newWriter()
	visitor := newRequest("")
	harness.op = func(int) { serve(empty, w, visitor) }
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

// users are the requests of those sessions of a side that the rows go round.
type users struct{ plain, text, prefs, writing []*http.Request }

// populate signs n subjects in and gives some of them values.
func populate(s *side, n int) (u users, err error) {
	w := newWriter()
	sets := []*[]*http.Request{&u.plain, &u.text, &u.prefs, &u.writing}
	every := max(1, n/(len(sets)*cycled))
	for i := range n {
		line, err := s.newSession(w, fmt.Sprintf("user-%06d", i))
		if err != nil {
			return u, err
		}
		set := sets[i/every%len(sets)]
		if i%every != 0 || len(*set) == cycled {
			continue
		}
		r := newRequest(line)
		switch set {
		case &u.text, &u.writing:
			r.Header["Text"] = []string{"first"}
			serve(s.writeText, w, r)
		case &u.prefs:
			serve(s.setPrefs, w, r)
		}
		if line, err := s.line(w); err == nil { // the values stand in the cookie, or it is merely sent again
			text := r.Header["Text"]
			r = newRequest(line)
			r.Header["Text"] = text
		}
		*set = append(*set, r)
	}
	for _, set := range sets {
		if len(*set) < cycled {
			return u, fmt.Errorf("%d sessions are too few; at least %d are needed", n, len(sets)*cycled)
		}
	}
	return u, nil
}

func rowsOf(s *side, u users, harness *row) []*row {
	w := newWriter()
	round := func(what string, h http.Handler, rs []*http.Request, want func(string) bool) *row {
		return &row{
			what: what, side: s.name, over: harness,
			prepare: func() error {
				*s.seen = ""
				if serve(h, w, rs[0]); !want(*s.seen) {
					return fmt.Errorf("%s: %s: read %q", s.name, what, *s.seen)
				}
				return nil
			},
			op: func(i int) { serve(h, w, rs[i%cycled]) },
		}
	}
	nobody := make([]*http.Request, cycled)
	for i := range nobody {
		nobody[i] = newRequest("")
	}
	none := func(got string) bool { return got == "" }
	some := func(got string) bool { return got != "" }
	write := round("write a string", s.writeText, u.writing, none)
	turn := 0
	write.op = func(int) {
		r := u.writing[turn%cycled]
		r.Header["Text"][0] = [...]string{"second", "first"}[turn/cycled%2] // always another one than is stored
		turn++
		serve(s.writeText, w, r)
	}
	write.prepare = nil
	return append([]*row{
		round("no cookie", s.identity, nobody, none),
		round("identity", s.identity, u.plain, some),
		round("one string", s.readText, u.text, some),
		round("small struct", s.readPrefs, u.prefs, some),
		write,
	}, comeAndGo(s, harness)...)
}

// comeAndGo are the sign-ins of a round, and the sign-outs of the sessions that the same round began,
// so that the number of sessions stays.
func comeAndGo(s *side, harness *row) []*row {
	w := newWriter()
	in, out := make([]*http.Request, perRound), make([]*http.Request, perRound)
	answers := make([][]string, perRound)
	for i := range in {
		in[i] = newRequest("")
		in[i].Header.Set("Subject", fmt.Sprintf("guest-%06d", i))
	}
	leave := func() error {
		for i, lines := range answers {
			if len(lines) == 0 {
				return fmt.Errorf("%s: a sign-in sets no cookie", s.name)
			}
			out[i] = newRequest(lines[len(lines)-1])
		}
		return nil
	}
	signIn := &row{what: rowSignIn, side: s.name, over: harness, n: perRound}
	signIn.op = func(i int) {
		serve(s.signIn, w, in[i])
		answers[i] = w.header["Set-Cookie"]
	}
	signOut := &row{what: "sign out", side: s.name, over: harness, n: perRound, prepare: leave}
	signOut.op = func(i int) { serve(s.signOut, w, out[i]) }
	return []*row{signIn, signOut}
}

// checkRow is Manager.Check by itself, without a handler.
func checkRow(m *counterfoil.Manager, rs []*http.Request) *row {
	return &row{what: "Check alone", side: "counterfoil", op: func(i int) {
		if _, v := m.Check(rs[i%cycled]); v != counterfoil.Valid {
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
