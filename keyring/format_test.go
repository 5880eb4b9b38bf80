package keyring_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/keyring"
)

// keyFile is a key file with a primary, an enabled and a disabled key.
func keyFile(t testing.TB) []byte {
	t.Helper()
	r := generate(t)
	first := r.Primary()
	for i := range 2 {
		if _, err := r.Rotate(t0.Add(time.Duration(i+1) * time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Revoke(t0, first); err != nil {
		t.Fatal(err)
	}
	data, err := r.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// resum puts a good checksum under a changed body, as somebody would who edits by hand and can count.
func resum(body string) string {
	return fmt.Sprintf("%ssum %x\n", body, sha256.Sum256([]byte(body)))
}

func body(file []byte) string { return string(file[:bytes.LastIndex(file, []byte("sum "))]) }

// C4, C6: what is written is read, with every key, state and time.
func TestKeyFileRoundTrip(t *testing.T) {
	data := keyFile(t)
	r, err := keyring.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	keys := r.Keys()
	want := []keyring.State{keyring.Disabled, keyring.Enabled, keyring.Primary}
	for i, k := range keys {
		if k.State != want[i] || !k.Created.Equal(t0.Add(time.Duration(i)*time.Hour)) {
			t.Errorf("key %d: %+v", i, k)
		}
	}
	if u := r.Usable(); len(u) != 2 || u[0] != keys[2].ID || u[1] != keys[1].ID || r.Primary() != u[0] {
		t.Errorf("usable %v", u)
	}
	if again, err := r.Marshal(); err != nil || !bytes.Equal(again, data) {
		t.Errorf("written again it differs: %v", err)
	}
	if !strings.Contains(string(data), keys[0].ID.String()+" disabled 2026-11-21T12:00:00Z -\n") {
		t.Error("the disabled key does not stand there without its bytes")
	}
}

// CD5: every cut and every flipped bit is refused; a cut says that it is one.
func TestKeyFileCutOrFlipped(t *testing.T) {
	data := keyFile(t)
	for n := range data {
		_, err := keyring.Parse(data[:n])
		want := keyring.ErrCut
		if n == 0 {
			want = keyring.ErrNotKey
		}
		if !errors.Is(err, want) {
			t.Errorf("cut to %d of %d bytes: %v", n, len(data), err)
		}
	}
	for i := range len(data) * 8 {
		bad := bytes.Clone(data)
		bad[i/8] ^= 1 << (i % 8)
		if _, err := keyring.Parse(bad); err == nil {
			t.Errorf("bit %d flipped: accepted", i)
		} else if i/8 > 20 && i/8 < len(data)-70 && !errors.Is(err, keyring.ErrDamaged) {
			t.Errorf("bit %d flipped: %v", i, err)
		}
	}
	if _, err := keyring.Parse(append(data, "more\n"...)); !errors.Is(err, keyring.ErrDamaged) {
		t.Error("something behind the end:", err)
	}
}

// C24, C28, CD3, CD6: a file with a good checksum is no reason to take a bad key.
func TestKeyFileContent(t *testing.T) {
	good := body(keyFile(t))
	lines := strings.SplitAfter(good, "\n") // version, wrap, two roots, three keys
	for name, c := range map[string]struct {
		body string
		want error
	}{
		"newer version":        {strings.Replace(good, "keys 1", "keys 2", 1), keyring.ErrVersion},
		"no version":           {strings.Replace(good, "keys 1", "keys ", 1), keyring.ErrVersion},
		"wrapped":              {strings.Replace(good, "wrap none", "wrap age", 1), keyring.ErrWrapped},
		"no wrap line":         {strings.Replace(good, lines[1], "", 1), keyring.ErrWrapped},
		"no lines":             {lines[0], keyring.ErrDamaged},
		"no root":              {strings.Replace(good, lines[3], "", 1), keyring.ErrDamaged},
		"roots exchanged":      {lines[0] + lines[1] + lines[3] + lines[2] + lines[4], keyring.ErrDamaged},
		"weak root":            {lines[0] + lines[1] + "root index " + framed("cfr1_", make([]byte, 32)) + "\n" + strings.Join(lines[3:], ""), keyring.ErrWeak},
		"key as root":          {strings.Replace(good, "cfr1_", "cfk1_", 1), keyring.ErrNotKey},
		"no keys":              {strings.Join(lines[:4], ""), keyring.ErrDamaged},
		"no primary":           {strings.Join(lines[:6], ""), keyring.ErrDamaged},
		"two primaries":        {strings.Replace(good, "enabled", "primary", 1), keyring.ErrDamaged},
		"key twice":            {good + lines[5], keyring.ErrDamaged},
		"unknown state":        {strings.Replace(good, "enabled", "maybe", 1), keyring.ErrDamaged},
		"wrong ID":             {strings.Replace(good, lines[6][4:12], "00000001", 1), keyring.ErrDamaged},
		"zero ID":              {strings.Replace(good, lines[6][4:12], "00000000", 1), keyring.ErrKeyID},
		"bytes of a disabled":  {strings.Replace(good, "enabled", "disabled", 1), keyring.ErrDamaged},
		"primary without":      {strings.Replace(good, "disabled", "enabled", 1), keyring.ErrNotKey},
		"time in another zone": {strings.Replace(good, "12:00:00Z", "12:00:00+00:00", 1), keyring.ErrDamaged},
		"no time":              {strings.Replace(good, "2026-11-21T12", "yesterday", 1), keyring.ErrDamaged},
		"empty line":           {good + "\n", keyring.ErrDamaged},
		"more words":           {strings.Replace(good, "\nkey ", "\nkey  ", 1), keyring.ErrDamaged},
		"returns":              {strings.ReplaceAll(good, "\n", "\r\n"), keyring.ErrVersion},
		"zero key": {strings.Join(lines[:4], "") + "key 0a0a0a0a primary - " + framed("cfk1_", make([]byte, 32)) + "\n",
			keyring.ErrWeak},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := keyring.Parse([]byte(resum(c.body)))
			if !errors.Is(err, c.want) || r != nil {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
	if _, err := keyring.Parse([]byte(resum(good))); err != nil {
		t.Error("the unchanged file:", err)
	}
}

// C22–C24, CD3, CD6: hostile keys are refused as the content of a file too, with a newline and without.
func TestParseRefusesHostileKeys(t *testing.T) {
	for name, s := range hostileKeys(t) {
		for _, end := range []string{"", "\n"} {
			if r, err := keyring.Parse([]byte(s + end)); err == nil || r != nil {
				t.Errorf("%s, %q at its end: accepted", name, end)
			}
		}
	}
}

// D6: one line in a file gives the same keys and roots as anywhere else.
func TestParseOneLine(t *testing.T) {
	k := newKey(t)
	want, err := keyring.FromKey(k)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{k.Line(), k.Line() + "\n"} {
		r, err := keyring.Parse([]byte(text))
		if err != nil || r.Fingerprint() != want.Fingerprint() || *r.IndexKey() != *want.IndexKey() || *r.AuditKey() != *want.AuditKey() {
			t.Error("another ring:", err)
		}
	}
	whole, err := want.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if r, err := keyring.Parse(whole); err != nil || r.Fingerprint() != want.Fingerprint() {
		t.Error("written as a whole file it differs:", err)
	}
}

func FuzzParse(f *testing.F) {
	k, err := keyring.ParseKey(vectorLine)
	if err != nil {
		f.Fatal(err)
	}
	r, err := keyring.FromKey(k)
	if err != nil {
		f.Fatal(err)
	}
	whole, err := r.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	good := body(whole)
	f.Add(good)
	f.Add(vectorLine)
	f.Add("")
	f.Add("counterfoil-keys 1\n")
	f.Add(strings.Replace(good, "none", "age", 1))
	f.Add(strings.Replace(good, " - ", " 2026-11-21T12:00:00Z ", 1))
	f.Add(strings.Replace(good, "primary", "enabled", 1))
	f.Fuzz(func(t *testing.T, s string) {
		for _, text := range []string{s, resum(s)} { // with the checksum, the parser behind it is reached
			r, err := keyring.Parse([]byte(text))
			if err != nil {
				if r != nil {
					t.Error("a ring came with the error")
				}
				continue
			}
			if id, sealed, err := r.Seal(keyring.Identity, t0, nil, []byte("x")); err != nil || id != r.Primary() || len(sealed) == 0 {
				t.Error("a ring that does not seal:", err)
			}
			again, err := r.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			if string(again) != text && strings.TrimSuffix(text, "\n") == text && !strings.HasPrefix(text, "cfk1_") {
				t.Errorf("%q was taken and is written as another text", text)
			}
		}
	})
}
