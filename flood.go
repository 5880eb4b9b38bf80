package counterfoil

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// flood counts refusals per source and per session in tables of fixed size, so that bad tokens
// are no lever against the store (R2.7) and take no memory. Sources that share a place share its
// limit; the seed makes the places unpredictable.
//
// A browser goes on sending the cookie of a session that has ended (R5), with every picture of the
// sign-in page. So a token that was just found to name no session is remembered: again within
// deadFor it is refused without asking the store, and counts no more.
type flood struct {
	seed     maphash.Seed
	mu       sync.Mutex
	sources  [1 << 13]bucket
	sessions [1 << 13]bucket
	dead     [1 << 11][4]deadToken // a few to a place, so that two that meet do not push each other out
}

// deadToken is one that names no session; what no session had, none will get, but from a sign-in
// form that is sent again.
type deadToken struct {
	id     ID
	tagged bool // under a key that was usable then
	ms     int64
}

// bucket is a leaky bucket: level refusals, leaking at a steady rate.
type bucket struct {
	level float32
	ms    int64
}

const (
	sourceBurst  = 100 // refusals of one source at once
	sessionBurst = 20  // of one session
	floodLeak    = 1.0 // refusals a second that leak away

	deadFor = time.Minute
)

func newFlood() *flood { return &flood{seed: maphash.MakeSeed()} }

// place is where key stands in each table.
func (f *flood) place(key []byte) uint64 {
	return maphash.Bytes(f.seed, key) % uint64(len(f.sources))
}

func (b *bucket) leak(ms int64) {
	b.level = max(0, b.level-floodLeak*float32(max(0, ms-b.ms))/1000)
	b.ms = ms
}

// sourceKey takes a whole /64 of IPv6 for one source.
func sourceKey(a netip.Addr) []byte {
	if a.Is6() && !a.Is4In6() {
		b := a.As16()
		return b[:8]
	}
	return a.AsSlice()
}

// full reports whether a source or a session has been refused too often of late.
func (f *flood) full(a netip.Addr, id ID, now instant) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, d := &f.sources[f.place(sourceKey(a))], &f.sessions[f.place(id[:])]
	s.leak(now.ms())
	d.leak(now.ms())
	return s.level >= sourceBurst || d.level >= sessionBurst
}

// refused counts a refusal, of a zero id against the source alone; first is true when it fills the
// source's bucket.
func (f *flood) refused(a netip.Addr, id ID, now instant) (first bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !id.IsZero() {
		d := &f.sessions[f.place(id[:])]
		d.leak(now.ms())
		d.level++
	}
	s := &f.sources[f.place(sourceKey(a))]
	s.leak(now.ms())
	before := s.level
	s.level++
	return before < sourceBurst && s.level >= sourceBurst
}

// isDead reports whether a token of that ID was found to name no session less than deadFor ago.
func (f *flood) isDead(id ID, tagged bool, now instant) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, d := range f.deadAt(id) {
		if d.id == id {
			return d.tagged == tagged && now.ms() < d.ms+deadFor.Milliseconds()
		}
	}
	return false
}

// deadAt is where id may stand among the dead.
func (f *flood) deadAt(id ID) []deadToken { return f.dead[f.place(id[:])%uint64(len(f.dead))][:] }

func (f *flood) setDead(id ID, tagged bool, now instant) {
	f.mu.Lock()
	defer f.mu.Unlock()
	place := f.deadAt(id)
	oldest := &place[0]
	for i := range place {
		if d := &place[i]; d.id == id || d.ms < oldest.ms {
			if oldest = d; d.id == id {
				break
			}
		}
	}
	*oldest = deadToken{id, tagged, now.ms()}
}

// created makes id good.
func (f *flood) created(id ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	place := f.deadAt(id)
	for i := range place {
		if place[i].id == id {
			place[i] = deadToken{}
		}
	}
}

// forgetDead makes every token be asked for again: what a former log did not know may be in this one.
func (f *flood) forgetDead() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.dead[:])
}
