package keyring_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/keyring"
)

func ownRing(t testing.TB) (r *keyring.Ring, path string) {
	t.Helper()
	path = filepath.Join(folder(t), "keys")
	r, _ = resolve(t, keyring.Options{OwnPath: path})
	return r, path
}

func seal(t testing.TB, r *keyring.Ring) (keyring.KeyID, []byte) {
	t.Helper()
	id, sealed, err := r.Seal(keyring.Identity, t0, []byte("aad"), []byte("alice"))
	if err != nil {
		t.Fatal(err)
	}
	return id, sealed
}

func opens(r *keyring.Ring, id keyring.KeyID, sealed []byte) error {
	_, err := r.Open(id, keyring.Identity, []byte("aad"), sealed)
	return err
}

// CD15: the newest key seals, the old one still opens, also after a restart; it goes when its uses
// are counted as none, and not by time.
func TestRotateAndRetire(t *testing.T) {
	r, path := ownRing(t)
	index, audit, before := *r.IndexKey(), *r.AuditKey(), r.Fingerprint()
	old, sealed := seal(t, r)
	sub, err := r.Derive(old, keyring.Verifier)
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := r.Rotate(t0.Add(1000 * time.Hour))
	if err != nil || fresh == old || r.Primary() != fresh || r.Fingerprint() == before {
		t.Fatal(fresh, err)
	}
	if id, _ := seal(t, r); id != fresh {
		t.Error("the old key still seals")
	}
	if again, err := r.Derive(old, keyring.Verifier); err != nil || again != sub {
		t.Error("what was derived is not kept:", err)
	}
	restarted, _ := resolve(t, keyring.Options{OwnPath: path})
	if restarted.Fingerprint() != r.Fingerprint() {
		t.Error("the file holds other keys than the ring")
	}
	for name, ring := range map[string]*keyring.Ring{"rotated": r, "restarted": restarted} {
		if err := opens(ring, old, sealed); err != nil {
			t.Errorf("%s: signed out by a rotation: %v", name, err)
		}
		if *ring.IndexKey() != index || *ring.AuditKey() != audit {
			t.Errorf("%s: a root moved", name)
		}
	}

	if err := r.Retire(old, 3); !errors.Is(err, keyring.ErrInUse) || !strings.Contains(err.Error(), "3") {
		t.Error(err)
	}
	if err := opens(r, old, sealed); err != nil {
		t.Error("retired in spite of its uses:", err)
	}
	if err := r.Retire(fresh, 0); !errors.Is(err, keyring.ErrPrimary) {
		t.Error(err)
	}
	if err := r.Retire(old, 0); err != nil {
		t.Fatal(err)
	}
	if err := opens(r, old, sealed); !errors.Is(err, keyring.ErrNoKey) {
		t.Error("a retired key opens:", err)
	}
	if err := r.Retire(old, 0); !errors.Is(err, keyring.ErrNoKey) {
		t.Error(err)
	}
	data, err := os.ReadFile(path)
	if err != nil || strings.Contains(string(data), old.String()) {
		t.Error("the retired key still stands in the file:", err)
	}
}

