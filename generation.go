package counterfoil

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"time"

	"github.com/counterfoil/counterfoil/keyring"
)

// verifiers turns generation numbers into the second half of a token and back (R1). Making one
// writes nothing, and every one ever issued is recognised for ever.
type verifiers struct{ block cipher.Block }

func newVerifiers(k *macs, kid keyring.KeyID, kind Kind, id ID, sel *selector, seed *[16]byte) (verifiers, error) {
	text := make([]byte, 0, 64)
	text = append(text, "cf1 verifier"...)
	text = append(text, byte(kind))
	text = append(text, id[:]...)
	text = append(text, sel[:]...)
	text = append(text, seed[:]...)
	key, err := k.under(kid, keyring.Verifier, text)
	if err != nil {
		return verifiers{}, err
	}
	block, err := aes.NewCipher(key[:])
	return verifiers{block}, err
}

// of returns the verifier of generation n.
func (v verifiers) of(n uint32) (out verifier) {
	binary.BigEndian.PutUint32(out[:], n)
	v.block.Encrypt(out[:], out[:])
	return out
}

// generation returns the number that a verifier stands for; ok is false for a forgery.
func (v verifiers) generation(in verifier) (n uint32, ok bool) {
	var out, zero [16]byte
	v.block.Decrypt(out[:], in[:])
	n = binary.BigEndian.Uint32(out[:])
	return n, subtle.ConstantTimeCompare(out[4:], zero[4:]) == 1 && n != 0
}

// generations is what a record knows of its token's renewals.
type generations struct {
	curSince       int64  // ms: when cur was first presented
	cur, prev, top uint32 // prev: still good until settled; top: the highest that a raise ever took
	settled        bool
}

// ruling is what R2 says of a presented generation.
type ruling uint8

const (
	rulingCurrent ruling = iota // accept; the successor may be due
	rulingConfirm               // accept after moving on to it
	rulingBehind                // accept, send nothing
	rulingSettle                // accept after retiring prev
	rulingReplay                // a retired one came back: end the session
)

// judge applies R2 to generation n at now (ms).
func (g *generations) judge(n uint32, now int64, grace time.Duration) ruling {
	switch {
	case n > g.cur:
		return rulingConfirm
	case n == g.cur && !g.settled && now >= g.curSince+grace.Milliseconds():
		return rulingSettle
	case n == g.cur:
		return rulingCurrent
	case n >= g.prev && !g.settled:
		return rulingBehind
	default:
		return rulingReplay
	}
}

// confirm moves on to n.
func (g *generations) confirm(n uint32, now int64) {
	if g.settled {
		g.prev = g.cur
	}
	g.cur, g.curSince, g.settled = n, now, false
}

// settle retires prev.
func (g *generations) settle() { g.settled = true }

// due reports whether a presenter of cur is to be sent the successor.
func (g *generations) due(now int64, interval time.Duration) bool {
	return g.settled && now >= g.curSince+interval.Milliseconds()
}

// successor returns the generation after cur. A number that a raise took never serves twice.
func (g *generations) successor() uint32 { return max(g.cur, g.top) + 1 }
