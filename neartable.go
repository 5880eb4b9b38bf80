package counterfoil

import (
	"encoding/binary"
	"iter"
)

// nearTable finds the entries of a part of the near cache by ID. Its chains run through the entries:
// finding one takes a single look beside it, and unlike Go's maps the table gives its memory back. IDs
// are hashes of what this node made, so that nobody chooses where they stand.
type nearTable struct {
	heads []*entry // as many as a power of two, or none
	n     int
	hand  int // where the next victim is looked for
}

const fewestHeads = 8 // of a table that is not empty

// head is where the chain begins in which id stands; not in a table without heads.
func (t *nearTable) head(id *ID) **entry {
	return &t.heads[binary.LittleEndian.Uint64(id[8:])&uint64(len(t.heads)-1)]
}

// get returns the entry of id, or nil.
func (t *nearTable) get(id *ID) *entry {
	if t.n == 0 {
		return nil
	}
	e := *t.head(id)
	for e != nil && e.id != *id {
		e = e.next
	}
	return e
}

// add takes in an entry of an ID that is not there.
func (t *nearTable) add(e *entry) {
	if t.n == len(t.heads) {
		t.resize(max(fewestHeads, 2*t.n))
	}
	head := t.head(&e.id)
	e.next, *head = *head, e
	t.n++
}

// remove takes out an entry that is there.
func (t *nearTable) remove(e *entry) {
	at := t.head(&e.id)
	for *at != e {
		at = &(*at).next
	}
	*at, e.next = e.next, nil
	if t.n--; len(t.heads) > fewestHeads && t.n <= len(t.heads)/4 {
		t.resize(len(t.heads) / 2)
	}
}

func (t *nearTable) resize(heads int) {
	old := t.heads
	t.heads, t.hand = make([]*entry, heads), 0
	for _, e := range old {
		for e != nil {
			next, head := e.next, t.head(&e.id)
			e.next, *head = *head, e
			e = next
		}
	}
}

// all yields every entry. None may be added or removed meanwhile.
func (t *nearTable) all() iter.Seq[*entry] {
	return func(yield func(*entry) bool) {
		for _, e := range t.heads {
			for ; e != nil; e = e.next {
				if !yield(e) {
					return
				}
			}
		}
	}
}

// victim picks the least recently used of the few that stand next; keep is spared.
func (t *nearTable) victim(keep *entry) (v *entry) {
	const sample = 8
	for n, looked := 0, 0; n < sample && looked < len(t.heads); looked++ {
		for e := t.heads[t.hand]; e != nil; e = e.next {
			if e != keep {
				n++
				if v == nil || e.touched.Load() < v.touched.Load() {
					v = e
				}
			}
		}
		t.hand = (t.hand + 1) % len(t.heads)
	}
	return v
}
