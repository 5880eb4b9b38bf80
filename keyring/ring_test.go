package keyring_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/keyring"
)

var t0 = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func generate(t testing.TB) *keyring.Ring {
	t.Helper()
	r, err := keyring.Generate(t0, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// P1, P13: what is sealed shows nothing, and opens only whole, in its place and for its purpose.
func TestSealOpen(t *testing.T) {
	r := generate(t)
	aad, plain := []byte("store 1, part 2"), []byte("alice, who must not be seen")
	id, sealed, err := r.Seal(keyring.Identity, t0, aad, plain)
	if err != nil || id != r.Primary() {
		t.Fatal(id, err)
	}
	if bytes.Contains(sealed, plain[:5]) || bytes.Contains(sealed, aad[:5]) {
		t.Error("the sealed text shows something")
	}
	if got, err := r.Open(id, keyring.Identity, aad, sealed); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("%q %v", got, err)
	}
	for i := range len(sealed) * 8 {
		bad := bytes.Clone(sealed)
		bad[i/8] ^= 1 << (i % 8)
		if _, err := r.Open(id, keyring.Identity, aad, bad); !errors.Is(err, keyring.ErrSealed) {
			t.Fatalf("bit %d flipped: %v", i, err)
		}
	}
	for n := range sealed {
		if _, err := r.Open(id, keyring.Identity, aad, sealed[:n]); !errors.Is(err, keyring.ErrSealed) {
			t.Fatalf("cut to %d: %v", n, err)
		}
	}
	other := generate(t)
	for name, open := range map[string]func() ([]byte, error){
		"other aad":     func() ([]byte, error) { return r.Open(id, keyring.Identity, aad[:3], sealed) },
		"other purpose": func() ([]byte, error) { return r.Open(id, keyring.Detail, aad, sealed) },
		"longer":        func() ([]byte, error) { return r.Open(id, keyring.Identity, aad, append(sealed, 0)) },
	} {
		if got, err := open(); !errors.Is(err, keyring.ErrSealed) || got != nil {
			t.Errorf("%s: %q %v", name, got, err)
		}
	}
	if _, err := other.Open(id, keyring.Identity, aad, sealed); !errors.Is(err, keyring.ErrNoKey) {
		t.Error("another ring:", err)
	}
	if _, err := other.Open(other.Primary(), keyring.Identity, aad, sealed); !errors.Is(err, keyring.ErrSealed) {
		t.Error("another key:", err)
	}
}

// No nonce serves twice, and the sub-key changes with the day.
func TestSealIsFresh(t *testing.T) {
	r := generate(t)
	seen := map[string]bool{}
	for range 1000 {
		_, sealed, err := r.Seal(keyring.Identity, t0, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if nonce := string(sealed[5:17]); seen[nonce] {
			t.Fatal("a nonce came twice")
		} else {
			seen[nonce] = true
		}
	}
	r.SetRandom(constant(7)) // the same nonce: what differs is the sub-key
	_, a, _ := r.Seal(keyring.Identity, t0, nil, make([]byte, 32))
	_, same, _ := r.Seal(keyring.Identity, t0.Add(time.Hour), nil, make([]byte, 32))
	_, b, _ := r.Seal(keyring.Identity, t0.Add(24*time.Hour), nil, make([]byte, 32))
	_, c, _ := r.Seal(keyring.Detail, t0, nil, make([]byte, 32))
	if !bytes.Equal(a, same) || bytes.Equal(a[17:], b[17:]) || bytes.Equal(a[17:], c[17:]) {
		t.Error("the sub-key does not follow the day and the purpose")
	}
	r.SetRandom(bytes.NewReader(nil))
	if id, sealed, err := r.Seal(keyring.Identity, t0, nil, nil); err == nil || sealed != nil || id != 0 {
		t.Error("sealed without randomness")
	}
}

// Invented periods cost no memory, and honest ones only a bounded amount.
func TestCacheIsBounded(t *testing.T) {
	r := generate(t)
	id, sealed, err := r.Seal(keyring.Identity, t0, nil, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	before := r.CachedAEADs(id)
	for i := range uint32(1000) {
		bad := bytes.Clone(sealed)
		binary.BigEndian.PutUint32(bad[1:], i)
		if _, err := r.Open(id, keyring.Identity, nil, bad); !errors.Is(err, keyring.ErrSealed) {
			t.Fatal(err)
		}
	}
	if after := r.CachedAEADs(id); after != before || before != 1 {
		t.Errorf("%d ciphers cached, then %d", before, after)
	}
	data, err := r.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	reader, err := keyring.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reader.Open(id, keyring.Identity, nil, sealed); err != nil || reader.CachedAEADs(id) != 1 {
		t.Error("what has opened something is not cached:", err)
	}
	for i := range 1000 {
		_, old, err := r.Seal(keyring.Identity, t0.AddDate(0, 0, -i), nil, []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Open(id, keyring.Identity, nil, old); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Open(id, keyring.Identity, nil, sealed); err != nil {
			t.Fatal(err)
		}
		if n := r.CachedAEADs(id); n > keyring.CacheLimit {
			t.Fatal(n, "ciphers cached")
		}
	}
}

// G7: without keys there is no key at all, rather than a weak one.
func TestZeroRing(t *testing.T) {
	for name, r := range map[string]*keyring.Ring{"zero": {}, "nil": nil} {
		t.Run(name, func(t *testing.T) {
			if r.Primary() != 0 || len(r.Usable()) != 0 || len(r.Keys()) != 0 || r.IndexKey() != nil || r.AuditKey() != nil {
				t.Error("it has keys")
			}
			_, derive := r.Derive(0, keyring.Values)
			_, sealed, seal := r.Seal(keyring.Identity, t0, nil, nil)
			_, open := r.Open(0, keyring.Identity, nil, nil)
			_, marshal := r.Marshal()
			_, rotate := r.Rotate(t0)
			for i, err := range []error{derive, seal, open, marshal, rotate, r.Revoke(t0, 0), r.Retire(0, 0), r.Reload()} {
				if !errors.Is(err, keyring.ErrNoKey) {
					t.Error(i, err)
				}
			}
			if sealed != nil || r.String() != "keyring none" || r.Source() != (keyring.Source{}) || r.Source().String() != "none" {
				t.Error(r.String(), r.Source())
			}
		})
	}
	if r, err := keyring.FromKey(keyring.Key{}); !errors.Is(err, keyring.ErrWeak) || r != nil {
		t.Error("a ring of the zero key:", err)
	}
}

func TestDeriveIsCached(t *testing.T) {
	r := generate(t)
	first, err := r.Derive(r.Primary(), keyring.Verifier)
	if err != nil {
		t.Fatal(err)
	}
	id := r.Primary()
	if n := testing.AllocsPerRun(100, func() {
		if again, _ := r.Derive(id, keyring.Verifier); again != first {
			t.Fatal("another sub-key")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// What is sealed together opens apart, and no two parts share a nonce, even of one purpose.
func TestSealAll(t *testing.T) {
	at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	r, err := keyring.Generate(at, nil)
	if err != nil {
		t.Fatal(err)
	}
	parts := []keyring.Part{
		{Purpose: keyring.Identity, AAD: []byte("one"), Plain: []byte("first")},
		{Purpose: keyring.Identity, AAD: []byte("two"), Plain: nil},
		{Purpose: keyring.Detail, AAD: nil, Plain: bytes.Repeat([]byte("long"), 1000)},
		{Purpose: keyring.Identity, AAD: []byte("one"), Plain: []byte("first")},
	}
	id, err := r.SealAll(at, parts)
	if err != nil || id != r.Primary() {
		t.Fatal(id, err)
	}
	nonces := map[string]bool{}
	for i, p := range parts {
		plain, err := r.Open(id, p.Purpose, p.AAD, p.Sealed)
		if err != nil || !bytes.Equal(plain, p.Plain) {
			t.Errorf("part %d opens as %q, %v", i, plain, err)
		}
		nonces[string(p.Sealed[5:17])] = true
		if cap(p.Sealed) != len(p.Sealed) {
			t.Errorf("part %d can grow into the next", i)
		}
	}
	if len(nonces) != len(parts) {
		t.Errorf("%d nonces for %d parts", len(nonces), len(parts))
	}
}
