package main

import (
	"fmt"
	"math"
	"net/http"
	"testing"
)

// Allocations do not depend on the machine, so they are the gate; times are only printed.
func TestAllocations(t *testing.T) {
	m, stop, err := newManager()
	if err != nil {
		t.Fatal(err)
	}
	s := newOurs(m, stop)
	t.Cleanup(s.close)
	v := newVisit()
	visitor, user := withCookie(""), s.newSession(v, "user-000001")
	v.r.Header["Text"] = []string{"first"}
	v.serve(s.writeText, user)
	v.serve(s.setPrefs, user)
	const runs = 15 // fewer than a subject may have sessions
	empty := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	allocs := func(do func()) float64 { // the least of some: what else the process does meanwhile is counted, too
		least := math.Inf(1)
		for turn := range 5 {
			v.r.Header["Subject"] = []string{fmt.Sprint("user-", turn)} // who has no session yet
			least = min(least, testing.AllocsPerRun(runs, do))
		}
		return least
	}
	harness := allocs(func() { v.serve(empty, visitor) })

	for _, row := range []struct {
		what   string
		h      http.Handler
		cookie string
		read   string
		most   float64
	}{
		{"no cookie", s.identity, visitor, "", 1},
		{"identity", s.identity, user, "user-000001", 1},
		{"one string", s.readText, user, "first", 3},
		{"small struct", s.readPrefs, user, "dark", 9},
		{"sign in", s.signIn, visitor, "", 32},
	} {
		t.Run(row.what, func(t *testing.T) {
			*s.seen = ""
			if n := allocs(func() { v.serve(row.h, row.cookie) }) - harness; n > row.most {
				t.Errorf("%v allocations over the harness; at most %v are allowed", n, row.most)
			}
			if *s.seen != row.read {
				t.Errorf("it read %q, not %q", *s.seen, row.read)
			}
		})
	}
	t.Run("check alone", func(t *testing.T) {
		check := checkRow(m, []string{user})
		if n := allocs(func() { check.op(0) }); n != 0 {
			t.Errorf("%v allocations; none is allowed", n)
		}
	})
}
