package counterfoil

import (
	"crypto/subtle"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil/keyring"
)

// entry is what a node remembers of a session that it has read. All but the atomic fields is fixed
// once the entry can be seen by others; a change makes a new entry.
//
// It holds the verifiers of the generations last proved against the store, in memory only: a memory
// image has half a token, and a check needs no cryptography but one hash.
//
// There may be a million of them, so what few have stands in kin, and what is seldom asked for in about.
type entry struct {
	// What a check reads stands first.
	next     *entry // in the near cache's chain; under the shard's lock
	id       ID
	proved   [2]provedVerifier
	gen      generations
	absolute int64 // ms, as all times here; the effective one: sealed, or shorter by today's policy
	idleEnd  atomic.Int64
	touched  atomic.Int64 // when the user was last seen, as far as a touch was scheduled
	about    string       // who it is, as in a log entry's detail
	proof    int64        // when the subject last proved who it is; 0: never
	kind     Kind
	level    uint8
	named    uint16 // length of the subject, so that it is found without a look into about

	persistent  bool
	verifierKey keyring.KeyID
	subject     SubjectHash
	seed        [16]byte
	kin         *kin   // nil for most
	epoch       uint64 // version of the credential
	born        uint64 // position of the created entry in the log
	revision    uint64
	created     int64
	values      atomic.Pointer[valueSet] // once the entry is kept, set by nearCache alone
	cost        int64                    // bytes that the cache counts for it; under the shard's lock
}

// kin is what only sessions in a line of descent or of an impersonation have.
type kin struct {
	actor        SubjectHash
	parent, root ID
}

type provedVerifier struct {
	n uint32 // 0: none
	v verifier
}

// generation returns the number of a verifier that was proved before.
func (e *entry) generation(v *verifier) (n uint32, ok bool) {
	for i := range e.proved {
		p := &e.proved[i]
		if p.n != 0 && subtle.ConstantTimeCompare(p.v[:], v[:]) == 1 {
			return p.n, true
		}
	}
	return 0, false
}

// newEntry remembers rec, whose seal proved i, as read for a presenter of generation n; n 0: nobody
// presented a token. What former remembers of the same session's use is carried over.
func (m *Manager) newEntry(rec *Record, i *identity, n uint32, v verifier, former *entry) *entry {
	e := &entry{
		id: rec.ID, kind: i.kind, level: i.level, proof: i.who.proved, about: i.about, named: uint16(len(i.subject)), subject: rec.Subject,
		epoch: rec.Epoch, born: rec.Born, revision: rec.Revision,
		created: i.created, absolute: m.absoluteEnd(i), persistent: i.persistent,
		gen: i.gen, seed: i.seed, verifierKey: i.verifierKey,
	}
	if (kin{rec.Actor, rec.Parent, rec.Root}) != (kin{}) {
		e.kin = &kin{rec.Actor, rec.Parent, rec.Root}
	}
	e.proved[0] = provedVerifier{n, v}
	seen, idle := rec.Seen.UnixMilli(), m.idleEnd(rec, i)
	if former != nil {
		if p := former.proved[0]; p.n != n && p.n >= i.gen.prev {
			e.proved[1] = p
		} else if p := former.proved[1]; p.n != n && p.n >= i.gen.prev {
			e.proved[1] = p
		}
		seen = max(seen, former.touched.Load())
		idle = max(idle, min(former.idleEnd.Load(), e.absolute))
		if former.revision == rec.Revision {
			e.values.Store(former.values.Load())
		}
	}
	e.idleEnd.Store(idle)
	e.touched.Store(seen)
	return e
}

// absoluteEnd is the sealed end, or an earlier one if the policy became shorter; never a later one.
func (m *Manager) absoluteEnd(i *identity) int64 {
	return min(i.absolute, i.created+m.limits(i.kind).absolute.Milliseconds())
}

// idleEnd is the stored end, held to the policy of today and to the absolute end.
func (m *Manager) idleEnd(rec *Record, i *identity) int64 {
	stored := min(rec.IdleEnd.UnixMilli(), rec.Seen.UnixMilli()+m.limits(i.kind).idle.Milliseconds())
	return min(stored, m.absoluteEnd(i))
}

// limits are the ends of sessions of one kind.
type limits struct{ idle, absolute, touch time.Duration }

func (m *Manager) limits(k Kind) limits {
	l := limits{idle: m.policy.Idle, absolute: m.policy.Absolute}
	if k == KindVisit {
		l = limits{idle: m.policy.AnonymousIdle, absolute: m.policy.AnonymousAbsolute}
	}
	l.touch = min(30*time.Second, l.idle/20)
	return l
}

// clear returns a record with the clear fields by which log entries select.
func (e *entry) clear() *Record {
	r := &Record{ID: e.id, Kind: e.kind, Subject: e.subject, Epoch: e.epoch}
	if k := e.kin; k != nil {
		r.Actor, r.Parent, r.Root = k.actor, k.parent, k.root
	}
	return r
}

// endedBy reports whether a log entry ended the session. Entries are read again after this node wrote
// them: what was born later stands. Seq 0: the position is not known.
func (e *entry) endedBy(log *Entry) bool {
	return (log.Seq == 0 || log.Seq > e.born) && log.Ends(e.clear())
}

// keep puts e, which was read under f, into the near cache, but not what this node must refuse.
func (m *Manager) keep(f *fill, e *entry) {
	if !m.denied.has(e.id) { // whoever denies it next drops it and voids f
		m.cache.put(f, e)
	}
}

// who is who the session is of.
func (e *entry) who() *who {
	w, err := decodeWho([]byte(e.about))
	if err != nil {
		w = who{kind: e.kind}
	}
	return &w
}

// name is the subject, without a look at the rest.
func (e *entry) name() string {
	const before = 4 // version, kind, length
	if e.about == "" {
		return ""
	}
	return e.about[before : before+int(e.named)]
}

// methods are the names in about, which they share.
func (e *entry) methods() []string {
	if e.about == "" {
		return nil
	}
	rest := e.about
	next := func() (s string) {
		n := 2 + int(rest[0])<<8 + int(rest[1])
		s, rest = rest[2:n], rest[n:]
		return s
	}
	rest = rest[2:] // version, kind
	next()          // subject
	next()          // actor
	n := int(rest[0])
	if rest = rest[1:]; n == 0 {
		return nil
	}
	list := make([]string, n)
	for i := range list {
		list[i] = next()
	}
	return list
}

// What takes memory: an entry with its place in the cache's table, and its kin.
const (
	entrySize = 240 + 24
	kinSize   = 48
)

// size is about what the entry takes in memory.
func (e *entry) size() int64 {
	n := entrySize + int64(len(e.about)+15)&^15
	if e.kin != nil {
		n += kinSize
	}
	if v := e.values.Load(); v != nil {
		n += int64(v.size() + 96*len(*v))
	}
	return n
}

func (e *entry) info() Info {
	w := e.who()
	i := Info{
		ID: e.id, Kind: w.kind, Subject: w.subject, Actor: w.actor, Methods: w.methods, Level: int(w.level),
		Created: msTime(e.created), Seen: msTime(e.touched.Load()),
		IdleEnd: msTime(e.idleEnd.Load()), AbsoluteEnd: msTime(e.absolute),
		IP: w.ip, Label: w.label,
	}
	if w.proved != 0 {
		i.Proved = msTime(w.proved)
	}
	return i
}
