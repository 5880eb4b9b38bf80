package memory

import (
	"sort"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil"
)

// journal is the ordered log. Only the holder of Store.mu appends and trims, so such a holder reads
// without a lock; mu guards readers.
type journal struct {
	mu          sync.RWMutex
	incarnation string
	floor, head uint64
	base        uint64                // entries before chunks[0]
	chunks      [][]counterfoil.Entry // full but for the last

	// What only the holder of Store.mu uses:
	ops      tables[counterfoil.OpID, uint64] // position of the entry with that operation
	outcomes table[uint64, counterfoil.Revoked]
	bulk     []uint64 // positions of the ended-subject and ended-all entries, rising
}

const chunkLen = 256

// publish appends entries that have their Seq already, all at once.
func (j *journal) publish(entries []counterfoil.Entry) {
	if len(entries) == 0 {
		return
	}
	for i := range entries {
		e := &entries[i]
		if e.Op != (counterfoil.OpID{}) {
			j.ops.set(e.Op, e.Seq)
		}
		if e.Kind == counterfoil.EntryEndedSubject || e.Kind == counterfoil.EntryEndedAll {
			j.bulk = append(j.bulk, e.Seq)
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range entries {
		last := len(j.chunks) - 1
		if last < 0 || len(j.chunks[last]) == chunkLen {
			j.chunks = append(j.chunks, make([]counterfoil.Entry, 0, chunkLen))
			last++
		}
		j.chunks[last] = append(j.chunks[last], e)
	}
	j.head += uint64(len(entries))
}

// at returns the entry at a position above the floor.
func (j *journal) at(seq uint64) *counterfoil.Entry {
	i := seq - j.base - 1
	return &j.chunks[i/chunkLen][i%chunkLen]
}

// find returns the entry of an operation that is still in the log, or nil.
func (j *journal) find(op counterfoil.OpID) *counterfoil.Entry {
	if seq := j.ops.get(op); seq != 0 {
		return j.at(seq)
	}
	return nil
}

// covered reports whether an end of a subject or of all from since on covers r, or cannot be ruled out.
func (j *journal) covered(since uint64, r *counterfoil.Record) bool {
	if since <= j.floor || since > j.head+1 {
		return true
	}
	i := sort.Search(len(j.bulk), func(i int) bool { return j.bulk[i] >= since })
	for _, seq := range j.bulk[i:] {
		if j.at(seq).Ends(r) {
			return true
		}
	}
	return false
}

// page reads as Store.Log does.
func (j *journal) page(since uint64, limit int) (counterfoil.Page, error) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	p := counterfoil.Page{Incarnation: j.incarnation, Head: j.head, Floor: j.floor}
	if limit <= 0 {
		return p, nil
	}
	if since < j.floor || since > j.head {
		return p, counterfoil.ErrGap
	}
	n := min(uint64(limit), j.head-since)
	if n == 0 {
		return p, nil
	}
	p.Entries = make([]counterfoil.Entry, n)
	for i := range p.Entries {
		p.Entries[i] = cloneEntry(j.at(since + 1 + uint64(i)))
	}
	return p, nil
}

// trim forgets at most limit entries up to seq that are older than before.
func (j *journal) trim(before time.Time, seq uint64, limit int) (n int, more bool) {
	for j.floor < min(seq, j.head) {
		e := j.at(j.floor + 1)
		if !e.Time.Before(before) {
			return n, false
		}
		if n == limit {
			return n, true
		}
		n++
		j.forget(e)
	}
	return n, false
}

func (j *journal) forget(e *counterfoil.Entry) {
	seq := e.Seq
	if e.Op != (counterfoil.OpID{}) && j.ops.get(e.Op) == seq {
		j.ops.remove(e.Op)
		j.outcomes.remove(seq)
	}
	if len(j.bulk) > 0 && j.bulk[0] == seq {
		j.bulk = j.bulk[1:]
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.floor = seq
	*e = counterfoil.Entry{}
	if j.floor-j.base == chunkLen {
		j.chunks[0] = nil
		j.chunks = j.chunks[1:]
		j.base += chunkLen
	}
}
