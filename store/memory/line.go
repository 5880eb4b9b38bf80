package memory

import (
	"encoding/binary"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/keyring"
)

// chunk holds some of the log's entries as lines of bytes, in which the garbage collector has nothing
// to look for: a log of an hour may have millions. What is written is never changed.
type chunk struct {
	text []byte
	ends []int // of each line in text

	// Lines by operation, a hash table of their numbers plus one, and the greatest stamp of this chunk
	// and all before it. Only the holder of Store.mu uses these.
	ops    [2 * chunkLen]uint8
	newest uint64
}

// chunkLen is how many lines a full chunk has.
const chunkLen = 128

func newChunk(before *chunk) *chunk {
	c := &chunk{ends: make([]int, 0, chunkLen)}
	if before != nil {
		c.text = make([]byte, 0, len(before.text)+len(before.text)/8)
		c.newest = before.newest
	}
	return c
}

func (c *chunk) full() bool { return len(c.ends) == chunkLen }

func (c *chunk) add(e *counterfoil.Entry) {
	c.text = appendLine(c.text, e)
	c.ends = append(c.ends, len(c.text))
	if e.Op == (counterfoil.OpID{}) {
		return
	}
	c.newest = max(c.newest, stamp(e.Op))
	slot := home(e.Op)
	for c.ops[slot] != 0 {
		slot++
	}
	c.ops[slot] = uint8(len(c.ends))
}

// find returns the number of a line of that operation.
func (c *chunk) find(op counterfoil.OpID) (i int, ok bool) {
	for slot := home(op); c.ops[slot] != 0; slot++ {
		i = int(c.ops[slot]) - 1
		if line(c.text[c.start(i):]).op() == op {
			return i, true
		}
	}
	return 0, false
}

// stamp is the part of an operation's name that says when it began.
func stamp(op counterfoil.OpID) uint64 { return binary.BigEndian.Uint64(op[:]) }

// home is where in a chunk's table the line of an operation is looked for first. An index of this type
// goes round by itself.
func home(op counterfoil.OpID) uint8 {
	h := binary.LittleEndian.Uint64(op[8:]) ^ stamp(op)
	return uint8(h * 0x9e3779b97f4a7c15 >> 56)
}

// start returns where a line begins in the text.
func (c *chunk) start(i int) int {
	if i == 0 {
		return 0
	}
	return c.ends[i-1]
}

// A line is an entry without its position: version, kind, whether there are kin, the operation,
// session and subject, the kin, the numbers and lengths as varints, and what has those lengths.
type line []byte

func appendLine(b []byte, e *counterfoil.Entry) []byte {
	k := kin{e.Actor, e.Parent, e.Root}
	b = append(b, e.Version, uint8(e.Kind), 0)
	if k != (kin{}) {
		b[len(b)-1] = 1
	}
	b = append(append(append(b, e.Op[:]...), e.Session[:]...), e.Subject[:]...)
	if k != (kin{}) {
		b = append(append(append(b, e.Actor[:]...), e.Parent[:]...), e.Root[:]...)
	}
	for _, v := range [...]uint64{
		uint64(e.Time.UnixMilli()), e.Epoch, e.Revision, uint64(e.DetailKey),
		uint64(len(e.Reason)), uint64(len(e.Except)), length(e.Detail),
	} {
		b = binary.AppendUvarint(b, v)
	}
	b = append(b, e.Reason...)
	for _, id := range e.Except {
		b = append(b, id[:]...)
	}
	return append(b, e.Detail...)
}

func (l line) op() counterfoil.OpID { return counterfoil.OpID(l[3:19]) }

// entry reads the line of the entry at seq, which shares its detail with it.
func (l line) entry(seq uint64) counterfoil.Entry {
	e := counterfoil.Entry{Seq: seq, Version: l[0], Kind: counterfoil.EntryKind(l[1])}
	related := l[2] == 1
	l = l[3:]
	l.read((*[16]byte)(&e.Op))
	l.read((*[16]byte)(&e.Session))
	l.read((*[16]byte)(&e.Subject))
	if related {
		l.read((*[16]byte)(&e.Actor))
		l.read((*[16]byte)(&e.Parent))
		l.read((*[16]byte)(&e.Root))
	}
	e.Time = fromMilli(int64(l.number()))
	e.Epoch, e.Revision, e.DetailKey = l.number(), l.number(), keyring.KeyID(l.number())
	reason, except, detail := l.number(), l.number(), l.number()
	e.Reason = counterfoil.Reason(l[:reason])
	l = l[reason:]
	for range except {
		var id counterfoil.ID
		l.read((*[16]byte)(&id))
		e.Except = append(e.Except, id)
	}
	e.Detail, _ = cut(l, detail)
	return e
}

func (l *line) read(into *[16]byte) {
	*into = [16]byte((*l)[:16])
	*l = (*l)[16:]
}

func (l *line) number() uint64 {
	v, n := binary.Uvarint(*l)
	*l = (*l)[n:]
	return v
}
