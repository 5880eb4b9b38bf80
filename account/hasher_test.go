package account

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
)

func newHasher(t testing.TB, parallel int) *Hasher {
	t.Helper()
	h, err := NewHasher(Params{Memory: 64, Passes: 1, Threads: 1}, parallel)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestHasher(t *testing.T) {
	h := newHasher(t, 1)
	ctx := t.Context()
	one, err := h.Hash(ctx, "password")
	if err != nil {
		t.Fatal(err)
	}
	if two, _ := h.Hash(ctx, "password"); one == two {
		t.Error("no salt")
	}
	for password, want := range map[string]bool{"password": true, "Password": false, "": false} {
		if ok, outdated, err := h.Check(ctx, one, password); ok != want || outdated || err != nil {
			t.Errorf("%q: %v %v %v", password, ok, outdated, err)
		}
	}
	if ok, _, err := h.Check(ctx, "", ""); ok || err != nil {
		t.Errorf("no password is the empty one: %v, %v", ok, err)
	}
	// Made by the reference implementation: argon2id of "password" with the salt "somesalt".
	const reference = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	if ok, outdated, err := h.Check(ctx, reference, "password"); !ok || !outdated || err != nil {
		t.Errorf("reference: %v %v %v", ok, outdated, err)
	}
}

func TestHasherParams(t *testing.T) {
	for _, p := range []Params{{}, {Memory: 64, Passes: 1}, {Memory: 64, Threads: 1}, {Memory: 7, Passes: 1, Threads: 1}, {Memory: 1 << 30, Passes: 1, Threads: 1}, {Memory: 64, Passes: 99, Threads: 1}} {
		if _, err := NewHasher(p, 1); err == nil {
			t.Errorf("%+v was taken", p)
		}
	}
	if _, err := NewHasher(DefaultParams, 0); err == nil {
		t.Error("no password at once was taken")
	}
	if _, err := NewHasher(DefaultParams, 1); err != nil {
		t.Error(err)
	}
}

// Who bounds a request's time for the store learns when a password is worked on, or waits for that.
func TestWhileHashing(t *testing.T) {
	h := newHasher(t, 1)
	var said []string
	ctx := WhileHashing(t.Context(), func() func() {
		said = append(said, "pause")
		return func() { said = append(said, "resume") }
	})
	hash, err := h.Hash(ctx, "password")
	if err != nil {
		t.Fatal(err)
	}
	if ok, _, err := h.Check(ctx, hash, "password"); !ok || err != nil {
		t.Fatal(ok, err)
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := h.Hash(gone, "password"); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if got, want := strings.Join(said, " "), "pause resume pause resume pause resume"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// However many ask, no more than so many work and so many wait; who waits goes with the context.
func TestHasherIsBounded(t *testing.T) {
	h := newHasher(t, 2)
	h.slots <- struct{}{} // both are at work
	h.slots <- struct{}{}
	h.waiting.Add(2)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 2 * queueFactor {
		wg.Go(func() {
			if _, err := h.Hash(ctx, "password"); !errors.Is(err, context.Canceled) {
				t.Errorf("a waiter got %v", err)
			}
		})
	}
	for h.waiting.Load() < 2+2*queueFactor { // until all stand in the queue
		runtime.Gosched()
	}
	if _, err := h.Hash(t.Context(), "password"); !errors.Is(err, ErrBusy) {
		t.Errorf("over the bound: %v", err)
	}
	cancel()
	wg.Wait()
	<-h.slots
	h.waiting.Add(-1)
	if _, err := h.Hash(t.Context(), "password"); err != nil {
		t.Errorf("with a free place: %v", err)
	}
	if n := h.waiting.Load(); n != 1 {
		t.Errorf("%d are counted as waiting, want the one at work", n)
	}
}

func TestParsePHC(t *testing.T) {
	const good = "$argon2id$v=19$m=65536,t=3,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	if p, err := parsePHC(good); err != nil || p.Params != DefaultParams {
		t.Fatal(p.Params, err)
	}
	for name, change := range map[string][2]string{
		"argon2i": {"argon2id", "argon2i"}, "version": {"v=19", "v=16"}, "no version": {"$v=19", ""}, "leading zero": {"t=3", "t=03"}, "sign": {"t=3", "t=+3"},
		"order": {"m=65536,t=3", "t=3,m=65536"}, "too much memory": {"m=65536", "m=262145"}, "overflow": {"m=65536", "m=4294967296"}, "no memory": {"m=65536", "m=0"},
		"too many passes": {"t=3", "t=17"}, "no passes": {"t=3", "t=0"}, "threads": {"p=1", "p=17"}, "threads wrap": {"p=1", "p=257"}, "more costs": {"p=1", "p=1,x=1"},
		"padding": {"AAAA$", "AAA=$"}, "trailing bits": {"AA$", "AB$"}, "line break": {"AA$", "A\nA$"}, "short salt": {"AAAAAAAAAAAAAAAAAAAAAA$", "AAAA$"},
		"more after it": {"AAAA$", "AAAA$$"}, "before it": {"$argon2id", "x$argon2id"},
	} {
		if s := strings.Replace(good, change[0], change[1], 1); s == good {
			t.Errorf("%s changes nothing", name)
		} else if _, err := parsePHC(s); !errors.Is(err, errPHC) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := parsePHC(good[:len(good)-40]); err == nil {
		t.Error("a cut key was taken")
	}
}

func FuzzParsePHC(f *testing.F) {
	f.Add("$argon2id$v=19$m=65536,t=3,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	f.Add("$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc")
	f.Add("$argon2id$v=19$m=,t=,p=$$")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := parsePHC(s)
		if err != nil {
			return
		}
		if p.String() != s {
			t.Fatalf("%q is written %q", s, p.String())
		}
		if err := p.check(); err != nil {
			t.Fatalf("%q: %v", s, err)
		}
	})
}
