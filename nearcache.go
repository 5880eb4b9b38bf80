package counterfoil

import (
	"context"
	"sync"
	"sync/atomic"
)

// nearCache holds what this node may trust without asking the store, for as long as its lease is
// fresh. What is put in must come from a fill that was begun before the store was asked (R11).
type nearCache struct {
	bound  int64 // bytes a shard; <= 0: nothing is kept
	shards [cacheShards]cacheShard
	count  atomic.Int64
	misses atomic.Uint64
}

const cacheShards = 64

type cacheShard struct {
	mu      sync.RWMutex
	hits    atomic.Uint64 // beside mu, which every look writes to anyway
	entries nearTable
	fills   *fill // the newest; there are as many as reads under way
	bytes   int64
}

// fill is a read of the store under way, shared by all who come before it is answered. Whatever the
// log says of the session meanwhile voids it.
type fill struct {
	shard *cacheShard
	id    ID
	older *fill // in the same shard
	fresh bool  // nobody can have kept the session yet
	users int
	void  atomic.Bool

	done   bool          // answered: later ones begin anew; under the shard's lock
	answer chan struct{} // closed by whoever asks the store; nil: nobody does yet; under the shard's lock
	rec    *Record
	err    error
}

func newNearCache(bytes int64) *nearCache {
	return &nearCache{bound: bytes / cacheShards}
}

func (c *nearCache) shard(id ID) *cacheShard { return &c.shards[id[0]%cacheShards] }

func (c *nearCache) get(id ID) *entry {
	s := c.shard(id)
	s.mu.RLock()
	e := s.entries.get(&id)
	s.mu.RUnlock()
	return e
}

// hit counts a check that id's entry was enough for.
func (c *nearCache) hit(id ID) { c.shard(id).hits.Add(1) }

func (c *nearCache) stats() CacheStats {
	out := CacheStats{Misses: c.misses.Load(), Entries: int(c.count.Load()), Bound: max(0, c.bound) * cacheShards}
	for i := range c.shards {
		s := &c.shards[i]
		out.Hits += s.hits.Load()
		s.mu.RLock()
		out.Bytes += s.bytes
		s.mu.RUnlock()
	}
	return out
}

// begin announces that the store is about to be asked about id. end must be called.
func (c *nearCache) begin(id ID) *fill {
	s := c.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	for f := s.fills; f != nil; f = f.older {
		if f.id == id && !f.done {
			f.users++
			return f
		}
	}
	s.fills = &fill{shard: s, id: id, older: s.fills, users: 1}
	return s.fills
}

// beginNew is begin for a session whose ID was made this moment, so that nobody else can ask for it.
func (c *nearCache) beginNew(id ID) *fill {
	s := c.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fills = &fill{shard: s, id: id, older: s.fills, users: 1, fresh: true}
	return s.fills
}

// load asks the store once for all who share f; each waits no longer than its own ctx. The record is
// theirs in common: copy it to change it.
func (f *fill) load(ctx context.Context, store Store) (*Record, error) {
	f.shard.mu.Lock()
	answer := f.answer
	if answer == nil {
		f.answer = make(chan struct{})
	}
	f.shard.mu.Unlock()
	if answer != nil {
		select {
		case <-answer:
			return f.rec, f.err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	defer close(f.answer)
	f.rec, f.err = store.Load(ctx, f.id)
	f.shard.mu.Lock()
	defer f.shard.mu.Unlock()
	f.done = true
	return f.rec, f.err
}

func (f *fill) end() {
	s := f.shard
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.users--; f.users > 0 {
		return
	}
	at := &s.fills
	for *at != f {
		at = &(*at).older
	}
	*at = f.older
}

// put keeps e, which was read under f, unless f is void or something newer is there. What is older goes
// in any case: e shows that the record is another by now.
func (c *nearCache) put(f *fill, e *entry) {
	if c.bound <= 0 {
		return
	}
	s := f.shard
	s.mu.Lock()
	defer s.mu.Unlock()
	var old *entry
	if !f.fresh {
		old = s.entries.get(&e.id)
	}
	void := f.void.Load()
	if old != nil && (old.revision > e.revision || void && old.revision == e.revision) {
		return
	}
	if old != nil {
		c.remove(s, old)
	}
	if void {
		return
	}
	s.entries.add(e)
	c.count.Add(1)
	c.weigh(s, e)
}

// remember gives e the values that were read for it later.
func (c *nearCache) remember(e *entry, v *valueSet) {
	s := c.shard(e.id)
	s.mu.Lock()
	defer s.mu.Unlock()
	e.values.Store(v)
	if s.entries.get(&e.id) == e {
		c.weigh(s, e)
	}
}

// forgetValues makes the values of id be read anew, for when it is not known whether they were changed.
func (c *nearCache) forgetValues(id ID) {
	s := c.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.entries.get(&id); e != nil {
		e.values.Store(nil)
		c.weigh(s, e)
	}
}

// weigh counts what e, which is kept, takes now, and makes room for it; the shard is locked.
func (c *nearCache) weigh(s *cacheShard, e *entry) {
	size := e.size()
	s.bytes += size - e.cost
	e.cost = size
	for s.bytes > c.bound && s.entries.n > 1 {
		c.remove(s, s.entries.victim(e))
	}
}

// remove takes e out; the shard is locked.
func (c *nearCache) remove(s *cacheShard, e *entry) {
	s.entries.remove(e)
	s.bytes -= e.cost
	c.count.Add(-1)
}

// drop forgets id and voids its fills.
func (c *nearCache) drop(id ID) { c.dropBelow(id, 1<<64-1) }

// dropBelow forgets id if what is kept is older than revision, and voids its fills: they may have
// read the older one. What is not older is our own change, read back from the log.
func (c *nearCache) dropBelow(id ID, revision uint64) {
	s := c.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.entries.get(&id); e != nil && e.revision < revision {
		c.remove(s, e)
	}
	s.void(id)
}

// void spoils the fills of id: what they read is not kept, and later ones begin anew.
func (s *cacheShard) void(id ID) {
	for f := s.fills; f != nil; f = f.older {
		if f.id == id {
			f.spoil()
		}
	}
}

func (f *fill) spoil() {
	f.void.Store(true)
	f.done = true
}

// dropEnded forgets what an end covers.
func (c *nearCache) dropEnded(e *Entry) {
	if e.Kind == EntryEnded {
		c.drop(e.Session) // what hangs on it has an entry of its own
		return
	}
	c.dropCovered(e)
}

// dropCovered forgets what an end of many covers, and voids every fill: what they read is not known
// yet.
func (c *nearCache) dropCovered(e *Entry) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		var gone []*entry
		for kept := range s.entries.all() {
			if kept.endedBy(e) {
				gone = append(gone, kept)
			}
		}
		for _, kept := range gone {
			c.remove(s, kept)
		}
		for f := s.fills; f != nil; f = f.older {
			f.spoil()
		}
		s.mu.Unlock()
	}
}

// flush forgets everything and voids every fill.
func (c *nearCache) flush() {
	c.dropCovered(&Entry{Kind: EntryEndedAll})
}
