package storetest

import (
	"context"
	"errors"

	"github.com/counterfoil/counterfoil"
)

func failureProofs() []proof {
	return []proof{
		{"Context/cancelled", "An error that is none of the sentinels, a context's included, means \"unknown\": the change may or may not have happened, and calling again with the same arguments is safe.", cancelled},
		{"Close/fails", "Calls after it fail.", closed},
		{"Capabilities/pure", "It does no I/O.", capabilities},
	}
}

// sentinels are the errors by which a store says that it knows.
func sentinels() []error {
	return []error{
		counterfoil.ErrNotFound, counterfoil.ErrConflict, counterfoil.ErrExists, counterfoil.ErrGap, counterfoil.ErrFenced,
		counterfoil.ErrNoParent, counterfoil.ErrSuperseded, counterfoil.ErrLimit,
	}
}

// calls returns one call of each method that may fail; each would succeed.
func calls(s counterfoil.Store, subject counterfoil.SubjectHash, r *counterfoil.Record) map[string]func(context.Context) error {
	fresh, c, e, changed := record(subject), creation(), endedSubject(newSubject()), changedEntry()
	old := r.Clone()
	return map[string]func(context.Context) error{
		"Create": func(ctx context.Context) error { _, err := s.Create(ctx, fresh, c); return err },
		"Load":   func(ctx context.Context) error { _, err := s.Load(ctx, r.ID); return err },
		"Update": func(ctx context.Context) error { return s.Update(ctx, old.Clone(), changed) },
		"Touch": func(ctx context.Context) error {
			return s.Touch(ctx, []counterfoil.Touch{{ID: r.ID, Seen: start(), IdleEnd: start()}})
		},
		"Revoke": func(ctx context.Context) error { _, err := s.Revoke(ctx, e); return err },
		"List": func(ctx context.Context) error {
			for _, err := range s.List(ctx, subject) {
				if err != nil {
					return err
				}
			}
			return nil
		},
		"Scan": func(ctx context.Context) error { _, err := s.Scan(ctx, counterfoil.ID{}, 10); return err },
		"Log":  func(ctx context.Context) error { _, err := s.Log(ctx, 0, 10); return err },
		"Poll": func(ctx context.Context) error {
			_, err := s.Poll(ctx, counterfoil.Poll{Node: "node", Max: 10})
			return err
		},
		"Nodes":        func(ctx context.Context) error { _, err := s.Nodes(ctx); return err },
		"Fence":        func(ctx context.Context) error { return s.Fence(ctx, "another node") },
		"Acknowledge":  func(ctx context.Context) error { return s.Acknowledge(ctx, "reader", 0) },
		"Acknowledged": func(ctx context.Context) error { _, err := s.Acknowledged(ctx, "reader"); return err },
		"Readers":      func(ctx context.Context) error { _, err := s.Readers(ctx); return err },
		"Forget":       func(ctx context.Context) error { return s.Forget(ctx, "reader") },
		"Renew":        func(ctx context.Context) error { return s.Renew(ctx) },
		"Reap": func(ctx context.Context) error {
			_, err := s.Reap(ctx, counterfoil.Reap{Before: start().Add(-1), Max: 1})
			return err
		},
		"Meta":     func(ctx context.Context) error { _, err := s.Meta(ctx, "key"); return err },
		"SwapMeta": func(ctx context.Context) error { return s.SwapMeta(ctx, "key", nil, nil) },
	}
}

// known fails if err claims knowledge.
func (f *fixture) unknown(name string, err error) {
	f.Helper()
	for _, s := range sentinels() {
		if errors.Is(err, s) {
			f.Fatalf("%s says %v; that is a claim, not \"unknown\"", name, err)
		}
	}
}

func cancelled(f *fixture) {
	subject := newSubject()
	r := f.signIn(subject)
	ctx, cancel := context.WithCancel(f.ctx)
	cancel()
	for name, call := range calls(f.s, subject, r) {
		if err := call(ctx); err != nil {
			f.unknown(name, err)
			f.is(err, context.Canceled)
		}
		if err := call(f.ctx); err != nil {
			f.Fatalf("%s again with the same arguments: %v", name, err)
		}
	}
	f.same("created, created, changed and ended", len(f.after(0)), 4)
}

func closed(f *fixture) {
	subject := newSubject()
	r := f.signIn(subject)
	all := calls(f.s, subject, r)
	f.ok(f.s.Close())
	for name, call := range all {
		err := call(f.ctx)
		if err == nil {
			f.Fatalf("%s works after Close", name)
		}
		f.unknown(name, err)
	}
}

func capabilities(f *fixture) {
	c := f.s.Capabilities()
	f.ok(f.s.Close())
	f.same("Capabilities after Close", f.s.Capabilities(), c)
}
