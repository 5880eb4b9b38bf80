package blob

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strconv"
)

// change is one assignment to the state: the value under a key of a kind; nil removes it.
type change struct {
	kind       byte
	key, value []byte
}

func (c change) size() int { return 8 + len(c.key) + len(c.value) }

// writeID tells who wrote an object, and is new for each: of the journal, the ID of the request.
type writeID [16]byte

// batch is one object of the journal: the changes that were committed together.
type batch struct {
	n       uint64  // its place
	prev    writeID // of the object before it, so that a journal that forked is seen
	id      writeID
	changes []change
}

// The first bytes of an object say what it is and in which version.
const (
	journalMark  = "CFJ1"
	snapshotMark = "CFS1"
)

func (b *batch) encode() []byte {
	size := 64
	for _, c := range b.changes {
		size += c.size()
	}
	out := append(make([]byte, 0, size), journalMark...)
	out = binary.AppendUvarint(out, b.n)
	out = append(append(out, b.prev[:]...), b.id[:]...)
	for _, c := range b.changes {
		out = appendChange(out, c)
	}
	return seal(out)
}

func decodeBatch(data []byte) (*batch, error) {
	d, err := unseal(data, journalMark)
	if err != nil {
		return nil, err
	}
	b := &batch{n: d.number()}
	copy(b.prev[:], d.take(16))
	copy(b.id[:], d.take(16))
	b.changes, err = d.changes()
	return b, err
}

func appendChange(out []byte, c change) []byte {
	e := encoder{append(out, c.kind)}
	e.number(uint64(len(c.key)))
	e.b = append(e.b, c.key...)
	e.bytes(c.value)
	return e.b
}

// changes reads all that is left. Keys and values are the reader's own.
func (d *decoder) changes() ([]change, error) {
	var all []change
	for !d.bad && len(d.rest) > 0 {
		kind := d.take(1)[0]
		all = append(all, change{kind, bytes.Clone(d.take(d.number())), d.bytes()})
	}
	return all, d.over("an object")
}

// seal appends a checksum, against truncation and decay; against forgery the manager seals records.
func seal(b []byte) []byte {
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
}

func unseal(data []byte, mark string) (*decoder, error) {
	if len(data) < len(mark)+4 {
		return nil, fmt.Errorf("%w (an object of %d bytes)", ErrDamaged, len(data))
	}
	body, sum := data[:len(data)-4], data[len(data)-4:]
	if crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)) != binary.LittleEndian.Uint32(sum) {
		return nil, fmt.Errorf("%w (checksum)", ErrDamaged)
	}
	if !bytes.HasPrefix(body, []byte(mark[:3])) {
		return nil, fmt.Errorf("%w (no object of ours)", ErrDamaged)
	}
	if body[3] != mark[3] {
		return nil, fmt.Errorf("%w (format %q)", ErrNewer, body[3])
	}
	return &decoder{rest: body[len(mark):]}, nil
}

// Names of objects. Numbers have 20 digits, so that lists are in order.
const (
	rootName     = "counterfoil"
	journalDir   = "journal/"
	snapshotDir  = "snapshot/"
	partDir      = "part/"
	probeDir     = "probe/"
	numberDigits = 20
)

func numbered(dir string, n uint64) string { return fmt.Sprintf("%s%0*d", dir, numberDigits, n) }

// placed reads the number from a name that numbered made.
func placed(dir, name string) (uint64, bool) {
	if len(name) != len(dir)+numberDigits || name[:len(dir)] != dir {
		return 0, false
	}
	n, err := strconv.ParseUint(name[len(dir):], 10, 64)
	return n, err == nil
}
