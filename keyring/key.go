package keyring

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"
	"strings"
)

// KeyID names a key. It is derived from the key's bytes, 32 bits of them, and is no secret. The
// zero KeyID names none.
type KeyID uint32

// String returns 8 lower-case hexadecimal digits.
func (id KeyID) String() string { return fmt.Sprintf("%08x", uint32(id)) }

// ErrKeyID says that a text is not 8 lower-case hexadecimal digits, or names no key.
var ErrKeyID = errors.New("keyring: a key ID has 8 digits 0-9a-f and is not zero; `counterfoil key list` shows them")

// ParseKeyID reads what String wrote, and nothing else. [ErrKeyID].
func ParseKeyID(s string) (KeyID, error) {
	n, err := strconv.ParseUint(s, 16, 32)
	if id := KeyID(n); err == nil && id != 0 && id.String() == s {
		return id, nil
	}
	return 0, ErrKeyID
}

// Key is 32 secret bytes made by a machine. It prints as [redacted]; only [Key.Line] shows it. The
// zero Key is no key and is refused everywhere.
type Key [32]byte

const (
	keyPrefix  = "cfk1_" // a key
	rootPrefix = "cfr1_" // a root, in a key file
	lineLength = len(keyPrefix) + 48
)

// Errors of a key or its text. They never hold a part of what was read.
var (
	ErrNotKey  = errors.New("not a key made by `counterfoil key generate`")
	ErrCut     = errors.New("cut off, or something was added")
	ErrDamaged = errors.New("damaged: its checksum does not match")
	ErrWeak    = errors.New("bytes that no random source makes (a placeholder, text or padding)")
)

// NewKey makes a key. A nil random means crypto/rand. [ErrWeak]: random is broken.
func NewKey(random io.Reader) (Key, error) {
	var k Key
	if err := fill(random, k[:]); err != nil {
		return Key{}, err
	}
	if err := k.check(); err != nil {
		return Key{}, fmt.Errorf("keyring: the source of randomness is broken, no key was made: %w", err)
	}
	return k, nil
}

// ID returns the key's name, the same everywhere.
func (k Key) ID() KeyID { return KeyID(binary.BigEndian.Uint32(expand(&k, "id")[:4])) }

// Line returns the key as text, the one form in which people and machines hand it on; see the
// package's documentation for the format. It is a secret.
func (k Key) Line() string { return k.line(keyPrefix) }

func (k *Key) line(prefix string) string {
	sum := crc32.Update(crc32.ChecksumIEEE([]byte(prefix)), crc32.IEEETable, k[:])
	return prefix + base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint32(k[:], sum))
}

// ParseKey reads what [Key.Line] wrote and nothing else: no white space, no other encoding, no bare
// bytes. Errors: [ErrNotKey], [ErrCut], [ErrDamaged], [ErrWeak].
func ParseKey(line string) (Key, error) { return parseLine(line, keyPrefix) }

func parseLine(line, prefix string) (Key, error) {
	text, ok := strings.CutPrefix(line, prefix)
	switch {
	case line == "":
		return Key{}, fmt.Errorf("it is empty: %w", ErrNotKey)
	case !ok:
		return Key{}, fmt.Errorf("it has %d bytes and does not begin with %s: %w", len(line), prefix, ErrNotKey)
	case len(line) != lineLength:
		return Key{}, fmt.Errorf("it has %d characters instead of %d: %w", len(line), lineLength, ErrCut)
	case strings.ContainsAny(text, "\r\n"): // the decoder would pass over them
		return Key{}, fmt.Errorf("it has a line break in it: %w", ErrDamaged)
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return Key{}, fmt.Errorf("it has a character that is not base64url: %w", ErrDamaged)
	}
	k := Key(raw[:32])
	if k.line(prefix) != line {
		return Key{}, ErrDamaged
	}
	if err := k.check(); err != nil {
		return Key{}, err
	}
	return k, nil
}

// check refuses what people and bugs put where a key belongs: one byte over and over, few different
// bytes, a long run (padding), and text with or without padding. A random key fails it with a
// probability below 10^-12.
func (k *Key) check() error {
	var seen [256]bool
	distinct, run, longest := 0, 0, 0
	for i, b := range k {
		if !seen[b] {
			seen[b] = true
			distinct++
		}
		if i == 0 || k[i-1] != b {
			run = 0
		}
		run++
		longest = max(longest, run)
	}
	if longest >= 8 || distinct <= 12 || k.text() || k.ID() == 0 {
		return ErrWeak
	}
	return nil
}

// text reports whether the key is printable between runs of one byte at its ends.
func (k *Key) text() bool {
	from, to := 0, len(k)
	for from < to && k[from] == k[0] {
		from++
	}
	for to > from && k[to-1] == k[len(k)-1] {
		to--
	}
	for _, b := range k[from:to] {
		if b < ' ' || b > '~' {
			return false
		}
	}
	return true
}
