package storetest

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/counterfoil/counterfoil"
)

func nodeProofs() []proof {
	return []proof{
		{"Poll/registers", "it also registers the node, counts its beat and takes its acknowledgement of the position p.Acked, which never goes back.", pollRegisters},
		{"Poll/clock", "the store's own clock at a Poll; zero: it has none", pollClock},
		{"Fence/shut-out", "Nodes returns the nodes that have polled, in any order, those that were fenced since included", fence},
		{"Fence/while-it-polls", "when it returns, every later Poll of that name gets ErrFenced.", fenceWhilePolling},
	}
}

func (f *fixture) poll(node string, acked uint64) counterfoil.Page {
	f.Helper()
	p, err := f.s.Poll(f.ctx, counterfoil.Poll{Node: node, Since: acked, Acked: acked, Max: 10})
	f.ok(err)
	return p
}

// nodes returns Nodes by name.
func (f *fixture) nodes() []counterfoil.Node {
	f.Helper()
	all, err := f.s.Nodes(f.ctx)
	f.ok(err)
	slices.SortFunc(all, func(a, b counterfoil.Node) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func pollRegisters(f *fixture) {
	for range 5 {
		f.signIn(newSubject())
	}
	f.same("nodes before any has polled", len(f.nodes()), 0)
	_, err := f.s.Poll(f.ctx, counterfoil.Poll{Node: "a"}) // max 0 registers too
	f.ok(err)
	f.same("Nodes", f.nodes(), []counterfoil.Node{{Name: "a", Beat: 1}})
	for _, acked := range []uint64{3, 2} {
		f.poll("a", acked)
	}
	f.poll("b", 5)
	_, err = f.s.Poll(f.ctx, counterfoil.Poll{Node: "b", Since: 99, Acked: 5, Max: 1})
	f.is(err, counterfoil.ErrGap) // is a beat as well
	f.same("Nodes", f.nodes(), []counterfoil.Node{{Name: "a", Acked: 3, Beat: 3}, {Name: "b", Acked: 5, Beat: 2}})
}

// A clock that is there goes on.
func pollClock(f *fixture) {
	first, second := f.poll("a", 0).Now, f.poll("a", 0).Now
	if first.IsZero() != second.IsZero() || second.Before(first) {
		f.Fatalf("the store's clock shows %v, then %v", first, second)
	}
}

func fence(f *fixture) {
	for range 2 {
		f.signIn(newSubject())
	}
	for _, node := range []string{"a", "b"} {
		f.poll(node, 1)
	}
	for range 2 { // again is the same
		f.ok(f.s.Fence(f.ctx, "a"))
		f.ok(f.s.Fence(f.ctx, "nobody"))
		for range 2 {
			p, err := f.s.Poll(f.ctx, counterfoil.Poll{Node: "a", Since: 1, Acked: 1, Max: 10})
			f.is(err, counterfoil.ErrFenced)
			f.same("a fenced node's page", len(p.Entries), 0)
		}
		all := f.nodes()
		f.same("how many have polled", len(all), 2)
		f.same("the fenced one", all[0].Fenced && all[0].Acked <= 1, true)
		f.same("the other one", all[1], counterfoil.Node{Name: "b", Acked: 1, Beat: 1})
	}
	f.same("another node's entries", len(f.poll("b", 1).Entries), 1)
	f.same("a new name's entries", len(f.poll("c", 0).Entries), 2)
}

// Nodes poll while they are fenced, one after the other.
func fenceWhilePolling(f *fixture) {
	const nodes = 6
	names := [nodes]string{"a", "b", "c", "d", "e", "f"}
	var fenced [nodes]atomic.Bool
	var wg sync.WaitGroup
	for i, name := range names {
		f.poll(name, 0)
		wg.Go(func() {
			for {
				late := fenced[i].Load()
				_, err := f.s.Poll(f.ctx, counterfoil.Poll{Node: name, Max: 1})
				switch {
				case errors.Is(err, counterfoil.ErrFenced):
					return
				case err != nil:
					f.Errorf("%s polls: %v", name, err)
					return
				case late:
					f.Errorf("%s polls, though its fence had returned", name)
					return
				}
			}
		})
	}
	for i, name := range names {
		if err := f.s.Fence(f.ctx, name); err != nil {
			f.Errorf("fencing %s: %v", name, err)
		}
		fenced[i].Store(true)
	}
	wg.Wait()
	for _, n := range f.nodes() {
		f.same("fenced", n.Fenced, true)
	}
}
