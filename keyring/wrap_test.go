package keyring_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/counterfoil/counterfoil/keyring"
)

// kms is a key management service: it wraps under its newest version and unwraps under all it still has.
type kms struct {
	mu       sync.Mutex
	name     string
	versions []*keyring.Ring // destroyed ones are nil
	down     error
	wraps    int
	unwraps  int
}

func newKMS(t testing.TB) *kms {
	k := &kms{name: "arn:aws:kms:eu-central-1:111122223333:key/0b5e-fake"}
	k.rotate(t)
	return k
}

func (k *kms) rotate(t testing.TB) { k.versions = append(k.versions, generate(t)) }

func (k *kms) Name() string { return k.name }

func (k *kms) Wrap(_ context.Context, key []byte, purpose string) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.wraps++
	if k.down != nil {
		return nil, k.down
	}
	version := len(k.versions) - 1
	_, sealed, err := k.versions[version].Seal("kms", t0, []byte(purpose), key)
	return append([]byte{byte(version)}, sealed...), err
}

func (k *kms) Unwrap(_ context.Context, wrapped []byte, purpose string) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.unwraps++
	if k.down != nil {
		return nil, k.down
	}
	if len(wrapped) == 0 || int(wrapped[0]) >= len(k.versions) || k.versions[wrapped[0]] == nil {
		return nil, errors.New("the version of the key is destroyed")
	}
	version := k.versions[wrapped[0]]
	return version.Open(version.Primary(), "kms", []byte(purpose), wrapped[1:])
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// P73, C5, C8, D16: with a customer-managed key the file holds no key in the clear. The external key
// rotates, the file is wrapped anew under its new version, the old one is destroyed: nobody is signed out.
func TestExternalKeyRotates(t *testing.T) {
	k, path := newKMS(t), filepath.Join(folder(t), "keys")
	o := keyring.Options{OwnPath: path, Wrapper: k}
	r, src := resolve(t, o)
	if src.Wrap != k.name || !strings.Contains(src.String(), "newly made, wrapped by "+k.name) {
		t.Errorf("the log would say: %s", src)
	}
	first, sealed := seal(t, r)
	if _, err := r.Rotate(t0); err != nil { // of our own key: the file is written under another data key
		t.Fatal(err)
	}
	plain, err := r.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	before := readFile(t, path)
	for line := range strings.SplitSeq(string(plain), "\n") {
		for word := range strings.SplitSeq(line, " ") {
			if len(word) > 30 && bytes.Contains(before, []byte(word)) || bytes.Contains(before, []byte("cfk1_")) {
				t.Fatal("the file shows a key")
			}
		}
	}
	k.rotate(t)
	if again, src := resolve(t, o); again.Fingerprint() != r.Fingerprint() || !strings.HasSuffix(src.String(), "wrapped by "+k.name) {
		t.Error("the former version of the external key does not serve any more:", src)
	}
	if err := r.Rewrap(k); err != nil {
		t.Fatal(err)
	}
	k.versions[0] = nil
	again, _ := resolve(t, o)
	if err := opens(again, first, sealed); err != nil || again.Fingerprint() != r.Fingerprint() {
		t.Error("wrapped anew, something is lost:", err)
	}
	if bytes.Equal(before, readFile(t, path)) || k.wraps != 3 {
		t.Errorf("the file was written %d times", k.wraps)
	}
	write(t, path, string(before), 0o600) // the file from before, as a backup would bring it back
	refuse(t, o, filepath.Dir(path), keyring.ErrWrapped, "destroyed")
	if err := r.Reload(); !errors.Is(err, keyring.ErrWrapped) || opens(r, first, sealed) != nil {
		t.Error("the keys in use do not stay:", err)
	}
}

