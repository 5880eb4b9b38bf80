package keyring_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/keyring"
)

// framed dresses any bytes up as a key line with a good checksum.
func framed(prefix string, raw []byte) string {
	sum := crc32.ChecksumIEEE(append([]byte(prefix), raw...))
	return prefix + base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint32(bytes.Clone(raw), sum))
}

func newKey(t testing.TB) keyring.Key {
	t.Helper()
	k, err := keyring.NewKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

var placeholders = []string{
	"REPLACE_WITH_RANDOM_VALUE", "changeme", "secret", "ADMIN123", "UnSecret!", "your-256-bit-secret", "dev", "",
	strings.Repeat("\x00", 32), strings.Repeat("\xff", 32), strings.Repeat("a", 32), strings.Repeat("\xa7", 32), strings.Repeat("\xff\x07\x80\x01", 8),
	"correct horse battery staple foo", "0123456789abcdef0123456789abcdef", "ADMIN123ADMIN123ADMIN123ADMIN123",
}

// hostileKeys is what must be refused wherever a key is read: placeholders and wrong lengths in
// every dress, and good keys that were cut, grown or mistyped.
func hostileKeys(t testing.TB) map[string]string {
	bad := map[string]string{}
	for _, p := range placeholders {
		for _, pad := range []string{"", "\x00", " ", "=", p} {
			raw := p
			for pad != "" && len(raw) < 32 {
				raw += pad
			}
			name := fmt.Sprintf("%.20q padded with %.10q", p, pad)
			bad[name+", raw"] = raw
			bad[name+", hex"] = hex.EncodeToString([]byte(raw))
			bad[name+", base64"] = base64.StdEncoding.EncodeToString([]byte(raw))
			bad[name+", base64url"] = base64.RawURLEncoding.EncodeToString([]byte(raw))
			bad[name+", with our prefix"] = "cfk1_" + base64.RawURLEncoding.EncodeToString([]byte(raw))
			bad[name+", framed"] = framed("cfk1_", []byte(raw))
			left := strings.Repeat(pad, 32)
			bad[name+", padded on the left, framed"] = framed("cfk1_", []byte((left + p)[len(left+p)-min(32, len(left+p)):]))
		}
	}
	k, other := newKey(t), newKey(t)
	for _, n := range []int{0, 1, 16, 31, 32, 33, 64} {
		raw := append(k[:], other[:]...)[:n]
		bad[fmt.Sprintf("%d bytes, raw", n)] = string(raw)
		bad[fmt.Sprintf("%d bytes, hex", n)] = hex.EncodeToString(raw)
		bad[fmt.Sprintf("%d bytes, base64", n)] = base64.StdEncoding.EncodeToString(raw)
		bad[fmt.Sprintf("%d bytes, with our prefix", n)] = "cfk1_" + base64.RawURLEncoding.EncodeToString(raw)
		if n != 32 {
			bad[fmt.Sprintf("%d bytes, framed", n)] = framed("cfk1_", raw)
			padded := append(bytes.Clone(raw), make([]byte, 64)...)[:32]
			if n <= 16 {
				bad[fmt.Sprintf("%d bytes filled with zeros, framed", n)] = framed("cfk1_", padded)
			}
		}
	}
	line := k.Line()
	for i := range len(line) * 8 {
		b := []byte(line)
		b[i/8] ^= 1 << (i % 8)
		bad[fmt.Sprintf("bit %d flipped", i)] = string(b)
	}
	for i := range line {
		bad[fmt.Sprintf("cut to %d", i)] = line[:i]
	}
	for name, s := range map[string]string{
		"space before": " " + line, "space behind": line + " ", "two newlines": line + "\n\n", "return": line + "\r\n",
		"newline inside": line[:20] + "\n" + line[20:], "newline for a character": line[:20] + "\n" + line[21:],
		"padding": line + "=", "upper case": strings.ToUpper(line), "twice": line + line, "a root": framed("cfr1_", k[:]),
		"NUL behind": line + "\x00", "quotes": `"` + line + `"`, "text": "this is not a key\n", "other version": "cfk2_" + line[5:],
	} {
		bad[name] = s
	}
	return bad
}

// C22, C23, C24, C28, CD3, D6: nothing but a machine-made key is one.
func TestParseKeyRefuses(t *testing.T) {
	for name, s := range hostileKeys(t) {
		k, err := keyring.ParseKey(s)
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		if k != (keyring.Key{}) {
			t.Errorf("%s: a key came with the error", name)
		}
		known := errors.Is(err, keyring.ErrNotKey) || errors.Is(err, keyring.ErrCut) ||
			errors.Is(err, keyring.ErrDamaged) || errors.Is(err, keyring.ErrWeak)
		if !known {
			t.Errorf("%s: unknown error %v", name, err)
		}
		if len(s) > 8 && strings.Contains(err.Error(), s) { // CD14
			t.Errorf("%s: the error repeats the secret", name)
		}
	}
}

// C22: the message names the length.
func TestParseKeySaysWhatIsWrong(t *testing.T) {
	line := newKey(t).Line()
	for _, c := range []struct {
		name, line string
		want       error
		text       string
	}{
		{"empty", "", keyring.ErrNotKey, "empty"},
		{"16 bytes", strings.Repeat("k", 16), keyring.ErrNotKey, "16 bytes"},
		{"cut", line[:40], keyring.ErrCut, "40 characters instead of 53"},
		{"alphabet", line[:40] + "+" + line[41:], keyring.ErrDamaged, "base64url"},
		{"line break", line[:40] + "\n" + line[41:], keyring.ErrDamaged, "line break"},
		{"checksum", line[:52] + string(line[52]^1), keyring.ErrDamaged, ""},
		{"zeros", framed("cfk1_", make([]byte, 32)), keyring.ErrWeak, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := keyring.ParseKey(c.line)
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%v, want %v with %q", err, c.want, c.text)
			}
		})
	}
}

