package sessiontest_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/sessiontest"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/storetest"
)

var errBroken = errors.New("connection broken")

// Without faults a flaky store is the store.
func TestFlakyPassesThrough(t *testing.T) {
	storetest.Run(t, func(t *testing.T) counterfoil.Store {
		return sessiontest.Flaky(memory.New(memory.Options{}), func(string) error { return nil })
	})
}

func TestFlakyFaults(t *testing.T) {
	now := time.UnixMilli(1_800_000_000_000).UTC()
	for _, c := range []struct {
		fault  string
		exists bool // after the failed Create
	}{{"Create", false}, {"Create/answer", true}} {
		t.Run(c.fault, func(t *testing.T) {
			broken := true
			s := sessiontest.Flaky(memory.New(memory.Options{}), func(method string) error {
				if broken && method == c.fault {
					return errBroken
				}
				return nil
			})
			defer s.Close()
			rec := &counterfoil.Record{ID: counterfoil.ID{1}, Created: now, Seen: now, IdleEnd: now.Add(time.Hour), AbsoluteEnd: now.Add(time.Hour)}
			creation := counterfoil.Creation{Entry: counterfoil.Entry{Kind: counterfoil.EntryCreated, Op: counterfoil.OpID{1}, Time: now}}
			out, err := s.Create(t.Context(), rec, creation)
			if !errors.Is(err, errBroken) || out.Seq != 0 || rec.Born != 0 || rec.Revision != 0 {
				t.Fatalf("Create: %v, %+v; Born %d, Revision %d; want the fault and nothing else", err, out, rec.Born, rec.Revision)
			}
			if _, err := s.Load(t.Context(), rec.ID); (err == nil) != c.exists {
				t.Fatalf("Load after it: %v; the record exists: %v", err, c.exists)
			}
			broken = false
			if out, err := s.Create(t.Context(), rec, creation); err != nil || out.Seq != 1 || rec.Born != 1 {
				t.Fatalf("Create again: %v, %+v", err, out)
			}
		})
	}
}

func TestFlakyAsksForEachMethod(t *testing.T) {
	var asked []string
	fail := ""
	s := sessiontest.Flaky(memory.New(memory.Options{}), func(method string) error {
		asked = append(asked, method)
		if method == fail {
			return errBroken
		}
		return nil
	})
	defer s.Close()
	ctx := t.Context()
	for name, call := range map[string]func() error{
		"Load":   func() error { _, err := s.Load(ctx, counterfoil.ID{1}); return err },
		"Update": func() error { return s.Update(ctx, &counterfoil.Record{}, nil) },
		"Touch":  func() error { return s.Touch(ctx, nil) },
		"Revoke": func() error { _, err := s.Revoke(ctx, counterfoil.Entry{Kind: counterfoil.EntryEndedAll}); return err },
		"List": func() error {
			for _, err := range s.List(ctx, counterfoil.SubjectHash{1}) {
				return err
			}
			return nil
		},
		"Scan":         func() error { _, err := s.Scan(ctx, counterfoil.ID{}, 1); return err },
		"Log":          func() error { _, err := s.Log(ctx, 0, 1); return err },
		"Poll":         func() error { _, err := s.Poll(ctx, counterfoil.Poll{}); return err },
		"Nodes":        func() error { _, err := s.Nodes(ctx); return err },
		"Fence":        func() error { return s.Fence(ctx, "a") },
		"Acknowledge":  func() error { return s.Acknowledge(ctx, "a", 0) },
		"Acknowledged": func() error { _, err := s.Acknowledged(ctx, "a"); return err },
		"Readers":      func() error { _, err := s.Readers(ctx); return err },
		"Forget":       func() error { return s.Forget(ctx, "a") },
		"Renew":        func() error { return s.Renew(ctx) },
		"Reap":         func() error { _, err := s.Reap(ctx, counterfoil.Reap{}); return err },
		"Meta":         func() error { _, err := s.Meta(ctx, "a"); return err },
		"SwapMeta":     func() error { return s.SwapMeta(ctx, "a", nil, nil) },
	} {
		for _, at := range []string{name, name + "/answer"} {
			asked, fail = nil, at
			if err := call(); !errors.Is(err, errBroken) {
				t.Errorf("fault at %s: the call says %v", at, err)
			}
			want := name
			if at != name {
				want += " " + at
			}
			if got := strings.Join(asked, " "); got != want {
				t.Errorf("fault at %s: asked for %q, want %q", at, got, want)
			}
		}
	}
}

// "calling again with the same arguments is safe": a caller that repeats what it does not know, over
// a connection that breaks at every third step, sees a store that keeps the whole contract.
func TestRepeatedCallsAreSafe(t *testing.T) {
	storetest.Run(t, func(t *testing.T) counterfoil.Store {
		var n atomic.Int64
		s := memory.New(memory.Options{})
		return &repeating{Store: s, flaky: sessiontest.Flaky(s, func(string) error {
			if n.Add(1)%3 == 0 {
				return errBroken
			}
			return nil
		})}
	})
}

// repeating repeats the calls that carry an operation until their outcome is known.
type repeating struct {
	counterfoil.Store
	flaky counterfoil.Store
}

func repeat[T any](call func() (T, error)) (T, error) {
	for {
		if out, err := call(); !errors.Is(err, errBroken) {
			return out, err
		}
	}
}

func (r *repeating) Create(ctx context.Context, rec *counterfoil.Record, c counterfoil.Creation) (counterfoil.Created, error) {
	if c.Entry.Op == (counterfoil.OpID{}) {
		return r.Store.Create(ctx, rec, c)
	}
	return repeat(func() (counterfoil.Created, error) { return r.flaky.Create(ctx, rec, c) })
}

func (r *repeating) Update(ctx context.Context, rec *counterfoil.Record, changed *counterfoil.Entry) error {
	if changed == nil {
		return r.Store.Update(ctx, rec, nil)
	}
	_, err := repeat(func() (struct{}, error) { return struct{}{}, r.flaky.Update(ctx, rec, changed) })
	return err
}

func (r *repeating) Touch(ctx context.Context, batch []counterfoil.Touch) error {
	_, err := repeat(func() (struct{}, error) { return struct{}{}, r.flaky.Touch(ctx, batch) })
	return err
}

func (r *repeating) Revoke(ctx context.Context, e counterfoil.Entry) (counterfoil.Revoked, error) {
	return repeat(func() (counterfoil.Revoked, error) { return r.flaky.Revoke(ctx, e) })
}
