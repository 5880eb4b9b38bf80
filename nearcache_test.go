package counterfoil

import (
	crand "crypto/rand"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"
)

// Values that are read after their session was kept count against the bound too, and what is taken
// out again leaves no debt behind: else hoards of values would fill the memory of a node.
func TestCacheCountsValuesReadLater(t *testing.T) {
	const bound = 1 << 20
	c := newNearCache(bound * cacheShards)
	values := valueSet{"note": make([]byte, 64<<10)}
	held := func() (bytes int64) {
		for e := range c.shards[0].entries.all() {
			bytes += e.size()
		}
		return bytes
	}
	for round := range 20 {
		for i := range 50 {
			e := &entry{id: ID{0, byte(round), byte(i)}}
			f := c.begin(e.id)
			c.put(f, e)
			f.end()
			c.remember(e, &values)
			if n := held(); n > bound {
				t.Fatalf("round %d: %d bytes are kept, the bound is %d", round, n, bound)
			}
		}
		if got, want := c.shards[0].bytes, held(); got != want {
			t.Fatalf("round %d: %d bytes are counted, %d are kept", round, got, want)
		}
	}
	c.flush()
	if n := c.shards[0].bytes; n != 0 || c.count.Load() != 0 {
		t.Errorf("an empty cache counts %d bytes, %d entries", n, c.count.Load())
	}
}

// A read that began before this node changed the record must not be kept, even if what the change
// left in the cache was evicted meanwhile: it would be trusted until the session ends (CE5).
func TestCacheOldReadAfterOwnChange(t *testing.T) { // R11
	c := newNearCache(1 << 20)
	id := ID{1}
	old := c.begin(id) // reads revision 1
	old.done = true
	change := c.begin(id)
	newer := &entry{id: id, revision: 2}
	c.put(change, newer)
	change.end()
	c.dropBelow(id, 2) // our own change, read back from the log
	if c.get(id) != newer {
		t.Error("our own change was dropped")
	}
	c.remove(c.shard(id), newer) // evicted
	c.put(old, &entry{id: id, revision: 1})
	old.end()
	if e := c.get(id); e != nil {
		t.Errorf("revision %d is kept", e.revision)
	}
}

// What this node has changed is not overtaken by a read that began before, though the log has not
// told of the change yet; and what anybody has changed since is dropped.
func TestCacheKeepsTheNewer(t *testing.T) { // R9, R11
	c := newNearCache(1 << 20)
	id := ID{1}
	put := func(revision uint64) *entry {
		f := c.begin(id)
		defer f.end()
		e := &entry{id: id, revision: revision}
		c.put(f, e)
		return e
	}
	put(1)
	newer := put(2)
	put(1)
	if c.get(id) != newer {
		t.Error("an older read was kept")
	}
	if again := put(2); c.get(id) != again {
		t.Error("a later read of the same was not kept")
	}
	c.dropBelow(id, 2)
	if c.get(id) == nil {
		t.Error("what is as new as the log says was dropped")
	}
	c.dropBelow(id, 3)
	if c.get(id) != nil {
		t.Error("what is older than the log says was kept")
	}
}

// What the user signed out of stays refused on this node while the store cannot be told, whatever
// request in flight reads the record again.
func TestDeniedIsNotKept(t *testing.T) { // G2
	m := &Manager{cache: newNearCache(1 << 20)}
	id := ID{1}
	m.denied.add(Entry{Session: id})
	f := m.cache.begin(id)
	defer f.end()
	m.keep(f, &entry{id: id, revision: 1, absolute: time.Hour.Milliseconds()})
	if m.cache.get(id) != nil {
		t.Error("a request in flight put it into the cache")
	}
}

// A session takes at most 340 bytes of a node's memory, and no more than is counted against the bound.
func TestCacheEntriesAreSmall(t *testing.T) { // T23
	heap := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	const n = 40_000
	m := &Manager{cache: newNearCache(1 << 40)}
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	empty := heap()
	for i := range n {
		rec := &Record{Kind: KindBrowser, Revision: 1, Born: uint64(i), Epoch: 1, Created: now, Seen: now, IdleEnd: now, AbsoluteEnd: now}
		crand.Read(rec.ID[:])
		crand.Read(rec.Subject[:])
		f := m.cache.begin(rec.ID)
		m.cache.put(f, m.newEntry(rec, &identity{
			who: who{
				kind: KindBrowser, subject: fmt.Sprintf("user-%07d", i), methods: []string{"pwd"}, level: 1,
				proved: now.UnixMilli(), ip: "192.0.2.7", label: "Chrome on Linux",
			},
			gen: generations{cur: 1, prev: 1, settled: true},
		}, 1, verifier{1}, nil))
		f.end()
	}
	taken, counted := (heap()-empty)/n, int64(0)
	for i := range m.cache.shards {
		counted += m.cache.shards[i].bytes
	}
	t.Logf("%d bytes a session, %d are counted", taken, counted/n)
	if taken > 340 || taken > counted/n {
		t.Errorf("a session takes %d bytes, %d are counted", taken, counted/n)
	}
	runtime.KeepAlive(m)
}

// The table against a map, with chains of many, while it grows and shrinks.
func TestCacheTable(t *testing.T) {
	var table nearTable
	model := make(map[ID]*entry)
	rnd := rand.New(rand.NewPCG(5, 6))
	for step := range 16_000 {
		id := ID{0: byte(rnd.IntN(4)), 8: byte(rnd.IntN(250))}
		growing := step/4000%2 == 0
		e := table.get(&id)
		if e != model[id] {
			t.Fatalf("step %d: %p is found, want %p", step, e, model[id])
		}
		if add := (rnd.IntN(10) == 0) != growing; add && e == nil {
			model[id] = &entry{id: id}
			table.add(model[id])
		} else if !add && e != nil {
			table.remove(e)
			delete(model, id)
		}
		if step%100 != 0 {
			continue
		}
		n := 0
		for e := range table.all() {
			if model[e.id] != e {
				t.Fatalf("step %d: a strange entry", step)
			}
			n++
		}
		if n != len(model) || table.n != n || len(table.heads) > max(fewestHeads, 4*n) {
			t.Fatalf("step %d: %d entries of %d, %d are counted, %d heads", step, n, len(model), table.n, len(table.heads))
		}
		for e := range table.all() {
			if v := table.victim(e); (v == nil) != (n == 1) || v == e {
				t.Fatalf("step %d: victim %p of %d beside %p", step, v, n, e)
			}
			break
		}
	}
	if len(model) > 200 {
		t.Errorf("%d are left: it did not shrink", len(model))
	}
}
