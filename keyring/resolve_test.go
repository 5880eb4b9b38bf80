package keyring_test

import (
	"bytes"
	crand "crypto/rand"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/counterfoil/counterfoil/keyring"
)

// env is an environment; names that are not in it are not set.
type env map[string]string

func (e env) lookup(name string) (string, bool) { v, ok := e[name]; return v, ok }

func resolve(t testing.TB, o keyring.Options) (*keyring.Ring, keyring.Source) {
	t.Helper()
	o.Now = t0
	r, src, err := keyring.Resolve(o)
	if err != nil {
		t.Fatal(err)
	}
	if src != r.Source() {
		t.Errorf("two sources: %v, %v", src, r.Source())
	}
	return r, src
}

// refuse requires that no ring comes, that dir is as it was, and that the message has a text.
func refuse(t testing.TB, o keyring.Options, dir string, want error, text string) {
	t.Helper()
	o.Now = t0
	before := tree(t, dir)
	r, src, err := keyring.Resolve(o)
	if err == nil || r != nil || src != (keyring.Source{}) {
		t.Fatalf("not refused: %v", src)
	}
	if want != nil && !errors.Is(err, want) {
		t.Errorf("%v, want %v", err, want)
	}
	if !strings.Contains(err.Error(), text) {
		t.Errorf("%q does not say %q", err, text)
	}
	if after := tree(t, dir); after != before {
		t.Errorf("the refusal changed the folder:\n%s\nwas\n%s", after, before)
	}
}

// P5, P7, P8, P12, D6, C3, C4: file named by the environment, environment, own file, a new own file.
func TestResolveOrder(t *testing.T) {
	named, given, own := newKey(t), newKey(t), newKey(t)
	dir := folder(t)
	namedPath, ownPath := filepath.Join(dir, "named"), filepath.Join(dir, "keys")
	write(t, namedPath, named.Line()+"\n", 0o444)
	write(t, ownPath, own.Line()+"\n", 0o600)

	for _, c := range []struct {
		name string
		o    keyring.Options
		kind keyring.SourceKind
		id   keyring.KeyID // 0: a new one
		says string
	}{
		{"named file before own", keyring.Options{Env: env{keyring.EnvKeyFile: namedPath}.lookup, OwnPath: ownPath}, keyring.SourceFile, named.ID(), namedPath},
		{"variable before own", keyring.Options{Env: env{keyring.EnvKey: given.Line()}.lookup, OwnPath: ownPath}, keyring.SourceEnvironment, given.ID(), keyring.EnvKey},
		{"own", keyring.Options{Env: env{}.lookup, OwnPath: ownPath}, keyring.SourceOwn, own.ID(), ownPath},
		{"own, no environment", keyring.Options{OwnPath: ownPath}, keyring.SourceOwn, own.ID(), "not wrapped"},
		{"new", keyring.Options{OwnPath: filepath.Join(dir, "new")}, keyring.SourceGenerated, 0, "newly made"},
		{"ephemeral leaves the own file alone", keyring.Options{OwnPath: ownPath, Ephemeral: true}, keyring.SourceEphemeral, 0, "ephemeral"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, src := resolve(t, c.o)
			if src.Kind != c.kind || !strings.Contains(src.String(), c.says) {
				t.Errorf("source %q: %s", src.Kind, src)
			}
			if c.id != 0 && r.Primary() != c.id {
				t.Error("another key")
			}
			if strings.Contains(src.String(), "cfk1_") { // P5, CD14: the source, not the value
				t.Error("the source shows the key")
			}
		})
	}
}

// P12: two sources at once, or none, is no third outcome.
func TestResolveConflicts(t *testing.T) {
	dir := folder(t)
	path := filepath.Join(dir, "keys")
	line := newKey(t).Line()
	for _, c := range []struct {
		name string
		o    keyring.Options
		want error
		text string
	}{
		{"both variables", keyring.Options{Env: env{keyring.EnvKey: line, keyring.EnvKeyFile: path}.lookup, OwnPath: path}, keyring.ErrConflict, "unset one"},
		{"both variables, one empty", keyring.Options{Env: env{keyring.EnvKey: line, keyring.EnvKeyFile: ""}.lookup, OwnPath: path}, keyring.ErrConflict, "unset one"},
		{"ephemeral and variable", keyring.Options{Env: env{keyring.EnvKey: line}.lookup, Ephemeral: true}, keyring.ErrConflict, "drop one"},
		{"ephemeral and file", keyring.Options{Env: env{keyring.EnvKeyFile: path}.lookup, Ephemeral: true}, keyring.ErrConflict, "drop one"},
		{"nothing", keyring.Options{}, keyring.ErrNoSource, "counterfoil key generate"},
		{"empty environment, no own file", keyring.Options{Env: env{}.lookup}, keyring.ErrNoSource, keyring.EnvKeyFile},
	} {
		t.Run(c.name, func(t *testing.T) { refuse(t, c.o, dir, c.want, c.text) })
	}
}

