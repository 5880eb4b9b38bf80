package registry_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store/internal/registry"
)

// What is remembered of the dead is bounded, and it is the oldest that is forgotten.
func TestFencedNamesAreBounded(t *testing.T) {
	var r registry.Registry
	name := func(i int) string { return fmt.Sprintf("node %d", i) }
	for i := range registry.MaxFenced + 1 {
		if err := r.Poll(name(i), 0); err != nil {
			t.Fatal(err)
		}
		r.Fence(name(i))
		r.Fence(name(i)) // again is the same
	}
	if n := r.Nodes(); len(n) != registry.MaxFenced || !n[0].Fenced {
		t.Errorf("%d nodes, the first %+v", len(n), n[0])
	}
	for _, i := range []int{1, registry.MaxFenced} {
		if err := r.Poll(name(i), 0); !errors.Is(err, counterfoil.ErrFenced) {
			t.Errorf("%s polls: %v", name(i), err)
		}
	}
	if err := r.Poll(name(0), 7); err != nil {
		t.Errorf("the forgotten one: %v", err)
	}
	if n := r.Nodes(); len(n) != registry.MaxFenced+1 || n[0] != (counterfoil.Node{Name: name(0), Acked: 7, Beat: 1}) {
		t.Errorf("it is %+v", n[0])
	}
}
