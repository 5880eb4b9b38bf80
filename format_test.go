package counterfoil

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/keyring"
)

func FuzzToken(f *testing.F) { // P21–P25, P93
	good := token{selector{1, 2, 3}, verifier{4, 5, 6}}.reveal()
	for _, s := range []string{good, good[:42], good + "A", "", strings.Repeat("A", 43), strings.Repeat("/", 43), good[:42] + "=", "../" + good[3:], good[:20] + "\n" + good[21:]} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		sameAsStandard(t, s)
		tok, ok := parseToken(s)
		if ok && tok.reveal() != s {
			t.Errorf("%q is taken, but written %q: two texts for one token", s, tok.reveal())
		}
	})
}

// Every byte at every place of a token is taken, refused and read as encoding/base64 does.
func TestTokenDecodesAsTheStandard(t *testing.T) { // P21–P25
	good := []byte(token{selector{0x5a, 2, 0xff}, verifier{15: 0xf0}}.reveal())
	for at := range good {
		for c := range 256 {
			s := bytes.Clone(good)
			s[at] = byte(c)
			sameAsStandard(t, string(s))
		}
	}
}

func sameAsStandard(t *testing.T, s string) {
	t.Helper()
	raw, err := tokenEncoding.DecodeString(s)
	want := err == nil && len(s) == tokenChars && !strings.ContainsAny(s, "\r\n") // which it passes over
	tok, ok := parseToken(s)
	if ok != want || ok && !bytes.Equal(raw, append(tok.selector[:], tok.verifier[:]...)) {
		t.Errorf("%q is read as %x, %v; encoding/base64 says %x, %v", s, append(tok.selector[:], tok.verifier[:]...), ok, raw, err)
	}
}

func FuzzCookieHeader(f *testing.F) { // C14, P93
	c, err := newCookies(Cookie{})
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{"", ";;;", "__Host-Http-session=x", "a=b; __Host-Http-session=x; __Host-Http-session=y", "__Host-Http-session", "=", "__Host-Http-session= x \t;"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		p := c.find(http.Header{"Cookie": {line}})
		if p.session.found && !strings.Contains(line, c.session+"="+p.session.value) {
			t.Errorf("%q holds no %q", line, p.session.value)
		}
		if p.session.twice && strings.Count(line, c.session+"=") < 2 {
			t.Errorf("%q holds one cookie", line)
		}
	})
}

func FuzzIdentity(f *testing.F) { // P93
	i := sampleIdentity()
	data, err := i.append(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(data[:len(data)-1])
	f.Fuzz(func(t *testing.T, data []byte) {
		i, err := decodeIdentity(data)
		if err != nil {
			return
		}
		again, err := i.append(nil)
		if err != nil || !bytes.Equal(again, data) {
			t.Errorf("%x was read, and written as %x (%v)", data, again, err)
		}
		if about, err := i.who.pack(); err != nil || about != i.about {
			t.Errorf("%x was read as %+v, whose text is %q (%v)", i.about, i.who, about, err)
		}
	})
}

// FuzzDetail reads what a log entry says beside its clear fields.
func FuzzDetail(f *testing.F) { // P93
	i := sampleIdentity()
	about, err := i.who.pack()
	if err != nil {
		f.Fatal(err)
	}
	data := []byte(about)
	f.Add(data)
	f.Add(data[:len(data)-1])
	f.Fuzz(func(t *testing.T, data []byte) {
		w, err := decodeWho(data)
		if err != nil {
			return
		}
		again, err := w.pack()
		if err != nil || again != string(data) {
			t.Errorf("%x was read, and written as %x (%v)", data, again, err)
		}
	})
}

func FuzzValues(f *testing.F) { // P93
	data, err := valueSet{"a": []byte("1"), "cart": []byte(`j[1,2]`)}.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte{1, 1, 'a', 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := decodeValues(data)
		if err != nil {
			return
		}
		again, err := v.encode()
		if err != nil || !bytes.Equal(again, data) {
			t.Errorf("%x was read, and written as %x (%v)", data, again, err)
		}
		for _, value := range v {
			for _, into := range []any{new(string), new([]byte), new(int), new(int64), new(uint64), new(bool), new(time.Time), new(map[string]any)} {
				_ = decodeValue(value, into)
			}
		}
	})
}

func FuzzParseID(f *testing.F) {
	f.Add(ID{1}.String())
	f.Add("..")
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := ParseID(s); err == nil && id.String() != s {
			t.Errorf("%q is taken for %q", s, id)
		}
	})
}

// stream is a fixed sequence of bytes that look random.
type stream struct {
	n    byte
	rest []byte
}

func (s *stream) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		sum := sha256.Sum256([]byte{s.n})
		s.n++
		s.rest = sum[:]
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