// C22–C24, C27, C28, CD3, CD5, CD6, P6, P7, D5, D7: from every source, what is there but no
// machine-made key is refused, nothing is made or changed, and the error never repeats what was read.
func TestResolveRefusesHostileKeys(t *testing.T) {
	dir := folder(t)
	own, named := filepath.Join(dir, "keys"), filepath.Join(dir, "named")
	for name, s := range hostileKeys(t) {
		for _, c := range []struct {
			o    keyring.Options
			path string
			text string
		}{
			{keyring.Options{Env: env{keyring.EnvKey: s}.lookup, OwnPath: own}, "", keyring.EnvKey + " cannot be used"},
			{keyring.Options{Env: env{keyring.EnvKeyFile: named}.lookup, OwnPath: own}, named, keyring.EnvKeyFile},
			{keyring.Options{OwnPath: own}, own, "key file " + own + " cannot be used"},
		} {
			if c.path != "" {
				write(t, c.path, s, 0o600)
			}
			r, _, err := keyring.Resolve(c.o)
			if err == nil || r != nil {
				t.Fatalf("%s: not refused (%s)", name, c.text)
			}
			if !strings.Contains(err.Error(), c.text) || len(s) > 30 && strings.Contains(err.Error(), s) {
				t.Errorf("%s: %v", name, err)
			}
			if c.path == "" {
				continue
			}
			if now, err := os.ReadFile(c.path); err != nil || string(now) != s {
				t.Errorf("%s: the file was touched", name)
			}
			os.Remove(c.path)
		}
	}
	if left := tree(t, dir); strings.Count(left, "\n") != 1 {
		t.Errorf("left in the folder:\n%s", left)
	}
}

// CD5: every cut and flipped bit of our own file, through the door.
func TestResolveRefusesDamage(t *testing.T) {
	dir := folder(t)
	path := filepath.Join(dir, "keys")
	resolve(t, keyring.Options{OwnPath: path})
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(good) * 8 {
		bad := bytes.Clone(good)
		bad[i/8] ^= 1 << (i % 8)
		write(t, path, string(bad), 0o600)
		if _, _, err := keyring.Resolve(keyring.Options{OwnPath: path}); err == nil {
			t.Fatalf("bit %d flipped: accepted", i)
		}
	}
	write(t, path, string(good[:len(good)/2]), 0o600)
	refuse(t, keyring.Options{OwnPath: path}, dir, keyring.ErrCut, "put a good copy there")
	write(t, path, string(good), 0o600)
	if _, src := resolve(t, keyring.Options{OwnPath: path}); src.Kind != keyring.SourceOwn {
		t.Error(src)
	}
}