// CD4, CD6, D5, P73: a wrapped file that cannot be unwrapped is refused and left as it is; no new key
// is ever made in its place. So is one that is not wrapped where a wrapping key is given.
func TestWrappedFileIsRefused(t *testing.T) {
	dir := folder(t)
	path := filepath.Join(dir, "keys")
	k := newKMS(t)
	r, _ := resolve(t, keyring.Options{OwnPath: path, Wrapper: k})
	file := string(readFile(t, path))
	other := newKMS(t)
	down := newKMS(t)
	down.down = errors.New("connection refused")
	renamed := newKMS(t)
	renamed.name = "other"
	short := &shortWrapper{k}
	outside := filepath.Join(t.TempDir(), "wrapping-key")
	write(t, outside, newKey(t).Line()+"\n", 0o444)
	for _, c := range []struct {
		name string
		o    keyring.Options
		want error
		text string
	}{
		{"none given", keyring.Options{}, keyring.ErrWrapped, "by " + k.name + "; name the wrapping key in " + keyring.EnvWrapFile},
		{"another key of that name", keyring.Options{Wrapper: other}, keyring.ErrWrapped, "the wrong one or gone, or the file is damaged"},
		{"another name", keyring.Options{Wrapper: renamed}, keyring.ErrWrapped, "the wrapping key that is given is other"},
		{"a key of the environment", keyring.Options{Env: env{keyring.EnvWrapFile: outside}.lookup}, keyring.ErrWrapped, "cannot be decrypted"},
		{"the service is down", keyring.Options{Wrapper: down}, keyring.ErrWrapped, "connection refused"},
		{"not 32 bytes", keyring.Options{Wrapper: short}, keyring.ErrWrapped, "31 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.o.OwnPath = path
			refuse(t, c.o, dir, c.want, c.text)
			c.o.Env, c.o.OwnPath = env{keyring.EnvKeyFile: path}.lookup, "" // as one that is managed elsewhere
			if !strings.Contains(c.name, "environment") {
				refuse(t, c.o, dir, c.want, c.text)
			}
		})
	}
	plain, err := r.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, string(plain), 0o600)
	refuse(t, keyring.Options{OwnPath: path, Wrapper: k}, dir, keyring.ErrNotWrapped, "counterfoil key wrap")
	write(t, path, newKey(t).Line()+"\n", 0o600)
	refuse(t, keyring.Options{OwnPath: path, Wrapper: k}, dir, keyring.ErrNotWrapped, "counterfoil key wrap")
	refuse(t, keyring.Options{Env: env{keyring.EnvKey: newKey(t).Line()}.lookup, Wrapper: k}, dir, keyring.ErrNotWrapped, keyring.EnvKeyFile)

	write(t, path, file, 0o600)
	if again, _ := resolve(t, keyring.Options{OwnPath: path, Wrapper: k}); again.Fingerprint() != r.Fingerprint() {
		t.Error("the file as it was has other keys")
	}
}

type shortWrapper struct{ *kms }

func (s *shortWrapper) Unwrap(context.Context, []byte, string) ([]byte, error) {
	return make([]byte, 31), nil
}

