package keyring_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/keyring"
)

// vectorLine is the first key of the published vectors; it guards nothing.
const vectorLine = "cfk1_aDvl9uaku0mK7hxDCA8FxULELU_3_MyvMzpe4AWz3Oao8OiK"

// The vectors were made by another implementation (Python's hmac, hashlib, zlib and cryptography).
func readVectors(t *testing.T, name string, into any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "vectors", name))
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func ringOf(t *testing.T, key string) *keyring.Ring {
	t.Helper()
	r, err := keyring.FromKey(keyring.Key(unhex(t, key)))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// P13: separate sub-keys for each purpose.
func TestVectorsDerive(t *testing.T) {
	var v struct {
		Cases []struct {
			Key, ID, Index, Audit string
			Sub                   map[keyring.Purpose]string
		}
	}
	readVectors(t, "derive.json", &v)
	seen := map[string]bool{}
	for _, c := range v.Cases {
		r := ringOf(t, c.Key)
		if r.Primary().String() != c.ID || hex.EncodeToString(r.IndexKey()[:]) != c.Index || hex.EncodeToString(r.AuditKey()[:]) != c.Audit {
			t.Error("ID or roots differ")
		}
		for p, want := range c.Sub {
			got, err := r.Derive(r.Primary(), p)
			if err != nil || hex.EncodeToString(got[:]) != want {
				t.Errorf("%s: %v", p, err)
			}
			if seen[want] || want == c.Index || want == c.Audit || want == c.Key {
				t.Errorf("%s: the sub-key is no other", p)
			}
			seen[want] = true
		}
	}
	if len(seen) != 14 {
		t.Errorf("%d sub-keys", len(seen))
	}
}

func TestVectorsSeal(t *testing.T) {
	var v struct {
		Cases []struct {
			Key, Nonce, AAD, Plain, Sealed string
			Purpose                        keyring.Purpose
			Unix                           int64
		}
	}
	readVectors(t, "seal.json", &v)
	if len(v.Cases) != 6 {
		t.Fatal(len(v.Cases), "cases")
	}
	for _, c := range v.Cases {
		r := ringOf(t, c.Key)
		r.SetRandom(bytes.NewReader(unhex(t, c.Nonce)))
		id, sealed, err := r.Seal(c.Purpose, time.Unix(c.Unix, 0), []byte(c.AAD), []byte(c.Plain))
		if err != nil || hex.EncodeToString(sealed) != c.Sealed {
			t.Errorf("%s at %d: sealed as %x, %v", c.Purpose, c.Unix, sealed, err)
		}
		plain, err := r.Open(id, c.Purpose, []byte(c.AAD), unhex(t, c.Sealed))
		if err != nil || string(plain) != c.Plain {
			t.Errorf("%s at %d: opens as %q, %v", c.Purpose, c.Unix, plain, err)
		}
	}
}

func TestVectorsLine(t *testing.T) {
	var v struct {
		Cases []struct{ Line, Key, ID, Error string }
	}
	readVectors(t, "line.json", &v)
	if len(v.Cases) != 18 {
		t.Fatal(len(v.Cases), "cases")
	}
	errs := map[string]error{"": nil, "not a key": keyring.ErrNotKey, "cut": keyring.ErrCut, "damaged": keyring.ErrDamaged, "weak": keyring.ErrWeak}
	for _, c := range v.Cases {
		k, err := keyring.ParseKey(c.Line)
		want, known := errs[c.Error]
		if !known || !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", c.Line, err, want)
		}
		if want == nil && (hex.EncodeToString(k[:]) != c.Key || k.ID().String() != c.ID || k.Line() != c.Line) {
			t.Errorf("%q is another key", c.Line)
		}
	}
}

func TestVectorsFile(t *testing.T) {
	data, err := os.ReadFile("testdata/vectors/keys")
	if err != nil {
		t.Fatal(err)
	}
	r, err := keyring.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := r.Marshal(); err != nil || !bytes.Equal(again, data) {
		t.Error("is written as another text:", err)
	}
	if len(r.Keys()) != 3 || len(r.Usable()) != 2 {
		t.Error(r.Keys())
	}
	enabled, err := keyring.ParseKey(vectorLine)
	if err != nil || r.Usable()[1] != enabled.ID() {
		t.Error("the enabled key is another:", err)
	}
}
