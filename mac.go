package counterfoil

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"hash"
	"sync"

	"github.com/counterfoil/counterfoil/keyring"
)

// macs computes HMAC-SHA-256 under the ring's sub-keys. Keying one costs more than using it, so keyed
// ones are kept for the next call. It grows by a few entries a rotation of keys.
type macs struct {
	keys  *keyring.Ring
	learn func()   // asks for keys that the ring does not have yet
	keyed sync.Map // the sub-key, *[32]byte: *sync.Pool of *keyedMAC
}

type keyedMAC struct {
	hash hash.Hash
	text []byte // a copy, so that the caller's need not be on the heap
	sum  [sha256.Size]byte
}

// under returns the MAC of text under a usable key's sub-key for one purpose.
func (m *macs) under(id keyring.KeyID, p keyring.Purpose, text []byte) ([sha256.Size]byte, error) {
	key, err := m.keys.Derive(id, p)
	if errors.Is(err, keyring.ErrNoKey) {
		m.learn()
		key, err = m.keys.Derive(id, p)
	}
	if err != nil {
		return [sha256.Size]byte{}, err
	}
	return m.sum(key, text), nil
}

func (m *macs) sum(key *[32]byte, text []byte) [sha256.Size]byte {
	pool, ok := m.keyed.Load(key)
	if !ok {
		pool, _ = m.keyed.LoadOrStore(key, &sync.Pool{New: func() any { return &keyedMAC{hash: hmac.New(sha256.New, key[:])} }})
	}
	k := pool.(*sync.Pool).Get().(*keyedMAC)
	defer pool.(*sync.Pool).Put(k)
	k.hash.Reset()
	k.text = append(k.text[:0], text...)
	k.hash.Write(k.text)
	k.hash.Sum(k.sum[:0])
	return k.sum
}
