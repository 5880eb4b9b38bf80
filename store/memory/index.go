package memory

import (
	"encoding/binary"
	"math/bits"
)

// index finds records by 16 bytes that are a hash or random, a record for each. It is a hash table whose
// chains run through the records themselves: half the size of a map, and it gives its memory back, which
// Go's maps never do. A store has 1024 of each kind, so that none takes long to grow or shrink.
//
// A chain goes one way, so that a record gets in without a look at another, which is seldom near at hand.
type index[A axis] struct {
	heads []*record // as many as a power of two, or none
	marks []uint8   // of each chain, at least a bit for each of its records, see place
	n     int
}

// axis says by what records are found, and where in one the chain goes on.
type axis interface {
	key(*record) *[16]byte
	next(*record) **record
}

type byID struct{}

func (byID) key(r *record) *[16]byte { return (*[16]byte)(&r.id) }
func (byID) next(r *record) **record { return &r.inShard }

type bySubject struct{}

func (bySubject) key(r *record) *[16]byte { return (*[16]byte)(&r.subject) }
func (bySubject) next(r *record) **record { return &r.inSubjects }

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

// get returns the record with that key, or nil.
func (x *index[A]) get(key [16]byte) *record {
	if x.n == 0 {
		return nil
	}
	i, mark := x.place(&key)
	if x.marks[i]&mark == 0 {
		return nil
	}
	var a A
	r := x.heads[i]
	for r != nil && *a.key(r) != key {
		r = *a.next(r)
	}
	return r
}

// add takes in a record of a key that is not there.
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
	*a.next(r), x.heads[i] = x.heads[i], r
	x.marks[i] |= mark
}

// remove takes out a record that is there.
func (x *index[A]) remove(r *record) {
	var a A
	var marks uint8
	i, _ := x.place(a.key(r))
	for at := &x.heads[i]; *at != nil; {
		if *at == r {
			*at = *a.next(r)
			continue
		}
		_, mark := x.place(a.key(*at))
		marks |= mark
		at = a.next(*at)
	}
	x.marks[i] = marks
	*a.next(r) = nil
	if x.n--; len(x.heads) > fewest && x.n <= perHead*len(x.heads)/4 {
		x.resize(len(x.heads) / 2)
	}
}

func (x *index[A]) resize(n int) {
	old := x.heads
	x.heads, x.marks = make([]*record, n), make([]uint8, n)
	var a A
	for _, r := range old {
		for r != nil {
			next := *a.next(r)
			x.push(r)
			r = next
		}
	}
}

// each calls do for the records under heads[from:to] until it returns false.
func (x *index[A]) each(from, to int, do func(*record) bool) {
	var a A
	for i := from; i < min(to, len(x.heads)); i++ {
		for r := x.heads[i]; r != nil; r = *a.next(r) {
			if !do(r) {
				return
			}
		}
	}
}
