package audit

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
)

// chapter is how many lines one chain may have: it bounds how often the key must be ratcheted to
// check the lines that a crash left behind.
const chapter = 1 << 16

// chainID is 8 random bytes and a tag over them, so that whoever holds the key tells its own chains
// from those under a key that is gone, line by line; nobody else can make one.
type chainID [16]byte

func (c chainID) String() string { return hex.EncodeToString(c[:]) }

func parseChainID(s string) (c chainID, ok bool) {
	if len(s) != 2*len(c) {
		return c, false
	}
	if _, err := hex.Decode(c[:], []byte(s)); err != nil || c.String() != s {
		return c, false
	}
	return c, true
}

func newChainID(root *[32]byte) (c chainID) {
	rand.Read(c[:8]) // never fails: crypto/rand ends the process instead
	copy(c[8:], chainTag(root, c))
	return c
}

func chainTag(root *[32]byte, c chainID) []byte {
	sum := mac(root, []byte("counterfoil audit 1 name"), c[:8])
	return sum[:8]
}

// ours reports whether the chain was made under root.
func (c chainID) ours(root *[32]byte) bool { return hmac.Equal(c[8:], chainTag(root, c)) }

// ratchet makes the MACs of one chain's lines, one after another. What it has left behind cannot be
// made again from it.
type ratchet struct {
	key  [32]byte
	last [32]byte // MAC of the line before; zero at the first
}

func newRatchet(root *[32]byte, c chainID) ratchet {
	return ratchet{key: mac(root, []byte("counterfoil audit 1 chain"), c[:])}
}

// next returns the MAC of a line whose bytes up to its MAC are body.
func (r *ratchet) next(body []byte) [32]byte {
	r.last = mac(&r.key, r.last[:], body)
	r.skip()
	return r.last
}

// check is next for a line that claims the MAC want. If it is wrong nothing changes.
func (r *ratchet) check(body []byte, want [32]byte) bool {
	sum := mac(&r.key, r.last[:], body)
	if !hmac.Equal(sum[:], want[:]) {
		return false
	}
	r.last = sum
	r.skip()
	return true
}

func (r *ratchet) skip() { r.key = mac(&r.key, []byte("next")) }

func mac(key *[32]byte, parts ...[]byte) (sum [32]byte) {
	h := hmac.New(sha256.New, key[:])
	for _, p := range parts {
		h.Write(p)
	}
	h.Sum(sum[:0])
	return sum
}