// C28: a revoked key opens nothing any more and its bytes are gone from memory and file; the primary
// is replaced in the same step.
func TestRevoke(t *testing.T) {
	r, path := ownRing(t)
	old, sealed := seal(t, r)
	if _, err := r.Derive(old, keyring.Verifier); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	secret := string(data[strings.Index(string(data), "cfk1_"):][:53])
	erased := r.Hold(old)
	if err := r.Revoke(t0, old); err != nil {
		t.Fatal(err)
	}
	if r.Primary() == old || len(r.Usable()) != 1 || !erased() {
		t.Error("not replaced, or its bytes are still there")
	}
	if err := opens(r, old, sealed); !errors.Is(err, keyring.ErrNoKey) {
		t.Error("opens:", err)
	}
	if _, err := r.Derive(old, keyring.Verifier); !errors.Is(err, keyring.ErrNoKey) {
		t.Error("derives:", err)
	}
	data, err = os.ReadFile(path)
	if err != nil || strings.Contains(string(data), secret) || !strings.Contains(string(data), old.String()+" disabled") {
		t.Error("the file is not right:", err)
	}
	primary := r.Primary()
	if err := r.Revoke(t0, old); err != nil || r.Primary() != primary {
		t.Error("revoked twice:", err)
	}
	if err := r.Revoke(t0, 12345); !errors.Is(err, keyring.ErrNoKey) {
		t.Error(err)
	}
	enabled := primary
	if _, err := r.Rotate(t0); err != nil {
		t.Fatal(err)
	}
	primary = r.Primary()
	if err := r.Revoke(t0, enabled); err != nil || r.Primary() != primary {
		t.Error("revoking an enabled key moved the primary:", err)
	}
	if err := r.Retire(old, 0); err != nil || len(r.Keys()) != 2 {
		t.Error("a disabled key does not retire:", err)
	}
}

// D6: keys from outside are changed outside.
func TestRotateNotOurs(t *testing.T) {
	dir := folder(t)
	path := filepath.Join(dir, "named")
	write(t, path, string(keyFile(t)), 0o600)
	for name, c := range map[string]struct {
		env  env
		says string
	}{
		"variable": {env{keyring.EnvKey: newKey(t).Line()}, "counterfoil key generate"},
		"file":     {env{keyring.EnvKeyFile: path}, path},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := resolve(t, keyring.Options{Env: c.env.lookup})
			before, files := r.Fingerprint(), tree(t, dir)
			_, rotate := r.Rotate(t0)
			for _, err := range []error{rotate, r.Revoke(t0, r.Primary()), r.Retire(r.Primary(), 0)} {
				if !errors.Is(err, keyring.ErrNotOurs) || !strings.Contains(err.Error(), c.says) {
					t.Error(err)
				}
			}
			if r.Fingerprint() != before || tree(t, dir) != files {
				t.Error("something changed")
			}
		})
	}
}

func TestRotateInMemory(t *testing.T) {
	r := generate(t)
	old, sealed := seal(t, r)
	if _, err := r.Rotate(t0); err != nil || opens(r, old, sealed) != nil {
		t.Error(err)
	}
	if err := r.Reload(); err != nil {
		t.Error(err)
	}
}

func TestReload(t *testing.T) {
	r, path := ownRing(t)
	old, sealed := seal(t, r)
	sub, err := r.Derive(old, keyring.Verifier)
	if err != nil {
		t.Fatal(err)
	}
	other, _ := resolve(t, keyring.Options{OwnPath: path})
	if _, err := other.Rotate(t0); err != nil {
		t.Fatal(err)
	}
	if err := r.Reload(); err != nil || r.Fingerprint() != other.Fingerprint() {
		t.Error("the other's key is not seen:", err)
	}
	if again, err := r.Derive(old, keyring.Verifier); err != nil || again != sub {
		t.Error("what was cached is lost:", err)
	}
	backup, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Revoke(t0, old); err != nil {
		t.Fatal(err)
	}
	if err := r.Reload(); err != nil || !errors.Is(opens(r, old, sealed), keyring.ErrNoKey) {
		t.Error("the other's revocation is not seen:", err)
	}
	write(t, path, string(backup), 0o600)
	if err := r.Reload(); err != nil || opens(r, old, sealed) != nil {
		t.Error("a restored copy is not taken:", err)
	}

	before := r.Fingerprint()
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"damaged":              {string(backup[:200]), keyring.ErrCut},
		"another installation": {string(keyFile(t)), keyring.ErrRoots},
	} {
		write(t, path, c.text, 0o600)
		_, rotate := r.Rotate(t0)
		for _, err := range []error{r.Reload(), rotate, r.Revoke(t0, old)} {
			if !errors.Is(err, c.want) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if now, err := os.ReadFile(path); err != nil || string(now) != c.text || r.Fingerprint() != before {
			t.Errorf("%s: something changed", name)
		}
	}
	os.Remove(path)
	if err := r.Reload(); !errors.Is(err, os.ErrNotExist) || opens(r, old, sealed) != nil {
		t.Error("gone:", err)
	}
}