// C27, CD8, CD10: things in the place of a key that are no file of ours.
func TestResolveRefusesUnsafeFiles(t *testing.T) {
	line := newKey(t).Line()
	for _, c := range []struct {
		name  string
		make  func(t *testing.T, path string)
		named bool // through COUNTERFOIL_KEY_FILE; else our own file
		want  error
		text  string
	}{
		{"own, readable by the group", func(t *testing.T, p string) { write(t, p, line, 0o640) }, false, keyring.ErrUnsafe, "chmod 600"},
		{"own, readable by others", func(t *testing.T, p string) { write(t, p, line, 0o604) }, false, keyring.ErrUnsafe, "0604"},
		{"own, executable", func(t *testing.T, p string) { write(t, p, line, 0o700) }, false, keyring.ErrUnsafe, "chmod 600"},
		{"own, a link", func(t *testing.T, p string) {
			write(t, p+".real", line, 0o600)
			symlink(t, p+".real", p)
		}, false, keyring.ErrUnsafe, "symbolic link"},
		{"own, a link to nothing", func(t *testing.T, p string) { symlink(t, p+".none", p) }, false, keyring.ErrUnsafe, "symbolic link"},
		{"own, a folder", func(t *testing.T, p string) { mkdir(t, p) }, false, keyring.ErrNotKey, "no regular file"},
		{"own, a pipe", func(t *testing.T, p string) { mkfifo(t, p) }, false, keyring.ErrNotKey, "no regular file"},
		{"own, in an open folder", func(t *testing.T, p string) {
			write(t, p, line, 0o600)
			chmod(t, filepath.Dir(p), 0o755)
		}, false, keyring.ErrUnsafe, "chmod 700"},
		{"none yet, in an open folder", func(t *testing.T, p string) { chmod(t, filepath.Dir(p), 0o750) }, false, keyring.ErrUnsafe, "chmod 700"},
		{"own, too long", func(t *testing.T, p string) { write(t, p, strings.Repeat("x", 1<<17), 0o600) }, false, keyring.ErrNotKey, "65536"},
		{"named, writable by the group", func(t *testing.T, p string) { write(t, p, line, 0o664) }, true, keyring.ErrUnsafe, "chmod go-w"},
		{"named, writable by others", func(t *testing.T, p string) { write(t, p, line, 0o602) }, true, keyring.ErrUnsafe, "chmod go-w"},
		{"named, not there", func(t *testing.T, p string) {}, true, fs.ErrNotExist, "name a file"},
		{"named, a folder", func(t *testing.T, p string) { mkdir(t, p) }, true, keyring.ErrNotKey, "no regular file"},
		{"named, a pipe", func(t *testing.T, p string) { mkfifo(t, p) }, true, keyring.ErrNotKey, "no regular file"},
		{"named, a link to itself", func(t *testing.T, p string) { symlink(t, p, p) }, true, nil, "symbolic link"},
		{"named, empty", func(t *testing.T, p string) { write(t, p, "", 0o600) }, true, keyring.ErrNotKey, "empty"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := folder(t)
			path := filepath.Join(dir, "keys")
			c.make(t, path)
			o := keyring.Options{OwnPath: path}
			if c.named {
				o = keyring.Options{Env: env{keyring.EnvKeyFile: path}.lookup, OwnPath: filepath.Join(dir, "own")}
			}
			refuse(t, o, dir, c.want, c.text)
		})
	}
	t.Run("named, the empty path", func(t *testing.T) {
		dir := folder(t)
		refuse(t, keyring.Options{Env: env{keyring.EnvKeyFile: ""}.lookup, OwnPath: filepath.Join(dir, "keys")}, dir, keyring.ErrNotKey, "set but empty")
	})
	t.Run("own, where no folder can be made", func(t *testing.T) {
		refuse(t, keyring.Options{OwnPath: "/proc/none/keys"}, folder(t), nil, "cannot be made")
	})
	t.Run("own, under a file", func(t *testing.T) {
		dir := folder(t)
		write(t, filepath.Join(dir, "data"), "", 0o600)
		refuse(t, keyring.Options{OwnPath: filepath.Join(dir, "data", "keys")}, dir, syscall.ENOTDIR, "no folder")
	})
}

// D6: a mounted secret may be a link and readable by others.
func TestResolveTakesMountedSecrets(t *testing.T) {
	dir := folder(t)
	k := newKey(t)
	real, link := filepath.Join(dir, "..data"), filepath.Join(dir, "key")
	write(t, real, k.Line()+"\n", 0o444)
	symlink(t, real, link)
	chmod(t, dir, 0o755)
	if r, _ := resolve(t, keyring.Options{Env: env{keyring.EnvKeyFile: link}.lookup}); r.Primary() != k.ID() {
		t.Error("another key")
	}
	whole := keyFile(t)
	os.Remove(real)
	write(t, real, string(whole), 0o400)
	if r, _ := resolve(t, keyring.Options{Env: env{keyring.EnvKeyFile: link}.lookup}); len(r.Keys()) != 3 {
		t.Error("a whole key file was not taken")
	}
}

