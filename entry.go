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
type entry struct {
	// What a check reads stands first, in two lines of the processor's cache.
	proved   [2]provedVerifier
	gen      generations
	absolute int64 // ms, as all times here; the effective one: sealed, or shorter by today's policy
	idleEnd  atomic.Int64
	touched  atomic.Int64 // when a touch was last scheduled
	who      who

	id           ID
	subject      SubjectHash
	actor        SubjectHash
	parent, root ID
	epoch        uint64
	born         uint64 // position of the created entry in the log
	revision     uint64
	created      int64
	persistent   bool
	seed         [16]byte
	verifierKey  keyring.KeyID

	seen   atomic.Int64
	values atomic.Pointer[valueSet] // once the entry is kept, set by nearCache.remember alone

	cost int64 // bytes that the cache counts for it; under the shard's lock
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
		id: rec.ID, who: i.who, subject: rec.Subject, actor: rec.Actor,
		parent: rec.Parent, root: rec.Root, epoch: rec.Epoch, born: rec.Born, revision: rec.Revision,
		created: i.created, absolute: m.absoluteEnd(i), persistent: i.persistent,
		gen: i.gen, seed: i.seed, verifierKey: i.verifierKey,
	}
	e.proved[0] = provedVerifier{n, v}
	seen, idle := rec.Seen.UnixMilli(), m.idleEnd(rec, i)
	touched := seen
	if former != nil {
		if p := former.proved[0]; p.n != n && p.n >= i.gen.prev {
			e.proved[1] = p
		} else if p := former.proved[1]; p.n != n && p.n >= i.gen.prev {
			e.proved[1] = p
		}
		seen = max(seen, former.seen.Load())
		idle = max(idle, min(former.idleEnd.Load(), e.absolute))
		touched = max(touched, former.touched.Load())
		if former.revision == rec.Revision {
			e.values.Store(former.values.Load())
		}
	}
	e.seen.Store(seen)
	e.idleEnd.Store(idle)
	e.touched.Store(touched)
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
	return &Record{ID: e.id, Kind: e.who.kind, Subject: e.subject, Actor: e.actor, Parent: e.parent, Root: e.root, Epoch: e.epoch}
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

// size is about what the entry takes in memory.
func (e *entry) size() int64 {
	n := 420 + len(e.who.subject) + len(e.who.actor) + len(e.who.ip) + len(e.who.label)
	for _, m := range e.who.methods {
		n += 16 + len(m)
	}
	if v := e.values.Load(); v != nil {
		n += v.size() + 96*len(*v)
	}
	return int64(n)
}

func (e *entry) info() Info {
	i := Info{
		ID: e.id, Kind: e.who.kind, Subject: e.who.subject, Actor: e.who.actor,
		Methods: append([]string(nil), e.who.methods...), Level: int(e.who.level),
		Created: msTime(e.created), Seen: msTime(e.seen.Load()),
		IdleEnd: msTime(e.idleEnd.Load()), AbsoluteEnd: msTime(e.absolute),
		IP: e.who.ip, Label: e.who.label,
	}
	if e.who.proved != 0 {
		i.Proved = msTime(e.who.proved)
	}
	return i
}
