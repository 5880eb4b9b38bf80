package counterfoil

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"io"

	"github.com/counterfoil/counterfoil/keyring"
)

// tokenChars is the length of a token on the wire: 32 bytes of base64url without padding.
const tokenChars = 43

var tokenEncoding = base64.RawURLEncoding.Strict()

// token is the secret that a client presents: selector, then verifier.
type token struct {
	selector selector
	verifier verifier
}

type (
	// selector finds the record: 12 random bytes, then a tag of 4 that keeps floods of random
	// tokens from the store (R15).
	selector [16]byte
	// verifier proves the token: an encrypted generation number (R1).
	verifier [16]byte
)

func (token) String() string             { return "[token]" }
func (token) GoString() string           { return "[token]" }
func (token) Format(f fmt.State, _ rune) { io.WriteString(f, "[token]") }
func (selector) String() string          { return "[selector]" }
func (verifier) String() string          { return "[verifier]" }

// sextets are the values of base64url's characters; xx is that of all others, beginning with 0.
var sextets = [256]byte{
	xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx,
	xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx,
	xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, 62, xx, xx,
	52, 53, 54, 55, 56, 57, 58, 59, 60, 61, xx, xx, xx, xx, xx, xx,
	xx, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
	15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, xx, xx, xx, xx, 63,
	xx, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
	41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, xx, xx, xx, xx, xx,
	xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx,
	xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx,
	xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx,
	xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx,
	xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx,
	xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx,
	xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx,
	xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx, xx,
}

const xx = 0xFF

// parseToken reads the one form that a token has. It decodes by itself what has a fixed length, in half
// the time of encoding/base64, and says the same.
func parseToken(s string) (t token, ok bool) {
	if len(s) != tokenChars {
		return token{}, false
	}
	var out [32]byte
	var all byte
	for i, o := 0, 0; o < 30; i, o = i+4, o+3 {
		a, b, c, d := sextets[s[i]], sextets[s[i+1]], sextets[s[i+2]], sextets[s[i+3]]
		out[o], out[o+1], out[o+2] = a<<2|b>>4, b<<4|c>>2, c<<6|d
		all |= a | b | c | d
	}
	a, b, c := sextets[s[40]], sextets[s[41]], sextets[s[42]]
	out[30], out[31] = a<<2|b>>4, b<<4|c>>2
	all |= a | b | c | c<<6 // the last two bits say nothing and must be zero
	if all > 63 {
		return token{}, false
	}
	copy(t.selector[:], out[:16])
	copy(t.verifier[:], out[16:])
	return t, true
}

// reveal returns the token as a client presents it.
func (t token) reveal() string { return string(t.append(nil)) }

// append writes the token as a client presents it.
func (t *token) append(b []byte) []byte {
	var both [32]byte
	copy(both[:16], t.selector[:])
	copy(both[16:], t.verifier[:])
	return tokenEncoding.AppendEncode(b, both[:])
}

// id returns the name of the session that the selector finds.
func (s *selector) id() (id ID) {
	sum := sha256.Sum256(s[:])
	copy(id[:], sum[:])
	return id
}

// newSelector makes a selector of 12 random bytes, with a tag under the ring's primary key.
func newSelector(k *macs, random []byte) (s selector, kid keyring.KeyID, err error) {
	copy(s[:12], random)
	kid = k.keys.Primary()
	tag, err := k.under(kid, keyring.Selector, s[:12])
	copy(s[12:], tag[:])
	return s, kid, err
}

// tagged reports whether s carries a tag under any usable key.
func tagged(k *macs, s *selector) bool {
	for _, kid := range k.keys.Usable() {
		tag, err := k.under(kid, keyring.Selector, s[:12])
		if err == nil && subtle.ConstantTimeCompare(tag[:4], s[12:]) == 1 {
			return true
		}
	}
	return false
}

// nonceSelector derives a selector from a sign-in form's nonce, so that the same form sent twice
// finds the same session.
func nonceSelector(k *macs, realm, subject, nonce string) (s selector, kid keyring.KeyID, err error) {
	kid = k.keys.Primary()
	text := fmt.Appendf(nil, "cf1 nonce %d %d %d %s%s%s", len(realm), len(subject), len(nonce), realm, subject, nonce)
	sum, err := k.under(kid, keyring.Selector, text)
	if err != nil {
		return selector{}, 0, err
	}
	copy(s[:12], sum[:])
	tag, err := k.under(kid, keyring.Selector, s[:12])
	copy(s[12:], tag[:])
	return s, kid, err
}
