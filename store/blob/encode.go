package blob

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/keyring"
)

// encoder builds the values of changes. Numbers are varints; 16 bytes are left out when zero; nil is
// not empty.
type encoder struct{ b []byte }

func (e *encoder) number(n uint64)  { e.b = binary.AppendUvarint(e.b, n) }
func (e *encoder) signed(n int64)   { e.b = binary.AppendVarint(e.b, n) }
func (e *encoder) time(t time.Time) { e.signed(t.UnixMilli()) }

func (e *encoder) bytes(b []byte) {
	if b == nil {
		e.number(0)
		return
	}
	e.number(uint64(len(b)) + 1)
	e.b = append(e.b, b...)
}

func (e *encoder) fixed(b [16]byte) {
	if b == ([16]byte{}) {
		e.b = append(e.b, 0)
		return
	}
	e.b = append(append(e.b, 1), b[:]...)
}

func (e *encoder) ids(ids []counterfoil.ID) {
	e.number(uint64(len(ids)))
	for _, id := range ids {
		e.b = append(e.b, id[:]...)
	}
}

// decoder reads what an encoder wrote; bad is set by the first fault and stays. Every length is
// checked against what is left, so that hostile input allocates no more than its own size.
type decoder struct {
	rest []byte
	bad  bool
}

func (d *decoder) take(n uint64) []byte {
	if d.bad || n > uint64(len(d.rest)) {
		d.bad = true
		return nil
	}
	part := d.rest[:n:n]
	d.rest = d.rest[n:]
	return part
}

func (d *decoder) number() uint64 {
	n, used := binary.Uvarint(d.rest)
	if d.bad || used <= 0 {
		d.bad = true
		return 0
	}
	d.take(uint64(used))
	return n
}

func (d *decoder) signed() int64 {
	n, used := binary.Varint(d.rest)
	if d.bad || used <= 0 {
		d.bad = true
		return 0
	}
	d.take(uint64(used))
	return n
}

func (d *decoder) time() time.Time { return time.UnixMilli(d.signed()).UTC() }

// small reads a number of at most max.
func (d *decoder) small(max uint64) uint64 {
	n := d.number()
	if n > max {
		d.bad = true
		return 0
	}
	return n
}

func (d *decoder) key() keyring.KeyID { return keyring.KeyID(d.small(1<<32 - 1)) }

func (d *decoder) bytes() []byte {
	n := d.number()
	if n == 0 {
		return nil
	}
	return append([]byte{}, d.take(n-1)...)
}

func (d *decoder) fixed() (b [16]byte) {
	if d.small(1) == 1 {
		copy(b[:], d.take(16))
	}
	return b
}

func (d *decoder) ids() []counterfoil.ID {
	n := d.number()
	if d.bad || n > uint64(len(d.rest)/16) {
		d.bad = true
		return nil
	}
	var ids []counterfoil.ID
	for range n {
		ids = append(ids, counterfoil.ID(d.take(16)))
	}
	return ids
}

// over ends the reading: nothing may be left.
func (d *decoder) over(what string) error {
	if d.bad || len(d.rest) > 0 {
		return fmt.Errorf("%w (%s)", ErrDamaged, what)
	}
	return nil
}

func encodeRecord(r *counterfoil.Record) []byte {
	e := encoder{make([]byte, 0, 192+len(r.Identity)+len(r.Values))}
	e.number(uint64(r.Version))
	e.number(uint64(r.Kind))
	for _, b := range [...][16]byte{r.Subject, r.Actor, r.Parent, r.Root} {
		e.fixed(b)
	}
	for _, n := range [...]uint64{
		r.Epoch, r.Born, r.Revision, uint64(r.IdentityKey), uint64(r.ValuesKey), uint64(r.VerifierKey), uint64(r.SelectorKey),
		r.IdentityCount, r.ValuesCount,
	} {
		e.number(n)
	}
	for _, t := range [...]time.Time{r.Created, r.Seen, r.IdleEnd, r.AbsoluteEnd} {
		e.time(t)
	}
	e.bytes(r.Identity)
	e.bytes(r.Values)
	return e.b
}

func decodeRecord(id counterfoil.ID, b []byte) (*counterfoil.Record, error) {
	d := decoder{rest: b}
	r := &counterfoil.Record{
		ID: id, Version: uint8(d.small(255)), Kind: counterfoil.Kind(d.small(255)),
		Subject: d.fixed(), Actor: d.fixed(), Parent: d.fixed(), Root: d.fixed(),
		Epoch: d.number(), Born: d.number(), Revision: d.number(),
		IdentityKey: d.key(), ValuesKey: d.key(), VerifierKey: d.key(), SelectorKey: d.key(),
		IdentityCount: d.number(), ValuesCount: d.number(),
		Created: d.time(), Seen: d.time(), IdleEnd: d.time(), AbsoluteEnd: d.time(),
		Identity: d.bytes(), Values: d.bytes(),
	}
	return r, d.over("a session")
}

func encodeEntry(x *counterfoil.Entry) []byte {
	e := encoder{make([]byte, 0, 128+len(x.Detail))}
	e.number(uint64(x.Version))
	e.number(uint64(x.Kind))
	for _, b := range [...][16]byte{x.Op, x.Session, x.Subject, x.Actor, x.Parent, x.Root} {
		e.fixed(b)
	}
	e.ids(x.Except)
	e.number(x.Epoch)
	e.number(x.Revision)
	e.bytes([]byte(x.Reason))
	e.time(x.Time)
	e.number(uint64(x.DetailKey))
	e.bytes(x.Detail)
	e.fixed(x.Request)
	return e.b
}

func decodeEntry(seq uint64, b []byte) (counterfoil.Entry, error) {
	d := decoder{rest: b}
	x := counterfoil.Entry{
		Seq: seq, Version: uint8(d.small(255)), Kind: counterfoil.EntryKind(d.small(255)),
		Op: d.fixed(), Session: d.fixed(), Subject: d.fixed(), Actor: d.fixed(), Parent: d.fixed(), Root: d.fixed(),
		Except: d.ids(), Epoch: d.number(), Revision: d.number(),
		Reason: counterfoil.Reason(d.bytes()), Time: d.time(), DetailKey: d.key(), Detail: d.bytes(), Request: d.fixed(),
	}
	return x, d.over("an entry of the log")
}

// outcome is what the first call with an operation ID did.
type outcome struct {
	kind     counterfoil.EntryKind
	session  counterfoil.ID
	seq      uint64 // of the entry that bears the operation
	last     uint64 // of the last entry of the change
	revision uint64
	count    int
	ended    []counterfoil.ID
}

func (o *outcome) encode() []byte {
	var e encoder
	e.number(uint64(o.kind))
	e.fixed(o.session)
	e.number(o.seq)
	e.number(o.last)
	e.number(o.revision)
	e.number(uint64(o.count))
	e.ids(o.ended)
	return e.b
}

func decodeOutcome(b []byte) (*outcome, error) {
	d := decoder{rest: b}
	o := &outcome{
		kind: counterfoil.EntryKind(d.small(255)), session: d.fixed(),
		seq: d.number(), last: d.number(), revision: d.number(), count: int(d.small(1 << 40)), ended: d.ids(),
	}
	return o, d.over("an operation")
}
