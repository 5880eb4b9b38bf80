package memory

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
)

// An operation is found as long as its entry is in the log and not after, in whatever order operations
// began, for some were long under way and clocks go back.
func TestOperations(t *testing.T) {
	var j journal
	rnd := rand.New(rand.NewPCG(7, 8))
	now := time.UnixMilli(1_800_000_000_000).UTC()
	clock := uint64(now.UnixMilli())
	fresh := func() (op counterfoil.OpID) {
		at := clock
		if rnd.IntN(20) == 0 {
			at -= rnd.Uint64N(5000)
		}
		for i := range 6 {
			op[i] = byte(at >> (40 - 8*i))
		}
		for i := 6; i < len(op); i++ {
			op[i] = byte(rnd.Uint32())
		}
		return op
	}
	var ops []counterfoil.OpID // of the entries, from position 1
	for step := range 30_000 {
		switch rnd.IntN(1000) {
		case 0:
			clock -= 3000
		default:
			clock += rnd.Uint64N(3)
		}
		op := fresh()
		if rnd.IntN(50) == 0 {
			op = counterfoil.OpID{}
		}
		if _, ok := j.find(op); ok {
			t.Fatalf("step %d: an operation is found that was never written", step)
		}
		e := counterfoil.Entry{Seq: j.head + 1, Op: op, Time: now}
		j.write(&e)
		j.publish(e.Seq)
		ops = append(ops, op)
		if rnd.IntN(3) == 0 {
			j.trim(now.Add(time.Second), j.head-min(j.head, 2000), 2)
		}
		seq := j.head - rnd.Uint64N(min(j.head, 4000))
		want := ops[seq-1]
		got, ok := j.find(want)
		if inLog := seq > j.floor && want != (counterfoil.OpID{}); ok != inLog || ok && (got.Seq != seq || got.Op != want) {
			t.Fatalf("step %d: entry %d of a log from %d to %d: found %v at %d", step, seq, j.floor+1, j.head, ok, got.Seq)
		}
	}
	if j.floor == 0 {
		t.Error("nothing was trimmed")
	}
}
