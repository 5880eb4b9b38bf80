package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"sync"
	"time"
)

// Purpose binds a sub-key to one use. Any text will do; it is part of what is sealed with it.
type Purpose string

const (
	Identity Purpose = "identity" // sealing the identity part of records
	Values   Purpose = "values"   // MAC of the selector: the key of a session's values
	Verifier Purpose = "verifier" // MAC that yields the key of a token's generations
	Selector Purpose = "selector" // tag in a selector
	Detail   Purpose = "detail"   // sealing details of log entries
)

const (
	sealVersion = 1
	sealPeriod  = 24 * time.Hour
	headLength  = 1 + 4 // version, period
	nonceLength = 12
	tagLength   = 16
	cacheLimit  = 128 // AEADs of one key in one generation of its cache
)

// key is a key in use with what was derived from it. Its bytes go when it is disabled.
type key struct {
	id      KeyID
	created time.Time

	mu      sync.RWMutex
	erased  bool
	bytes   Key
	derived map[Purpose]*[32]byte

	// Two generations: when young is full it becomes old, and old is forgotten. Only what has
	// sealed or opened something gets in, so that invented periods cost no memory.
	young, old map[sealKey]cipher.AEAD
}

type sealKey struct {
	purpose Purpose
	period  uint32
}

func newKey(k Key, created time.Time) *key {
	if !created.IsZero() {
		created = created.UTC().Truncate(time.Second)
	}
	return &key{id: k.ID(), created: created, bytes: k}
}

// expand derives 32 bytes by HKDF-SHA-256 without salt.
func expand(k *Key, info string) *[32]byte {
	out, err := hkdf.Key(sha256.New, k[:], nil, "counterfoil/1 "+info, 32)
	if err != nil {
		panic(err) // only for lengths that are not asked for here
	}
	return (*[32]byte)(out)
}

// erase forgets the key's bytes. Sub-keys that were handed out live on with their holders.
func (k *key) erase() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.erased = true
	clear(k.bytes[:])
	k.derived, k.young, k.old = nil, nil, nil
}

// Derive returns the 32-byte sub-key of a usable key for one purpose (HKDF-SHA-256). It is cached:
// only the first call of a key and purpose computes. The caller must not change or print it. [ErrNoKey].
func (r *Ring) Derive(id KeyID, p Purpose) (*[32]byte, error) {
	k, err := r.snapshot().find(id)
	if err != nil {
		return nil, err
	}
	k.mu.RLock()
	sub := k.derived[p]
	k.mu.RUnlock()
	if sub != nil {
		return sub, nil
	}
	return k.derive(p)
}

func (k *key) derive(p Purpose) (*[32]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.erased {
		return nil, ErrNoKey
	}
	if sub := k.derived[p]; sub != nil {
		return sub, nil
	}
	if k.derived == nil {
		k.derived = make(map[Purpose]*[32]byte)
	}
	sub := expand(&k.bytes, "sub "+string(p))
	k.derived[p] = sub
	return sub, nil
}

// Seal encrypts plain with AES-256-GCM under a sub-key of the primary that is good for one purpose
// and the day of at (UTC), with a random nonce; aad is bound to it but not in it. It returns the key
// that it took. [ErrNoKey].
func (r *Ring) Seal(p Purpose, at time.Time, aad, plain []byte) (KeyID, []byte, error) {
	one := [...]Part{{Purpose: p, AAD: aad, Plain: plain}}
	id, err := r.SealAll(at, one[:])
	return id, one[0].Sealed, err
}

// Part is one of what [Ring.SealAll] seals.
type Part struct {
	Purpose    Purpose
	AAD, Plain []byte
	Sealed     []byte // set by SealAll; it may lie beside those of the other parts
}

// SealAll does what [Ring.Seal] does for each of the parts, all under the same key, with one look at the
// source of randomness and one piece of memory.
func (r *Ring) SealAll(at time.Time, parts []Part) (KeyID, error) {
	for {
		s := r.snapshot()
		k, err := s.find(s.primary())
		if err != nil {
			return 0, err
		}
		if err = k.sealAll(r.random, period(at), parts); err == nil {
			return k.id, nil
		}
		if r.snapshot() == s { // else it was revoked meanwhile: the next primary seals
			return 0, err
		}
	}
}

func (k *key) sealAll(random io.Reader, day uint32, parts []Part) error {
	nonces, length := len(parts)*nonceLength, 0
	for i := range parts {
		length += headLength + nonceLength + len(parts[i].Plain) + tagLength
	}
	out := make([]byte, nonces, nonces+length)
	if err := fill(random, out); err != nil {
		return err
	}
	for i := range parts {
		p, sk := &parts[i], sealKey{parts[i].Purpose, day}
		aead, kept, err := k.aead(sk)
		if err != nil {
			return err
		}
		nonce, start := out[i*nonceLength:(i+1)*nonceLength], len(out)
		out = binary.BigEndian.AppendUint32(append(out, sealVersion), day)
		out = aead.Seal(append(out, nonce...), nonce, p.Plain, p.AAD)
		p.Sealed = out[start:len(out):len(out)]
		if !kept {
			k.keep(sk, aead)
		}
	}
	return nil
}

// Open undoes [Ring.Seal]. [ErrNoKey]: no usable key of that ID; [ErrSealed]: damaged, foreign,
// another purpose or another aad.
func (r *Ring) Open(id KeyID, p Purpose, aad, sealed []byte) ([]byte, error) {
	k, err := r.snapshot().find(id)
	if err != nil {
		return nil, err
	}
	if len(sealed) < headLength+nonceLength+tagLength || sealed[0] != sealVersion {
		return nil, ErrSealed
	}
	sk := sealKey{p, binary.BigEndian.Uint32(sealed[1:])}
	aead, kept, err := k.aead(sk)
	if err != nil {
		return nil, err
	}
	nonce, text := sealed[headLength:headLength+nonceLength], sealed[headLength+nonceLength:]
	plain, err := aead.Open(nil, nonce, text, aad)
	if err != nil {
		return nil, ErrSealed
	}
	if !kept {
		k.keep(sk, aead)
	}
	return plain, nil
}

// period counts days since 1970; what lies outside of its range takes the nearest end.
func period(at time.Time) uint32 {
	return uint32(min(max(at.Unix()/int64(sealPeriod/time.Second), 0), math.MaxUint32))
}

// aead returns the cipher from the cache, or makes it; kept: keep need not be told of it.
func (k *key) aead(sk sealKey) (aead cipher.AEAD, kept bool, err error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.erased {
		return nil, false, ErrNoKey
	}
	if aead := k.young[sk]; aead != nil {
		return aead, true, nil
	}
	if aead := k.old[sk]; aead != nil {
		return aead, false, nil
	}
	info := fmt.Appendf(nil, "seal %s\x00", sk.purpose)
	sub := expand(&k.bytes, string(binary.BigEndian.AppendUint32(info, sk.period)))
	block, err := aes.NewCipher(sub[:])
	if err != nil {
		return nil, false, err
	}
	aead, err = cipher.NewGCM(block)
	return aead, false, err
}

// keep puts a cipher that proved good into the young generation.
func (k *key) keep(sk sealKey, aead cipher.AEAD) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.erased || k.young[sk] != nil {
		return
	}
	if len(k.young) >= cacheLimit || k.young == nil {
		k.old, k.young = k.young, make(map[sealKey]cipher.AEAD)
	}
	k.young[sk] = aead
}
