package counterfoil

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"io"
	"sort"

	"github.com/counterfoil/counterfoil/keyring"
	"golang.org/x/crypto/cryptobyte"
)

// valueSet is a session's encoded values by key. It is never changed once it is shared.
type valueSet map[string][]byte

const valuesVersion = 1

// size is what counts against Config.ValueBytes.
func (v valueSet) size() (n int) {
	for name, data := range v {
		n += len(name) + len(data)
	}
	return n
}

// with returns v with the edits done; a nil edit deletes.
func (v valueSet) with(edits map[string][]byte) valueSet {
	out := make(valueSet, len(v)+len(edits))
	for name, data := range v {
		out[name] = data
	}
	for name, data := range edits {
		if data == nil {
			delete(out, name)
		} else {
			out[name] = data
		}
	}
	return out
}

func (v valueSet) encode() ([]byte, error) {
	names := make([]string, 0, len(v))
	for name := range v {
		names = append(names, name)
	}
	sort.Strings(names)
	b := cryptobyte.NewBuilder(make([]byte, 0, 16+v.size()+8*len(v)))
	b.AddUint8(valuesVersion)
	for _, name := range names {
		b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(name)) })
		b.AddUint32LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(v[name]) })
	}
	return b.Bytes()
}

func decodeValues(data []byte) (valueSet, error) {
	in := cryptobyte.String(data)
	var version uint8
	if !in.ReadUint8(&version) || version != valuesVersion {
		return nil, errEncoding
	}
	v := valueSet{}
	last := ""
	for !in.Empty() {
		var name, value cryptobyte.String
		if !in.ReadUint8LengthPrefixed(&name) || !readUint32LengthPrefixed(&in, &value) || string(name) <= last {
			return nil, errEncoding
		}
		last = string(name)
		v[last] = value
	}
	return v, nil
}

func readUint32LengthPrefixed(in, out *cryptobyte.String) bool {
	var n uint32
	return in.ReadUint32(&n) && uint64(n) <= uint64(len(*in)) && in.ReadBytes((*[]byte)(out), int(n))
}

// valuesAEAD returns the cipher of one session's values. It takes the selector, which stands nowhere
// but in the token: store and keys together do not open them.
func (m *Manager) valuesAEAD(kid keyring.KeyID, sel *selector) (cipher.AEAD, error) {
	text := append(make([]byte, 0, 32), "cf1 values"...)
	key, err := m.macs.under(kid, keyring.Values, append(text, sel[:]...))
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func (m *Manager) sealValues(rec *Record, sel *selector, v valueSet) error {
	rec.ValuesCount++
	if len(v) == 0 {
		rec.ValuesKey, rec.Values = 0, nil
		return nil
	}
	plain, err := v.encode()
	if err != nil {
		return err
	}
	kid := m.keys.Primary()
	aead, err := m.valuesAEAD(kid, sel)
	if err != nil {
		return err
	}
	sealed := make([]byte, aead.NonceSize(), aead.NonceSize()+len(plain)+aead.Overhead())
	if _, err := io.ReadFull(m.random, sealed); err != nil {
		return err
	}
	aad := partData(make([]byte, 0, dataRoom), m.storeID, "values", rec.ID[:], rec.ValuesCount)
	rec.ValuesKey, rec.Values = kid, aead.Seal(sealed, sealed, plain, aad)
	return nil
}

func (m *Manager) openValues(rec *Record, sel *selector) (valueSet, error) {
	if len(rec.Values) == 0 {
		return valueSet{}, nil
	}
	aead, err := m.valuesAEAD(rec.ValuesKey, sel)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	n := aead.NonceSize()
	if len(rec.Values) < n {
		return nil, errUnreadable
	}
	aad := partData(make([]byte, 0, dataRoom), m.storeID, "values", rec.ID[:], rec.ValuesCount)
	plain, err := aead.Open(nil, rec.Values[:n], rec.Values[n:], aad)
	if err != nil {
		return nil, fmt.Errorf("%w: values", errUnreadable)
	}
	return decodeValues(plain)
}
