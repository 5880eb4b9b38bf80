package memory

import (
	"encoding/binary"
	"math/bits"
)

// index finds records by 16 bytes that are a hash or random. It is a hash table whose chains run
// through the records themselves: half the size of a map, and it gives its memory back, which Go's
// maps never do. A store has 1024 of each kind, so that none takes long to grow or shrink.
type index[A axis] struct {
	heads []*record // as many as a power of two, or none
	marks []uint8   // of each chain, at least a bit for each of its records, see place
	n     int
}

// axis says by what records are found, and which of their links hold the chain.
type axis interface {
	key(*record) *[16]byte
	links(*record) *links
}

type links struct{ next, prev *record }

type byID struct{}

func (byID) key(r *record) *[16]byte { return (*[16]byte)(&r.id) }
func (byID) links(r *record) *links  { return &r.inShard }

type bySubject struct{}

func (bySubject) key(r *record) *[16]byte { return (*[16]byte)(&r.subject) }
func (bySubject) links(r *record) *links  { return &r.ofSubject }

// shardCount is the number of parts of a store; a part holds the keys with the same first 10 bits,
// so that parts in order hold keys in order.
const shardCount = 1024

func shardOf(key [16]byte) int { return int(binary.BigEndian.Uint16(key[:]) >> 6) }

const (
	fewest  = 8 // heads of an index that is not empty
	perHead = 1 // record, when it grows
)

// place returns the number of the chain in which records of that key stand, and the mark that it has if
// there is one. Most keys that are not there are known by the marks alone, which are near at hand: they
// take a tenth of the heads' room, and no look at a record.
func (x *index[A]) place(key *[16]byte) (i int, mark uint8) {
	h := binary.LittleEndian.Uint64(key[8:]) ^ bits.RotateLeft64(binary.LittleEndian.Uint64(key[:]), 32)
	h *= 0x9e3779b97f4a7c15
	return int(h >> 32 & uint64(len(x.heads)-1)), 1 << (h >> 61)
}

// first returns a record with that key, or nil; next returns another one.
func (x *index[A]) first(key [16]byte) *record {
	if x.n == 0 {
		return nil
	}
	i, mark := x.place(&key)
	if x.marks[i]&mark == 0 {
		return nil
	}
	return x.find(x.heads[i], &key)
}

func (x *index[A]) next(r *record) *record {
	var a A
	return x.find(a.links(r).next, a.key(r))
}

func (x *index[A]) find(r *record, key *[16]byte) *record {
	var a A
	for r != nil && *a.key(r) != *key {
		r = a.links(r).next
	}
	return r
}

func (x *index[A]) add(r *record) {
	if x.n >= perHead*len(x.heads) {
		x.resize(max(fewest, 2*len(x.heads)))
	}
	x.push(r)
	x.n++
}

func (x *index[A]) push(r *record) {
	var a A
	i, mark := x.place(a.key(r))
	head := &x.heads[i]
	*a.links(r) = links{next: *head}
	if *head != nil {
		a.links(*head).prev = r
	}
	*head = r
	x.marks[i] |= mark
}

// remove takes out a record that is in x.
func (x *index[A]) remove(r *record) {
	var a A
	l := a.links(r)
	if l.prev == nil {
		i, _ := x.place(a.key(r))
		x.heads[i] = l.next
	} else {
		a.links(l.prev).next = l.next
	}
	if l.next != nil {
		a.links(l.next).prev = l.prev
	}
	*l = links{}
	x.mark(a.key(r))
	if x.n--; len(x.heads) > fewest && x.n <= perHead*len(x.heads)/4 {
		x.resize(len(x.heads) / 2)
	}
}

// mark sets the mark of the chain in which records of that key stand anew, unless the chain is long, as
// that of a subject with many sessions is.
func (x *index[A]) mark(key *[16]byte) {
	const long = 4
	var a A
	var marks uint8
	i, _ := x.place(key)
	r := x.heads[i]
	for n := 0; r != nil; n++ {
		if n == long {
			return
		}
		_, mark := x.place(a.key(r))
		marks |= mark
		r = a.links(r).next
	}
	x.marks[i] = marks
}

func (x *index[A]) resize(n int) {
	old := x.heads
	x.heads, x.marks = make([]*record, n), make([]uint8, n)
	var a A
	for _, r := range old {
		for r != nil {
			next := a.links(r).next
			x.push(r)
			r = next
		}
	}
}

// each calls do for the records under heads[from:to] until it returns false.
func (x *index[A]) each(from, to int, do func(*record) bool) {
	var a A
	for i := from; i < min(to, len(x.heads)); i++ {
		for r := x.heads[i]; r != nil; r = a.links(r).next {
			if !do(r) {
				return
			}
		}
	}
}