func sampleIdentity() *identity {
	w := who{
		kind: KindBrowser, subject: "alice", methods: []string{"pwd"}, level: 1,
		proved: 1893553445000, ip: "192.0.2.1", label: "Firefox on Linux",
	}
	about, err := w.pack()
	if err != nil {
		panic(err)
	}
	return &identity{
		who: w, about: about, realm: "__Host-Http-session", persistent: true, epoch: 3, created: 1893553445000, absolute: 1893582245000,
		gen:  generations{cur: 2, prev: 1, top: 0, curSince: 1893554345000},
		seed: [16]byte{0: 0xa0, 15: 0xaf}, verifierKey: 0x01020304,
	}
}

// The vectors publish the formats for other implementations, and hold this one to them.
func TestVectors(t *testing.T) {
	const path = "testdata/vectors/token.json"
	var v struct {
		Selector, Seed, VerifierKey, VerifierSubKey string
		Kind                                        uint8
		SessionID                                   string
		Tokens                                      map[string]string // generation: token
		Identity                                    string            // plain encoding of the sample
		Values                                      string            // plain encoding of {"cart": [1,2] as JSON, "note": "hi"}
	}
	sel := selector{}
	for i := range sel {
		sel[i] = byte(i)
	}
	seed := [16]byte{}
	for i := range seed {
		seed[i] = byte(0xa0 + i)
	}
	keys, err := keyring.Generate(time.Unix(0, 0), &stream{})
	if err != nil {
		t.Fatal(err)
	}
	sub, err := keys.Derive(keys.Primary(), keyring.Verifier)
	if err != nil {
		t.Fatal(err)
	}
	id := sel.id()
	vs, err := newVerifiers(&macs{keys: keys}, keys.Primary(), KindBrowser, id, &sel, &seed)
	if err != nil {
		t.Fatal(err)
	}
	v.Selector, v.Seed, v.VerifierSubKey = fmt.Sprintf("%x", sel[:]), fmt.Sprintf("%x", seed[:]), fmt.Sprintf("%x", sub[:])
	v.VerifierKey, v.Kind, v.SessionID = keys.Primary().String(), uint8(KindBrowser), id.String()
	v.Tokens = map[string]string{}
	for _, n := range []uint32{1, 2, 255, 1 << 20, 1<<32 - 1} {
		tok := token{sel, vs.of(n)}
		v.Tokens[fmt.Sprint(n)] = tok.reveal()
		if got, ok := vs.generation(tok.verifier); !ok || got != n {
			t.Errorf("generation %d reads as %d, %v", n, got, ok)
		}
	}
	plain, err := sampleIdentity().append(nil)
	if err != nil {
		t.Fatal(err)
	}
	v.Identity = fmt.Sprintf("%x", plain)
	plain, err = valueSet{"cart": []byte("j[1,2]"), "note": []byte("shi")}.encode()
	if err != nil {
		t.Fatal(err)
	}
	v.Values = fmt.Sprintf("%x", plain)
	got, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(path)
	if err != nil || string(want) != string(got)+"\n" {
		t.Errorf("%s differs (%v); a format that changed needs a new version. Now:\n%s", path, err, got)
	}
}

// A verifier is a forgery unless it was made with this selector, seed, kind and key (R1, T12).
func TestEveryBitOfATokenCounts(t *testing.T) { // T12, T3
	keys, err := keyring.Generate(time.Unix(0, 0), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sel, kid, err := newSelector(&macs{keys: keys}, []byte("twelve bytes"))
	if err != nil {
		t.Fatal(err)
	}
	vs, err := newVerifiers(&macs{keys: keys}, kid, KindBrowser, sel.id(), &sel, &[16]byte{})
	if err != nil {
		t.Fatal(err)
	}
	good := vs.of(1)
	for bit := range 128 {
		bad := good
		bad[bit/8] ^= 1 << (bit % 8)
		if n, ok := vs.generation(bad); ok {
			t.Errorf("bit %d flipped: taken for generation %d", bit, n)
		}
		other := sel
		other[bit/8] ^= 1 << (bit % 8)
		if tagged(&macs{keys: keys}, &other) {
			t.Errorf("bit %d of the selector flipped: its tag still fits", bit)
		}
		if other.id() == sel.id() {
			t.Errorf("bit %d: two selectors of one ID", bit)
		}
	}
	if s := fmt.Sprintf("%v %+v %#v %s %d %x", token{sel, good}, token{sel, good}, token{sel, good}, token{sel, good}, token{sel, good}, token{sel, good}); strings.ReplaceAll(s, "[token]", "") != "     " {
		t.Errorf("a token prints as %q", s)
	}
}