func TestReloadNamed(t *testing.T) {
	path := filepath.Join(folder(t), "named")
	writer := generate(t)
	put := func() {
		data, err := writer.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		write(t, path, string(data), 0o644)
	}
	put()
	r, _ := resolve(t, keyring.Options{Env: env{keyring.EnvKeyFile: path}.lookup})
	if _, err := writer.Rotate(t0); err != nil {
		t.Fatal(err)
	}
	put()
	if err := r.Reload(); err != nil || r.Fingerprint() != writer.Fingerprint() {
		t.Error(err)
	}
}

// A process that holds the lock and is stopped makes a change fail, not hang.
func TestBusy(t *testing.T) {
	r, path := ownRing(t)
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() }) // runs after the parallel ones
	if err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func() error{
		"rotate": func() error { _, err := r.Rotate(t0); return err },
		"create": func() error {
			_, _, err := keyring.Resolve(keyring.Options{OwnPath: path + ".new", Now: t0})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := change(); !errors.Is(err, keyring.ErrBusy) || len(r.Usable()) != 1 {
				t.Error(err)
			}
		})
	}
}

// What could not be read back is never written.
func TestRotateWithAnAbsurdClock(t *testing.T) {
	r, path := ownRing(t)
	before := tree(t, filepath.Dir(path))
	if _, err := r.Rotate(time.Date(12026, 1, 1, 0, 0, 0, 0, time.UTC)); err == nil || len(r.Usable()) != 1 {
		t.Error("taken:", err)
	}
	if tree(t, filepath.Dir(path)) != before {
		t.Error("written")
	}
}

func TestTooManyKeys(t *testing.T) {
	many, path := generate(t), filepath.Join(folder(t), "keys")
	for range 670 {
		if _, err := many.Rotate(t0); err != nil {
			t.Fatal(err)
		}
	}
	data, err := many.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, string(data), 0o600)
	r, _ := resolve(t, keyring.Options{OwnPath: path})
	for err == nil && len(r.Keys()) < 700 {
		_, err = r.Rotate(t0)
	}
	if err == nil || !strings.Contains(err.Error(), "retire") {
		t.Errorf("%d keys: %v", len(r.Keys()), err)
	}
	if again, _ := resolve(t, keyring.Options{OwnPath: path}); again.Fingerprint() != r.Fingerprint() {
		t.Error("file and ring differ")
	}
	for range 50 {
		if _, err := many.Rotate(t0); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := many.Marshal(); err == nil {
		t.Error("marshalled into a text that is too long to be read")
	}
}

// A ring changes as a whole, while others use it.
func TestConcurrentUse(t *testing.T) {
	r := generate(t)
	stop := make(chan struct{})
	var users sync.WaitGroup
	for range 4 {
		users.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				id, sealed, err := r.Seal(keyring.Identity, t0, nil, []byte("x"))
				if err != nil { // there is a primary at every moment
					t.Error(err)
				}
				if _, err := r.Open(id, keyring.Identity, nil, sealed); err != nil && !errors.Is(err, keyring.ErrNoKey) {
					t.Error(err)
				}
				for _, id := range r.Usable() {
					if sub, err := r.Derive(id, keyring.Values); err == nil && *sub == [32]byte{} || err != nil && !errors.Is(err, keyring.ErrNoKey) {
						t.Error("no sub-key:", err)
					}
				}
				if _, err := r.Marshal(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 50 {
		old := r.Primary()
		if _, err := r.Rotate(t0); err != nil {
			t.Error(err)
		}
		if err := r.Revoke(t0, old); err != nil {
			t.Error(err)
		}
		if err := r.Retire(old, 0); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	users.Wait()
}
