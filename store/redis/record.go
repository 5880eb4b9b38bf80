package redis

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/keyring"
)

// A record is one string: a head of fixed places, which scripts read and change, and a body, which
// they do not look into. lua/common.lua has the same table. Numbers are decimal and padded, because
// a number in Lua holds 53 bits only.
const (
	widthTime  = 15 // ms since 1970
	widthCount = 20 // a uint64
	headLen    = 4*16 + widthTime + 3 + widthTime + 3 + 10 + 3*widthCount + 2*widthTime
)

func head(r *counterfoil.Record) string {
	return string(r.Subject[:]) + string(r.Actor[:]) + string(r.Parent[:]) + string(r.Root[:]) +
		fmt.Sprintf("%015d%03d%015d%03d%010d%020d%020d%020d%015d%015d",
			r.AbsoluteEnd.UnixMilli(), r.Kind, r.Created.UnixMilli(), r.Version, uint32(r.SelectorKey),
			r.Born, r.Epoch, r.Revision, r.Seen.UnixMilli(), r.IdleEnd.UnixMilli())
}

func body(r *counterfoil.Record) string {
	b := make([]byte, 0, 40+len(r.Identity)+len(r.Values))
	for _, n := range [...]uint64{
		uint64(r.IdentityKey), uint64(r.ValuesKey), uint64(r.VerifierKey), r.IdentityCount, r.ValuesCount,
		length(r.Identity), length(r.Values),
	} {
		b = binary.AppendUvarint(b, n)
	}
	b = append(b, r.Identity...)
	return string(append(b, r.Values...))
}

// length is one more than the length, 0 for nil.
func length(b []byte) uint64 {
	if b == nil {
		return 0
	}
	return uint64(len(b)) + 1
}

// parseRecord reads what head and body wrote. [ErrDamaged].
func parseRecord(id counterfoil.ID, text string) (*counterfoil.Record, error) {
	p := parser{rest: text}
	r := &counterfoil.Record{ID: id}
	for _, part := range [][]byte{r.Subject[:], r.Actor[:], r.Parent[:], r.Root[:]} {
		copy(part, p.take(16))
	}
	r.AbsoluteEnd = p.time()
	r.Kind = counterfoil.Kind(p.count(3, 8))
	r.Created = p.time()
	r.Version = uint8(p.count(3, 8))
	r.SelectorKey = keyring.KeyID(p.count(10, 32))
	r.Born, r.Epoch, r.Revision = p.count(widthCount, 64), p.count(widthCount, 64), p.count(widthCount, 64)
	r.Seen, r.IdleEnd = p.time(), p.time()
	keys := [...]*keyring.KeyID{&r.IdentityKey, &r.ValuesKey, &r.VerifierKey}
	for _, k := range keys {
		n := p.varint()
		if n > 1<<32-1 {
			p.bad = true
		}
		*k = keyring.KeyID(n)
	}
	r.IdentityCount, r.ValuesCount = p.varint(), p.varint()
	identity, values := p.varint(), p.varint()
	r.Identity, r.Values = p.part(identity), p.part(values)
	if p.bad || p.rest != "" {
		return nil, fmt.Errorf("%w (session %s)", ErrDamaged, id)
	}
	return r, nil
}

type parser struct {
	rest string
	bad  bool
}

func (p *parser) take(n int) string {
	if p.bad || n > len(p.rest) {
		p.bad = true
		return ""
	}
	part := p.rest[:n]
	p.rest = p.rest[n:]
	return part
}

func (p *parser) count(digits, bits int) uint64 {
	n, err := strconv.ParseUint(p.take(digits), 10, bits)
	p.bad = p.bad || err != nil
	return n
}

func (p *parser) time() time.Time {
	n, err := strconv.ParseInt(p.take(widthTime), 10, 64)
	p.bad = p.bad || err != nil
	return time.UnixMilli(n).UTC()
}

func (p *parser) varint() uint64 {
	n, used := binary.Uvarint([]byte(p.rest[:min(len(p.rest), binary.MaxVarintLen64)]))
	if used <= 0 {
		p.bad = true
		return 0
	}
	p.take(used)
	return n
}

func (p *parser) part(length uint64) []byte {
	if length == 0 {
		return nil
	}
	if length-1 > uint64(len(p.rest)) {
		p.bad = true
		return nil
	}
	return []byte(p.take(int(length - 1)))
}
