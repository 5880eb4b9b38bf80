package memory

import (
	"encoding/binary"
	"iter"
	"math/bits"

	"github.com/counterfoil/counterfoil"
)

// operations finds the log's entries by operation, in 8 bytes an entry and one look at memory. There
// are 256 parts of it, so that none takes long to grow or shrink.
type operations [256]operationPart

// operationPart is a hash table of positions, each with a tag of its operation above it; who finds one
// looks at the entry itself. At least half of the slots are empty, which is 0.
type operationPart struct {
	slots []uint64 // as many as a power of two, or none
	n     int
}

const (
	tagBits     = 24
	seqBits     = 64 - tagBits
	fewestSlots = 16
)

func (o *operations) of(op counterfoil.OpID) (p *operationPart, tag uint64) {
	h := binary.LittleEndian.Uint64(op[8:]) ^ bits.RotateLeft64(binary.LittleEndian.Uint64(op[:]), 32)
	h *= 0x9e3779b97f4a7c15
	return &o[h>>56], h >> 32 & (1<<tagBits - 1)
}

// at yields the positions at which entries of op may stand, among them all at which they do.
func (o *operations) at(op counterfoil.OpID) iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		p, tag := o.of(op)
		if p.n == 0 {
			return
		}
		for i := p.home(tag); p.slots[i] != 0; i = p.next(i) {
			if s := p.slots[i]; s>>seqBits == tag && !yield(s&(1<<seqBits-1)) {
				return
			}
		}
	}
}

func (o *operations) add(op counterfoil.OpID, seq uint64) {
	p, tag := o.of(op)
	if 2*(p.n+1) > len(p.slots) {
		p.resize(max(fewestSlots, 2*len(p.slots)))
	}
	p.put(tag<<seqBits | seq)
	p.n++
}

// remove forgets what add was told.
func (o *operations) remove(op counterfoil.OpID, seq uint64) {
	p, tag := o.of(op)
	i := p.home(tag)
	for p.slots[i] != tag<<seqBits|seq {
		i = p.next(i)
	}
	for j := p.next(i); p.slots[j] != 0; j = p.next(j) { // what the gap would hide moves into it
		if from := p.home(p.slots[j] >> seqBits); p.distance(from, j) >= p.distance(i, j) {
			p.slots[i] = p.slots[j]
			i = j
		}
	}
	p.slots[i] = 0
	if p.n--; len(p.slots) > fewestSlots && p.n <= len(p.slots)/8 {
		p.resize(len(p.slots) / 2)
	}
}

func (p *operationPart) home(tag uint64) int       { return int(tag) & (len(p.slots) - 1) }
func (p *operationPart) next(i int) int            { return (i + 1) & (len(p.slots) - 1) }
func (p *operationPart) distance(from, to int) int { return (to - from) & (len(p.slots) - 1) }

func (p *operationPart) put(s uint64) {
	i := p.home(s >> seqBits)
	for p.slots[i] != 0 {
		i = p.next(i)
	}
	p.slots[i] = s
}

func (p *operationPart) resize(slots int) {
	old := p.slots
	p.slots = make([]uint64, slots)
	for _, s := range old {
		if s != 0 {
			p.put(s)
		}
	}
}
