package keyring

import "io"

// For tests and the published vectors alone.

func (r *Ring) SetRandom(random io.Reader) { r.random = random }

func (r *Ring) CachedAEADs(id KeyID) int {
	k, err := r.snapshot().find(id)
	if err != nil {
		return 0
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	return len(k.young) + len(k.old)
}

// Hold keeps hold of a key, so that its bytes can be looked for after it was revoked.
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

// ParseWrapped is Parse for a wrapped file.
func ParseWrapped(data []byte, w Wrapper) (*Ring, error) {
	s, err := parse(data, w)
	if err != nil {
		return nil, err
	}
	r := &Ring{}
	r.now.Store(s)
	return r, nil
}
