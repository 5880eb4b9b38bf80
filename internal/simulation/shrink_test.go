package simulation

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// only returns the plan with the moves of these numbers, "1,2,3"; "": all.
func (p *plan) only(numbers string) *plan {
	if numbers == "" {
		return p
	}
	kept := strings.Split(numbers, ",")
	less := *p
	less.moves = slices.DeleteFunc(slices.Clone(p.moves), func(m move) bool { return !slices.Contains(kept, fmt.Sprint(m.n)) })
	return &less
}

// shrink leaves out whatever the plan breaks without: halves first, then less and less, down to single
// moves.
func shrink(p *plan, breaks func(*plan) bool) *plan {
	for size := max(len(p.moves)/2, 1); size > 0; {
		found := false
		for at := 0; at < len(p.moves); {
			less := *p
			less.moves = slices.Delete(slices.Clone(p.moves), at, min(at+size, len(p.moves)))
			if breaks(&less) {
				p, found = &less, true
			} else {
				at += size
			}
		}
		if !found || size > 1 {
			size /= 2
		}
	}
	return p
}

// It finds the moves that matter, and no others.
func TestShrink(t *testing.T) {
	p := newPlan(3, "ends")
	a, b := p.moves[7].n, p.moves[len(p.moves)-9].n
	has := func(p *plan, n uint64) bool {
		return slices.ContainsFunc(p.moves, func(m move) bool { return m.n == n })
	}
	least := shrink(p, func(p *plan) bool { return has(p, a) && has(p, b) })
	if len(least.moves) != 2 || !has(least, a) || !has(least, b) {
		t.Errorf("%d moves are left: %v", len(least.moves), least.moves)
	}
	if again := p.only(fmt.Sprintf("%d,%d", a, b)); !slices.Equal(again.moves, least.moves) {
		t.Errorf("the same by number: %v", again.moves)
	}
}