// C6, C19: 1,000 keys have 32 bytes each, no two are equal, and their bytes are evenly spread.
func TestGeneratedKeysAreRandom(t *testing.T) {
	const n = 1000
	var count [256]float64
	var ones [256]int // of each bit position
	seen, ids := map[keyring.Key]bool{}, map[keyring.KeyID]bool{}
	for range n {
		k := newKey(t)
		if len(k) != 32 || seen[k] || ids[k.ID()] {
			t.Fatal("not 32 new bytes with an ID of their own")
		}
		seen[k], ids[k.ID()] = true, true
		for i, b := range k {
			count[b]++
			for bit := range 8 {
				ones[i*8+bit] += int(b >> bit & 1)
			}
		}
		if again, err := keyring.ParseKey(k.Line()); err != nil || again != k {
			t.Fatal("does not come back from its line:", err)
		}
	}
	chi := 0.0
	for _, c := range count {
		const want = n * 32 / 256.0
		chi += (c - want) * (c - want) / want
	}
	if chi < 145 || chi > 390 { // 255 degrees of freedom: mean 255, deviation 22.6; six of them
		t.Errorf("chi-square of the bytes is %.1f", chi)
	}
	for i, c := range ones {
		if c < n/2-110 || c > n/2+110 { // seven deviations of 15.8
			t.Errorf("bit %d is set in %d of %d keys", i, c, n)
		}
	}
}

// G7, C28: a broken source of randomness makes no key.
func TestBrokenRandomness(t *testing.T) {
	for name, random := range map[string]io.Reader{
		"ends":  strings.NewReader("short"),
		"zeros": constant(0), "one byte": constant(0xA5), "text": constant('x'),
	} {
		t.Run(name, func(t *testing.T) {
			if k, err := keyring.NewKey(random); err == nil || k != (keyring.Key{}) {
				t.Error("a key was made:", err)
			}
			if r, err := keyring.Generate(t0, random); err == nil || r != nil {
				t.Error("a ring was made:", err)
			}
		})
	}
}

type constant byte

func (c constant) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(c)
	}
	return len(p), nil
}

func TestKeyID(t *testing.T) {
	id, err := keyring.ParseKeyID("0012abcd")
	if err != nil || id != 0x12abcd || id.String() != "0012abcd" {
		t.Fatal(id, err)
	}
	for _, bad := range []string{"", "0", "00000000", "12ABCDEF", "0x12abcd", "12abcde", "12abcdef0", "+12abcde", "12abcd g"} {
		if id, err := keyring.ParseKeyID(bad); !errors.Is(err, keyring.ErrKeyID) || id != 0 {
			t.Errorf("%q: %v %v", bad, id, err)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add("")
	f.Add("cfk1_")
	f.Add("changeme")
	f.Add(framed("cfk1_", make([]byte, 32)))
	f.Add(framed("cfk1_", []byte("REPLACE_WITH_RANDOM_VALUE\x00\x00\x00\x00\x00\x00\x00")))
	f.Add(framed("cfk1_", bytes.Repeat([]byte{0, 0xff, 7, 0x80}, 8)))
	f.Add(framed("cfk1_", []byte("\x01\xe3\x9b\x50\xf1\x0e\x02\xc4\x77\x88\xa9\x1b\xd0\x5e\x6f\x33\x21\x9c\xee\x04\xfa\x58\xb7\x40\x13\xcd\x62\x8f\x95\x2a\x70\xdb")))
	f.Fuzz(func(t *testing.T, s string) {
		k, err := keyring.ParseKey(s)
		if err == nil && k.Line() != s {
			t.Errorf("%q was taken and is written as another text", s)
		}
		if err != nil && k != (keyring.Key{}) {
			t.Error("a key came with the error")
		}
	})
}