// C2, C6, C9, C25, P8, P10, CD8: first start, second start, start after the file was removed.
func TestOwnFile(t *testing.T) {
	old := syscall.Umask(0)
	t.Cleanup(func() { syscall.Umask(old) })
	dir := filepath.Join(t.TempDir(), "a", "data")
	path := filepath.Join(dir, "keys")
	first, src := resolve(t, keyring.Options{OwnPath: path})
	if src.Kind != keyring.SourceGenerated || src.Path != path {
		t.Error(src)
	}
	for p, want := range map[string]os.FileMode{path: 0o600, dir: fs.ModeDir | 0o700} {
		if info, err := os.Stat(p); err != nil || info.Mode() != want {
			t.Errorf("%s: %v %v", p, info.Mode(), err)
		}
	}
	second, src := resolve(t, keyring.Options{OwnPath: path})
	if src.Kind != keyring.SourceOwn || second.Fingerprint() != first.Fingerprint() || *second.IndexKey() != *first.IndexKey() {
		t.Error("the second start has other keys:", src)
	}
	id, sealed, err := first.Seal(keyring.Identity, t0, nil, []byte("alice"))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := second.Open(id, keyring.Identity, nil, sealed); err != nil || string(plain) != "alice" {
		t.Error(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	third, src := resolve(t, keyring.Options{OwnPath: path})
	if src.Kind != keyring.SourceGenerated || third.Fingerprint() == first.Fingerprint() {
		t.Error("the same keys came back")
	}
	if _, err := third.Open(id, keyring.Identity, nil, sealed); !errors.Is(err, keyring.ErrNoKey) {
		t.Error("the new keys open what the lost ones sealed:", err)
	}
}

// D6: processes that get the same key from the environment agree in everything.
func TestEnvironmentAgrees(t *testing.T) {
	o := keyring.Options{Env: env{keyring.EnvKey: newKey(t).Line()}.lookup}
	a, _ := resolve(t, o)
	b, _ := resolve(t, o)
	if a.Fingerprint() != b.Fingerprint() || *a.IndexKey() != *b.IndexKey() || *a.AuditKey() != *b.AuditKey() || *a.IndexKey() == *a.AuditKey() {
		t.Error("they do not")
	}
	if x, _ := resolve(t, keyring.Options{Env: env{keyring.EnvKey: newKey(t).Line()}.lookup}); *x.IndexKey() == *a.IndexKey() {
		t.Error("two keys have one root")
	}
}

// Randomness is injected everywhere, so that simulations can repeat a run; what breaks it makes no key.
func TestResolveRandom(t *testing.T) {
	seeded := func() io.Reader { return rand.NewChaCha8([32]byte{1}) }
	for name, o := range map[string]keyring.Options{
		"own":       {OwnPath: filepath.Join(folder(t), "keys")},
		"ephemeral": {Ephemeral: true},
	} {
		o.Random = seeded()
		r, _ := resolve(t, o)
		if want, err := keyring.Generate(t0, seeded()); err != nil || r.Fingerprint() != want.Fingerprint() {
			t.Errorf("%s: another ring from the same randomness: %v", name, err)
		}
		if _, err := r.Rotate(t0); err != nil {
			t.Error(err)
		}
		dir := folder(t)
		if o.OwnPath != "" {
			o.OwnPath = filepath.Join(dir, "keys")
		}
		o.Random = constant(0)
		refuse(t, o, dir, keyring.ErrWeak, "randomness is broken")
	}
	r, err := keyring.Generate(t0, io.LimitReader(seeded(), 96))
	if err != nil || r.Source().String() != "memory" {
		t.Fatal(r.Source(), err)
	}
	before := r.Fingerprint()
	if _, err := r.Rotate(t0); !errors.Is(err, io.EOF) || r.Fingerprint() != before {
		t.Error("rotated without randomness:", err)
	}
	if err := r.Revoke(t0, r.Primary()); !errors.Is(err, io.EOF) || r.Fingerprint() != before {
		t.Error("revoked without a successor:", err)
	}
}

// CD9, P11: even where the lock does not hold (some network file systems), a file that came to be
// meanwhile is never replaced: the loser takes the winner's keys.
func TestCreationNeverReplaces(t *testing.T) {
	path := filepath.Join(folder(t), "keys")
	winner := newKey(t)
	slow := readerFunc(func(p []byte) (int, error) { // called after the look for the file
		write(t, path, winner.Line(), 0o600)
		return crand.Read(p)
	})
	r, src := resolve(t, keyring.Options{OwnPath: path, Random: slow})
	if r.Primary() != winner.ID() || src.Kind != keyring.SourceOwn {
		t.Error("the winner's file was replaced:", src)
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("%d files", len(left))
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
