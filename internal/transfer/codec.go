package transfer

import (
	"encoding/binary"
	"errors"
	"math"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/keyring"
)

// recordForm is the version of how a record is written in a backup.
const recordForm = 1

// maxPart bounds the sealed parts of a record.
const maxPart = 20 << 20

var errForm = errors.New("this is not the form of a backup")

// encodeRecord writes what a store keeps of a session, but for what a store numbers itself, Revision;
// Born tells what came before it.
func encodeRecord(r *counterfoil.Record) []byte {
	b := make([]byte, 0, 256+len(r.Identity)+len(r.Values))
	b = append(b, recordForm, r.Version, byte(r.Kind))
	for _, id := range [][16]byte{r.ID, r.Subject, r.Actor, r.Parent, r.Root} {
		b = append(b, id[:]...)
	}
	for _, n := range []uint64{
		r.Epoch, r.Born, milli(r.Created), milli(r.Seen), milli(r.IdleEnd), milli(r.AbsoluteEnd), r.IdentityCount, r.ValuesCount,
	} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	for _, k := range []keyring.KeyID{r.IdentityKey, r.ValuesKey, r.VerifierKey, r.SelectorKey} {
		b = binary.BigEndian.AppendUint32(b, uint32(k))
	}
	return appendPart(appendPart(b, r.Identity), r.Values)
}

// appendPart writes a part's length plus one, or 0 if there is none, and the part.
func appendPart(b, part []byte) []byte {
	if part == nil {
		return binary.BigEndian.AppendUint32(b, 0)
	}
	return append(binary.BigEndian.AppendUint32(b, uint32(len(part))+1), part...)
}

// decodeRecord reads what encodeRecord wrote and nothing else.
func decodeRecord(b []byte) (*counterfoil.Record, error) {
	d := decoder{rest: b}
	if d.byte() != recordForm {
		return nil, errForm
	}
	r := &counterfoil.Record{Version: d.byte(), Kind: counterfoil.Kind(d.byte())}
	r.ID, r.Subject, r.Actor = d.id(), d.id(), d.id()
	r.Parent, r.Root = d.id(), d.id()
	r.Epoch, r.Born = d.number(), d.number()
	r.Created, r.Seen, r.IdleEnd, r.AbsoluteEnd = d.time(), d.time(), d.time(), d.time()
	r.IdentityCount, r.ValuesCount = d.number(), d.number()
	r.IdentityKey, r.ValuesKey, r.VerifierKey, r.SelectorKey = d.key(), d.key(), d.key(), d.key()
	r.Identity, r.Values = d.part(), d.part()
	if d.bad || len(d.rest) > 0 || r.ID.IsZero() {
		return nil, errForm
	}
	return r, nil
}

func milli(t time.Time) uint64 { return uint64(t.UnixMilli()) }

// decoder takes fields off the front of a text. Once that was too short, or wrong, it is bad.
type decoder struct {
	rest []byte
	bad  bool
}

func (d *decoder) take(n int) []byte {
	if d.bad || n > len(d.rest) {
		d.bad = true
		return make([]byte, min(n, 16))
	}
	part := d.rest[:n]
	d.rest = d.rest[n:]
	return part
}

func (d *decoder) byte() byte         { return d.take(1)[0] }
func (d *decoder) id() [16]byte       { return [16]byte(d.take(16)) }
func (d *decoder) number() uint64     { return binary.BigEndian.Uint64(d.take(8)) }
func (d *decoder) key() keyring.KeyID { return keyring.KeyID(binary.BigEndian.Uint32(d.take(4))) }

// time reads a moment that a store can hold.
func (d *decoder) time() time.Time {
	n := d.number()
	if int64(n) > math.MaxInt64/1_000_000 || int64(n) < math.MinInt64/1_000_000 {
		d.bad = true
	}
	return time.UnixMilli(int64(n)).UTC()
}

func (d *decoder) part() []byte {
	n := binary.BigEndian.Uint32(d.take(4))
	if n == 0 {
		return nil
	}
	if n-1 > maxPart || int(n-1) > len(d.rest) {
		d.bad = true
		return nil
	}
	return append([]byte{}, d.take(int(n-1))...)
}
