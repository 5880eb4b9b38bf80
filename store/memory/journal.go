package memory

import (
	"bytes"
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
	base        uint64   // entries before chunks[0]
	chunks      []*chunk // full but for the last

	// What only the holder of Store.mu uses:
	outcomes table[uint64, counterfoil.Revoked]
	bulk     []uint64 // positions of the ended-subject and ended-all entries, rising
}

// write adds an entry that has its Seq already; nobody sees it before it is published.
func (j *journal) write(e *counterfoil.Entry) {
	if e.Kind == counterfoil.EntryEndedSubject || e.Kind == counterfoil.EntryEndedAll {
		j.bulk = append(j.bulk, e.Seq)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	var last *chunk
	if n := len(j.chunks); n > 0 {
		last = j.chunks[n-1]
	}
	if last == nil || last.full() {
		last = newChunk(last)
		j.chunks = append(j.chunks, last)
	}
	last.add(e)
}

// publish shows readers what was written, up to head.
func (j *journal) publish(head uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.head = head
}

// at returns the entry at a position above the floor. It shares its detail with the journal.
func (j *journal) at(seq uint64) counterfoil.Entry {
	c, i := j.place(seq)
	return line(c.text[c.start(i):c.ends[i]]).entry(seq)
}

func (j *journal) place(seq uint64) (c *chunk, i int) {
	at := seq - j.base - 1
	return j.chunks[at/chunkLen], int(at % chunkLen)
}

// find returns the entry of an operation that is still in the log. Operations are named by when they
// began, so that a new one is looked for among the last few entries alone.
func (j *journal) find(op counterfoil.OpID) (e counterfoil.Entry, ok bool) {
	for at := len(j.chunks) - 1; at >= 0 && j.chunks[at].newest >= stamp(op); at-- {
		if i, ok := j.chunks[at].find(op); ok {
			seq := j.base + uint64(at*chunkLen+i) + 1
			return j.at(seq), seq > j.floor
		}
	}
	return e, false
}

// covered reports whether an end of a subject or of all from since on covers r, or cannot be ruled out.
func (j *journal) covered(since uint64, r *counterfoil.Record) bool {
	if since <= j.floor || since > j.head+1 {
		return true
	}
	i := sort.Search(len(j.bulk), func(i int) bool { return j.bulk[i] >= since })
	for _, seq := range j.bulk[i:] {
		if e := j.at(seq); e.Ends(r) {
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
	p.Entries = make([]counterfoil.Entry, 0, n)
	for seq, end := since+1, since+n; seq <= end; {
		c, from := j.place(seq)
		to := min(len(c.ends), from+int(end-seq)+1)
		text := bytes.Clone(c.text[c.start(from):c.ends[to-1]]) // which the caller's entries share
		for ; from < to; from++ {
			n := c.ends[from] - c.start(from)
			p.Entries = append(p.Entries, line(text[:n:n]).entry(seq))
			text = text[n:]
			seq++
		}
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
		j.forget(&e)
	}
	return n, false
}

func (j *journal) forget(e *counterfoil.Entry) {
	seq := e.Seq
	if e.Op != (counterfoil.OpID{}) {
		j.outcomes.remove(seq)
	}
	if len(j.bulk) > 0 && j.bulk[0] == seq {
		j.bulk = j.bulk[1:]
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.floor = seq
	if j.floor-j.base == chunkLen {
		j.chunks[0] = nil
		j.chunks = j.chunks[1:]
		j.base += chunkLen
	}
}