// CD5, P73: a wrapped file that was cut, or has one bit flipped, with or without a new checksum.
func TestWrappedFileCutOrFlipped(t *testing.T) {
	k, path := newKMS(t), filepath.Join(folder(t), "keys")
	resolve(t, keyring.Options{OwnPath: path, Wrapper: k})
	data := readFile(t, path)
	for i := range data {
		bad := bytes.Clone(data)
		bad[i] ^= 1 << (i % 8)
		texts := [][]byte{data[:i], bad}
		if end := len(body(data)); i < end {
			texts = append(texts, []byte(resum(string(bad[:end]))))
		}
		for how, text := range texts {
			if _, err := keyring.ParseWrapped(text, k); err == nil {
				t.Fatalf("%s at %d: accepted", []string{"cut", "flipped", "flipped and summed"}[how], i)
			}
		}
	}
	for name, b := range map[string]string{
		"another line": body(data) + "key 1 2 3 4\n",
		"no content":   strings.Join(strings.SplitAfter(body(data), "\n")[:2], ""),
		"no wrapping":  strings.Replace(body(data), "wrap ", "wrap none ", 1),
		"line break":   strings.Replace(body(data), "\nsealed ", "\nsealed \r", 1),
	} {
		if _, err := keyring.ParseWrapped([]byte(resum(b)), k); !errors.Is(err, keyring.ErrDamaged) && !errors.Is(err, keyring.ErrWrapped) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// CD7, C24, D16: what stands where a wrapping key belongs is a machine-made key, kept apart from what it
// protects, or refused.
func TestWrappingKeyIsRefused(t *testing.T) {
	dir, away := folder(t), t.TempDir()
	path, file := filepath.Join(dir, "keys"), filepath.Join(away, "wrapping-key")
	for name, s := range hostileKeys(t) {
		write(t, file, s, 0o600)
		for _, e := range []env{{keyring.EnvWrapFile: file}, {keyring.EnvWrap: s}} {
			r, _, err := keyring.Resolve(keyring.Options{Env: e.lookup, OwnPath: path})
			if err == nil || r != nil || len(s) > 30 && strings.Contains(err.Error(), s) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	write(t, file, newKey(t).Line()+"\n", 0o600)
	beside := filepath.Join(dir, "wrapping-key")
	write(t, beside, newKey(t).Line()+"\n", 0o600)
	link := filepath.Join(away, "link")
	symlink(t, beside, link)
	for _, c := range []struct {
		name string
		o    keyring.Options
		want error
		text string
	}{
		{"beside the key file", keyring.Options{Env: env{keyring.EnvWrapFile: beside}.lookup}, keyring.ErrUnsafe, "keep it elsewhere"},
		{"beside it, behind a link", keyring.Options{Env: env{keyring.EnvWrapFile: link}.lookup}, keyring.ErrUnsafe, "keep it elsewhere"},
		{"missing", keyring.Options{Env: env{keyring.EnvWrapFile: file + ".gone"}.lookup}, os.ErrNotExist, keyring.EnvWrapFile},
		{"set but empty", keyring.Options{Env: env{keyring.EnvWrapFile: ""}.lookup}, keyring.ErrNotKey, keyring.EnvWrapFile},
		{"both variables", keyring.Options{Env: env{keyring.EnvWrapFile: file, keyring.EnvWrap: newKey(t).Line()}.lookup}, keyring.ErrConflict, "unset one"},
		{"a service and a variable", keyring.Options{Env: env{keyring.EnvWrapFile: file}.lookup, Wrapper: newKMS(t)}, keyring.ErrConflict, "unset"},
		{"a name that cannot stand in the file", keyring.Options{Wrapper: &kms{name: "two words", versions: newKMS(t).versions}}, nil, "no name"},
		{"the service is down", keyring.Options{Wrapper: &kms{name: "kms", down: errors.New("connection refused")}}, nil, "connection refused"},
		{"it wraps and does not unwrap", keyring.Options{Wrapper: &shortWrapper{newKMS(t)}}, keyring.ErrWrapped, "does not unwrap"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.o.OwnPath = path
			refuse(t, c.o, dir, c.want, c.text) // and no key file was made
		})
	}
	chmod(t, file, 0o666)
	refuse(t, keyring.Options{Env: env{keyring.EnvWrapFile: file}.lookup, OwnPath: path}, dir, keyring.ErrUnsafe, "chmod go-w")
}

// D16, P73: a file is wrapped under a key line of the environment, goes to another and back; a ring in
// use follows, and what comes from elsewhere is wrapped elsewhere.
func TestRewrap(t *testing.T) {
	r, path := ownRing(t)
	id, sealed := seal(t, r)
	first, second := newKey(t), newKey(t)
	for i, key := range []*keyring.Key{&first, &second, nil} {
		var w keyring.Wrapper
		variables, says := env{}, "not wrapped"
		if key != nil {
			var err error
			if w, err = keyring.KeyWrapper(*key); err != nil {
				t.Fatal(err)
			}
			variables[keyring.EnvWrap] = key.Line()
			says = "wrapped by key:" + key.ID().String()
		}
		if err := r.Rewrap(w); err != nil {
			t.Fatal(i, err)
		}
		if err := r.Reload(); err != nil || !strings.HasSuffix(r.Source().String(), says) {
			t.Errorf("%d: %v, %v", i, r.Source(), err)
		}
		if _, err := r.Rotate(t0); err != nil {
			t.Error(i, err)
		}
		next, src := resolve(t, keyring.Options{Env: variables.lookup, OwnPath: path})
		if err := opens(next, id, sealed); err != nil || next.Fingerprint() != r.Fingerprint() || !strings.HasSuffix(src.String(), says) {
			t.Errorf("%d: after a restart: %v, %v", i, src, err)
		}
		if key != nil && strings.Contains(fmt.Sprintf("%v %+v %#v", w, w, w), key.Line()) {
			t.Error("the wrapping key is printed")
		}
	}
	w := newKMS(t)
	w.down = errors.New("access denied")
	before := tree(t, filepath.Dir(path))
	if err := r.Rewrap(w); err == nil || tree(t, filepath.Dir(path)) != before || r.Source().Wrap != "" {
		t.Error("a failure changed something:", err)
	}
	w.down = nil
	if err := generate(t).Rewrap(w); !errors.Is(err, keyring.ErrNoFile) {
		t.Error(err)
	}
	for want, o := range map[string]keyring.Options{
		"where it is managed": {Env: env{keyring.EnvKeyFile: path}.lookup},
		keyring.EnvKey:        {Env: env{keyring.EnvKey: newKey(t).Line()}.lookup},
	} {
		foreign, _ := resolve(t, o)
		if err := foreign.Rewrap(w); !errors.Is(err, keyring.ErrNotOurs) || !strings.Contains(err.Error(), want) {
			t.Error(err)
		}
		if err := foreign.Discard(); !errors.Is(err, keyring.ErrNotOurs) {
			t.Error(err)
		}
	}
}

// CD13: a discarded ring leaves no file and no key behind; the next one is another.
func TestDiscard(t *testing.T) {
	r, path := ownRing(t)
	id, sealed := seal(t, r)
	index, erased := *r.IndexKey(), r.Hold(id)
	if err := r.Discard(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) || !erased() {
		t.Error("something is left:", err)
	}
	if err := opens(r, id, sealed); !errors.Is(err, keyring.ErrNoKey) {
		t.Error("it opens:", err)
	}
	for i, err := range []error{r.Reload(), r.Discard(), r.Rewrap(nil), r.Retire(id, 0)} {
		if !errors.Is(err, keyring.ErrNoKey) {
			t.Error(i, err)
		}
	}
	next, _ := resolve(t, keyring.Options{OwnPath: path})
	if err := opens(next, id, sealed); err == nil || *next.IndexKey() == index {
		t.Error("the old keys are back:", err)
	}
	if err := generate(t).Discard(); !errors.Is(err, keyring.ErrNoFile) {
		t.Error(err)
	}
}

// The published wrapped file opens with the published wrapping key, and holds the published keys.
func TestVectorsWrapped(t *testing.T) {
	var v struct {
		WrappingKey string `json:"wrapping_key"`
		Name        string
		File        string
	}
	data, err := os.ReadFile("testdata/vectors/wrapped.json")
	if err == nil {
		err = json.Unmarshal(data, &v)
	}
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder(t), "keys")
	write(t, path, v.File, 0o600)
	r, src := resolve(t, keyring.Options{OwnPath: path, Env: env{keyring.EnvWrap: v.WrappingKey}.lookup})
	plain, err := r.Marshal()
	if err != nil || !bytes.Equal(plain, readFile(t, "testdata/vectors/keys")) || src.Wrap != v.Name {
		t.Errorf("other keys, or another name (%s): %v", src, err)
	}
}

func FuzzWrapped(f *testing.F) {
	k := newKMS(f)
	dir := folder(f)
	path := filepath.Join(dir, "keys")
	if _, _, err := keyring.Resolve(keyring.Options{OwnPath: path, Wrapper: k, Now: t0}); err != nil {
		f.Fatal(err)
	}
	good := body(readFile(f, path))
	f.Add(good)
	f.Add("counterfoil-keys 1\nwrap \nsealed \n")
	f.Add("counterfoil-keys 1\nwrap none\nsealed \n")
	f.Add(strings.Replace(good, "wrap arn", "wrap  arn", 1))
	f.Add(strings.Replace(good, "\nsealed", "\n\nsealed", 1))
	f.Fuzz(func(t *testing.T, s string) {
		for _, text := range []string{s, resum(s)} {
			if r, err := keyring.ParseWrapped([]byte(text), k); (err == nil) != (text == resum(good)) || (r == nil) == (err == nil) {
				t.Errorf("%q: %v", text, err)
			}
		}
	})
}
