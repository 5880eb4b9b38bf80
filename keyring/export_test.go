package keyring

import (
	"io"
	"time"
)

// For tests and the published vectors alone: the nonce's source, the cache's size, the parser of roots.

func (r *Ring) SetRandom(random io.Reader) { r.random = random }

func Restore(k Key, created time.Time, index, audit Key) *Ring {
	r := &Ring{source: Source{Kind: SourceMemory}}
	r.now.Store(newSnapshot([]slot{{newKey(k, created), Primary}}, (*[32]byte)(&index), (*[32]byte)(&audit)))
	return r
}

func (r *Ring) CachedAEADs(id KeyID) int {
	k, err := r.snapshot().find(id)
	if err != nil {
		return 0
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	return len(k.young) + len(k.old)
}

// Bytes returns a key's bytes as they lie in memory, also after it was erased, if hold was taken before.
func (r *Ring) Hold(id KeyID) (erased func() bool) {
	k, err := r.snapshot().find(id)
	if err != nil {
		return func() bool { return true }
	}
	return func() bool {
		k.mu.RLock()
		defer k.mu.RUnlock()
		return k.bytes == Key{} && k.derived == nil && k.young == nil && k.old == nil
	}
}

const CacheLimit = 2 * cacheLimit
