package counterfoil_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/sessiontest"
)

// A node that has read the rotated key file makes sessions that another, which has not, admits all the
// same: it reads the file when it meets a key that it does not have, and not for every token that
// nobody issued. CD15
func TestKeyOfAnotherNode(t *testing.T) {
	ring := keyFile(t)
	rings := [2]*keyring.Ring{ring(), ring()}
	var store counterfoil.Store
	a, clock := sessiontest.New(t, func(c *counterfoil.Config) { c.Keys, store = rings[0], c.Store })
	b, _ := sessiontest.New(t, func(c *counterfoil.Config) { c.Keys, c.Store, c.Clock = rings[1], store, clock })

	old, _ := signIn(t, a, "alice")
	if _, err := rings[0].Rotate(time.Unix(2e9+1, 0)); err != nil {
		t.Fatal(err)
	}
	forged := httptest.NewRequest("GET", "/", nil)
	forged.Header.Set("Cookie", sessionCookie+"=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	if _, v := b.Check(forged); v != counterfoil.Invalid {
		t.Errorf("a token that nobody issued: %v", v)
	}
	if len(rings[1].Usable()) != 2 {
		t.Error("a token of an unknown key does not make the node look at the file")
	}
	if _, err := rings[0].Rotate(time.Unix(2e9+2, 0)); err != nil {
		t.Fatal(err)
	}
	forged.Header.Set("Cookie", sessionCookie+"=BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA")
	if b.Check(forged); len(rings[1].Usable()) != 2 {
		t.Error("every token makes the node look at the file")
	}
	clock.Advance(2 * time.Second)
	fresh, _ := signIn(t, a, "alice")
	if _, v := b.Check(fresh); v != counterfoil.Valid {
		t.Errorf("a session made after the rotation: %v", v)
	}
	if _, v := b.Check(old); v != counterfoil.Valid {
		t.Errorf("a session made before the rotation: %v", v)
	}
}

// What another node has logged under a key that this one has yet to read is described in full: an audit
// is written once.
func TestEntryOfAnotherNodesKey(t *testing.T) { // CD15
	ring := keyFile(t)
	rings := [2]*keyring.Ring{ring(), ring()}
	var store counterfoil.Store
	a, clock := sessiontest.New(t, func(c *counterfoil.Config) { c.Keys, store = rings[0], c.Store })
	b, _ := sessiontest.New(t, func(c *counterfoil.Config) { c.Keys, c.Store, c.Clock = rings[1], store, clock })
	if _, err := rings[0].Rotate(time.Unix(2e9+1, 0)); err != nil {
		t.Fatal(err)
	}
	signIn(t, a, "alice")
	page, err := store.Log(t.Context(), 0, 10)
	if err != nil || len(page.Entries) != 1 {
		t.Fatalf("%d entries, %v", len(page.Entries), err)
	}
	if ev, readable := b.Describe(page.Entries[0]); !readable || ev.Session.Subject != "alice" {
		t.Errorf("readable %v: %+v", readable, ev)
	}
}

// slowWrapper is a key management service that does not answer until it may.
type slowWrapper struct {
	keyring.Wrapper
	asked chan struct{}
	may   chan struct{}
}

func (w *slowWrapper) Unwrap(ctx context.Context, wrapped []byte, purpose string) ([]byte, error) {
	if w.asked != nil {
		w.asked <- struct{}{}
		<-w.may
	}
	return w.Wrapper.Unwrap(ctx, wrapped, purpose)
}

// A token that nobody issued makes a node look at the key file. However long that takes, as where a key
// management service has to unwrap it, polls do not wait for it, and one look is enough for all who do.
func TestSlowKeyFileHoldsNobodyUp(t *testing.T) {
	key, err := keyring.NewKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	inner, err := keyring.KeyWrapper(key)
	if err != nil {
		t.Fatal(err)
	}
	slow := &slowWrapper{Wrapper: inner}
	ring, _, err := keyring.Resolve(keyring.Options{OwnPath: filepath.Join(t.TempDir(), "data", "keys"), Now: time.Unix(2e9, 0), Wrapper: slow})
	if err != nil {
		t.Fatal(err)
	}
	m, clock := sessiontest.New(t, func(c *counterfoil.Config) { c.Keys = ring })
	alice, _ := signIn(t, m, "alice")
	slow.asked, slow.may = make(chan struct{}, 3), make(chan struct{})
	var checking sync.WaitGroup
	for _, last := range []string{"A", "E", "I"} {
		forged := httptest.NewRequest("GET", "/", nil)
		forged.Header.Set("Cookie", sessionCookie+"="+strings.Repeat("A", 42)+last)
		checking.Go(func() { m.Check(forged) })
	}
	<-slow.asked
	clock.Advance(10 * time.Second)
	if !m.Health().LeaseFresh {
		t.Error("the lease was not renewed")
	}
	if _, v := m.Check(alice); v != counterfoil.Valid {
		t.Errorf("whose key is known: %v", v)
	}
	close(slow.may)
	checking.Wait()
	if n := len(slow.asked); n > 0 {
		t.Errorf("the file was read %d times more", n)
	}
}

// keyFile is a key file that several read.
func keyFile(t *testing.T) (ring func() *keyring.Ring) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "data", "keys")
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	return func() *keyring.Ring {
		r, _, err := keyring.Resolve(keyring.Options{Env: func(string) (string, bool) { return "", false }, OwnPath: path, Now: time.Unix(2e9, 0)})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
}

// A key that somebody else takes out of the file opens nothing from the next poll on after the file was
// read again, though the session was opened before, and streams end with it. CD15
func TestKeyRevokedFromOutside(t *testing.T) {
	ring := keyFile(t)
	ours, theirs := ring(), ring()
	m, clock := sessiontest.New(t, func(c *counterfoil.Config) { c.Keys = ours })
	r, _ := signIn(t, m, "alice")
	watched := httptest.NewRecorder()
	var over <-chan struct{}
	m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		over = m.FromContext(r.Context()).Done()
		if err := theirs.Revoke(time.Unix(2e9+1, 0), theirs.Primary()); err != nil {
			t.Error(err)
		}
		clock.Advance(2 * time.Second)
		if _, v := m.Check(r); v != counterfoil.Valid {
			t.Errorf("before the file is read again: %v", v)
		}
		if err := ours.Reload(); err != nil {
			t.Error(err)
		}
		clock.Advance(2 * time.Second)
		if _, v := m.Check(r); v != counterfoil.Invalid {
			t.Errorf("a session of a revoked key: %v", v)
		}
		clock.Advance(time.Second)
		select {
		case <-over:
		case <-time.After(5 * time.Minute):
			t.Error("a stream of a revoked key goes on")
		}
	})).ServeHTTP(watched, r)
	other, _ := signIn(t, m, "alice")
	if _, v := m.Check(other); v != counterfoil.Valid {
		t.Errorf("a session of the new key: %v", v)
	}
}
