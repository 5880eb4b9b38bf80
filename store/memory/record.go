package memory

import (
	"encoding/binary"
	"strings"
	"time"
	"unique"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/keyring"
)

// record is a counterfoil.Record in as few bytes as is sensible (128 and the body): there may be
// millions. Walking a chain reads its first half alone, one line of the processor's cache. inSubjects
// and siblings belong to Store.mu, the rest to the shard's lock.
type record struct {
	names
	inShard, inSubjects *record
	siblings            links
	state
}

// names never change.
type names struct {
	id      counterfoil.ID
	subject counterfoil.SubjectHash
}

// state is what there is besides. All but seen, idleEnd, revision, head and body never change.
type state struct {
	seen        int64 // times in ms since 1970
	idleEnd     int64
	absoluteEnd int64
	revision    uint64
	head        unique.Handle[head]
	kin         *kin   // nil for most
	body        string // see pack
}

// stored is what Load needs of a record.
type stored struct {
	names
	state
}

// head is what many records have in common, so it is kept once.
type head struct {
	version                               uint8
	kind                                  counterfoil.Kind
	identity, values, verifier, selectors keyring.KeyID
}

// kin is what only records in a line of descent or of an impersonation have.
type kin struct {
	actor        counterfoil.SubjectHash
	parent, root counterfoil.ID
}

func newRecord(r *counterfoil.Record, h unique.Handle[head]) *record {
	rec := &record{names: names{r.ID, r.Subject}, state: state{
		seen: r.Seen.UnixMilli(), idleEnd: r.IdleEnd.UnixMilli(), absoluteEnd: r.AbsoluteEnd.UnixMilli(),
		revision: r.Revision, head: h, body: pack(r, r.Created.UnixMilli(), r.Born),
	}}
	if (r.Actor != counterfoil.SubjectHash{}) || !r.Parent.IsZero() || !r.Root.IsZero() {
		rec.kin = &kin{actor: r.Actor, parent: r.Parent, root: r.Root}
	}
	return rec
}

// lastHead is the head of the record that was created last: mostly the next one's too, and looking it
// up costs as much as two seals. Its zero value is none.
type lastHead struct {
	head
	handle unique.Handle[head]
}

func (l *lastHead) of(r *counterfoil.Record) unique.Handle[head] {
	h := head{r.Version, r.Kind, r.IdentityKey, r.ValuesKey, r.VerifierKey, r.SelectorKey}
	if h != l.head || l.handle == (unique.Handle[head]{}) {
		*l = lastHead{h, makeHead(h)}
	}
	return l.handle
}

// open returns the record as callers know it; it shares nothing with s.
func (s *stored) open() *counterfoil.Record {
	h := s.head.Value()
	b := body(s.body)
	r := &counterfoil.Record{
		Version: h.version, ID: s.id, Kind: h.kind, Subject: s.subject, Revision: s.revision,
		Created: fromMilli(int64(b.number())), Born: b.number(), Epoch: b.number(),
		Seen: fromMilli(s.seen), IdleEnd: fromMilli(s.idleEnd), AbsoluteEnd: fromMilli(s.absoluteEnd),
		IdentityKey: h.identity, ValuesKey: h.values, VerifierKey: h.verifier, SelectorKey: h.selectors,
		IdentityCount: b.number(), ValuesCount: b.number(),
	}
	if s.kin != nil {
		r.Actor, r.Parent, r.Root = s.kin.actor, s.kin.parent, s.kin.root
	}
	identity, values := b.number(), b.number()
	bytes := []byte(b)
	r.Identity, bytes = cut(bytes, identity)
	r.Values, _ = cut(bytes, values)
	return r
}

// live reports whether both ends lie after now, in ms.
func (s *state) live(now int64) bool { return s.idleEnd > now && s.absoluteEnd > now }

// lineage returns what is zero for most.
func (s *state) lineage() kin {
	if s.kin == nil {
		return kin{}
	}
	return *s.kin
}

// age returns when the record was created and its position in the log.
func (s *state) age() (created int64, born uint64) {
	b := body(s.body)
	return int64(b.number()), b.number()
}

// outline is enough of the record for [counterfoil.Entry.Ends] and for entries about it.
func (r *record) outline() counterfoil.Record {
	b, k := body(r.body), r.lineage()
	out := counterfoil.Record{ID: r.id, Subject: r.subject, Actor: k.actor, Parent: k.parent, Root: k.root}
	b.number()
	out.Born, out.Epoch = b.number(), b.number()
	return out
}

// A body holds what changes seldom: the numbers created, born, epoch, both counts and both lengths
// plus one (0: nil) as varints, then the sealed parts.
type body string

func pack(r *counterfoil.Record, created int64, born uint64) string {
	var nums [7 * binary.MaxVarintLen64]byte
	n := nums[:0]
	for _, v := range [...]uint64{
		uint64(created), born, r.Epoch, r.IdentityCount, r.ValuesCount, length(r.Identity), length(r.Values),
	} {
		n = binary.AppendUvarint(n, v)
	}
	var b strings.Builder
	b.Grow(len(n) + len(r.Identity) + len(r.Values))
	b.Write(n)
	b.Write(r.Identity)
	b.Write(r.Values)
	return b.String()
}

func (b *body) number() uint64 {
	var v uint64
	for i := 0; ; i++ {
		c := (*b)[i]
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			*b = (*b)[i+1:]
			return v
		}
	}
}

func length(b []byte) uint64 {
	if b == nil {
		return 0
	}
	return uint64(len(b)) + 1
}

func cut(b []byte, length uint64) (part, rest []byte) {
	if length == 0 {
		return nil, b
	}
	n := length - 1
	return b[:n:n], b[n:]
}

func fromMilli(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

func makeHead(h head) unique.Handle[head] { return unique.Make(h) }
