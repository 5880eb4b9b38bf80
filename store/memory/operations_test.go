package memory

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/counterfoil/counterfoil"
)

// The table of operations against a map, while it grows and shrinks; several entries may have the same.
func TestOperations(t *testing.T) {
	var table operations
	model := map[counterfoil.OpID][]uint64{}
	rnd := rand.New(rand.NewPCG(7, 8))
	op := func(n int) (op counterfoil.OpID) {
		binary.BigEndian.PutUint64(op[:], uint64(n))
		return op
	}
	entries := 0
	for step := range 400_000 {
		o := op(rnd.IntN(20_000))
		switch growing := step/100_000%2 == 0; {
		case (rnd.IntN(10) == 0) != growing:
			seq := uint64(step + 1)
			table.add(o, seq)
			model[o] = append(model[o], seq)
			entries++
		case len(model[o]) > 0:
			table.remove(o, model[o][0])
			model[o] = model[o][1:]
			entries--
		}
		if got := slices.Sorted(table.at(o)); !slices.Equal(got, model[o]) {
			t.Fatalf("step %d: %d are found at %v, want %v", step, len(got), got, model[o])
		}
	}
	slots := 0
	for i := range table {
		slots += len(table[i].slots)
	}
	if slots > 8*entries+256*fewestSlots {
		t.Errorf("%d slots for %d entries", slots, entries)
	}
}
