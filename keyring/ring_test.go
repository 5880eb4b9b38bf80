package keyring_test

import (
	"bytes"
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

func TestSealOpen(t *testing.T) {
	r := generate(t)
	id, sealed, err := r.Seal(keyring.Identity, t0, []byte("aad"), []byte("plain"))
	if err != nil || id != r.Primary() {
		t.Fatal(id, err)
	}
	plain, err := r.Open(id, keyring.Identity, []byte("aad"), sealed)
	if err != nil || string(plain) != "plain" {
		t.Fatalf("%q %v", plain, err)
	}
	if bytes.Contains(sealed, []byte("plain")) {
		t.Error("the sealed text shows the plain one")
	}
	for i := range len(sealed) * 8 {
		bad := bytes.Clone(sealed)
		bad[i/8] ^= 1 << (i % 8)
		if _, err := r.Open(id, keyring.Identity, []byte("aad"), bad); !errors.Is(err, keyring.ErrSealed) {
			t.Fatalf("bit %d flipped: %v", i, err)
		}
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
