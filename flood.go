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
type flood struct {
	seed  maphash.Seed
	mu    sync.Mutex
	cells [1 << 13]bucket
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
)

func newFlood() *flood { return &flood{seed: maphash.MakeSeed()} }

func (f *flood) cell(key []byte) *bucket {
	return &f.cells[maphash.Bytes(f.seed, key)%uint64(len(f.cells))]
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
	s, d := f.cell(sourceKey(a)), f.cell(id[:])
	s.leak(now.ms())
	d.leak(now.ms())
	return s.level >= sourceBurst || d.level >= sessionBurst
}

// refused counts a refusal; first is true when it fills the source's bucket.
func (f *flood) refused(a netip.Addr, id ID, now instant) (first bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, d := f.cell(sourceKey(a)), f.cell(id[:])
	s.leak(now.ms())
	d.leak(now.ms())
	before := s.level
	s.level++
	d.level++
	return before < sourceBurst && s.level >= sourceBurst
}

// outages lets an outage of the store be told once a second, not once a request.
type outages struct {
	mu   sync.Mutex
	last time.Duration
	told bool
}

func (m *Manager) unavailable(doing string, err error) {
	now := m.clock.now()
	m.outages.mu.Lock()
	quiet := m.outages.told && now.mono-m.outages.last < time.Second
	if !quiet {
		m.outages.last, m.outages.told = now.mono, true
	}
	m.outages.mu.Unlock()
	if quiet {
		return
	}
	m.log.Error("the session store does not answer", "doing", doing, "err", err)
	m.observe(Event{Kind: EventUnavailable, Time: now.time()})
}
