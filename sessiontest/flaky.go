package sessiontest

import (
	"context"
	"iter"

	"github.com/counterfoil/counterfoil"
)

// Flaky returns s with faults between it and its caller, to see a program keep its promises when the
// store fails. Each call asks fault twice: with the method's name ("Create") before the call, where
// an error means that the call is not made, and with "/answer" behind it ("Create/answer") after the
// call took effect, where an error means that its answer is lost. The caller gets the error and
// nothing else, as if a connection had broken. The answer of List is lost after its last record.
// Capabilities and Close never fail. fault is called by many goroutines at once.
func Flaky(s counterfoil.Store, fault func(method string) error) counterfoil.Store {
	return &flaky{Store: s, fault: fault}
}

type flaky struct {
	counterfoil.Store // Capabilities, Close
	fault             func(string) error
}

// ask makes a call whose answer is a T and an error.
func ask[T any](f *flaky, method string, call func() (T, error)) (T, error) {
	var none T
	if err := f.fault(method); err != nil {
		return none, err
	}
	out, err := call()
	if err := f.fault(method + "/answer"); err != nil {
		return none, err
	}
	return out, err
}

// tell makes a call whose answer is an error alone.
func (f *flaky) tell(method string, call func() error) error {
	_, err := ask(f, method, func() (struct{}, error) { return struct{}{}, call() })
	return err
}

func (f *flaky) Create(ctx context.Context, rec *counterfoil.Record, c counterfoil.Creation) (counterfoil.Created, error) {
	sent := rec.Clone() // so that a lost answer does not show in rec
	out, err := ask(f, "Create", func() (counterfoil.Created, error) { return f.Store.Create(ctx, sent, c) })
	if err == nil {
		rec.Born, rec.Revision = sent.Born, sent.Revision
	}
	return out, err
}

func (f *flaky) Load(ctx context.Context, id counterfoil.ID) (*counterfoil.Record, error) {
	return ask(f, "Load", func() (*counterfoil.Record, error) { return f.Store.Load(ctx, id) })
}

func (f *flaky) Update(ctx context.Context, rec *counterfoil.Record, changed *counterfoil.Entry) error {
	sent := rec.Clone()
	err := f.tell("Update", func() error { return f.Store.Update(ctx, sent, changed) })
	if err == nil {
		rec.Revision = sent.Revision
	}
	return err
}

func (f *flaky) Touch(ctx context.Context, batch []counterfoil.Touch) error {
	return f.tell("Touch", func() error { return f.Store.Touch(ctx, batch) })
}

func (f *flaky) Revoke(ctx context.Context, e counterfoil.Entry) (counterfoil.Revoked, error) {
	return ask(f, "Revoke", func() (counterfoil.Revoked, error) { return f.Store.Revoke(ctx, e) })
}

func (f *flaky) List(ctx context.Context, subject counterfoil.SubjectHash) iter.Seq2[*counterfoil.Record, error] {
	return func(yield func(*counterfoil.Record, error) bool) {
		if err := f.fault("List"); err != nil {
			yield(nil, err)
			return
		}
		for r, err := range f.Store.List(ctx, subject) {
			if !yield(r, err) {
				return
			}
		}
		if err := f.fault("List/answer"); err != nil {
			yield(nil, err)
		}
	}
}

func (f *flaky) Scan(ctx context.Context, after counterfoil.ID, max int) ([]*counterfoil.Record, error) {
	return ask(f, "Scan", func() ([]*counterfoil.Record, error) { return f.Store.Scan(ctx, after, max) })
}

func (f *flaky) Log(ctx context.Context, since uint64, max int) (counterfoil.Page, error) {
	return ask(f, "Log", func() (counterfoil.Page, error) { return f.Store.Log(ctx, since, max) })
}

func (f *flaky) Poll(ctx context.Context, p counterfoil.Poll) (counterfoil.Page, error) {
	return ask(f, "Poll", func() (counterfoil.Page, error) { return f.Store.Poll(ctx, p) })
}

func (f *flaky) Nodes(ctx context.Context) ([]counterfoil.Node, error) {
	return ask(f, "Nodes", func() ([]counterfoil.Node, error) { return f.Store.Nodes(ctx) })
}

func (f *flaky) Fence(ctx context.Context, node string) error {
	return f.tell("Fence", func() error { return f.Store.Fence(ctx, node) })
}

func (f *flaky) Acknowledge(ctx context.Context, reader string, seq uint64) error {
	return f.tell("Acknowledge", func() error { return f.Store.Acknowledge(ctx, reader, seq) })
}

func (f *flaky) Acknowledged(ctx context.Context, reader string) (uint64, error) {
	return ask(f, "Acknowledged", func() (uint64, error) { return f.Store.Acknowledged(ctx, reader) })
}

func (f *flaky) Readers(ctx context.Context) (map[string]uint64, error) {
	return ask(f, "Readers", func() (map[string]uint64, error) { return f.Store.Readers(ctx) })
}

func (f *flaky) Forget(ctx context.Context, reader string) error {
	return f.tell("Forget", func() error { return f.Store.Forget(ctx, reader) })
}

func (f *flaky) Renew(ctx context.Context) error {
	return f.tell("Renew", func() error { return f.Store.Renew(ctx) })
}

func (f *flaky) Reap(ctx context.Context, r counterfoil.Reap) (counterfoil.Reaped, error) {
	return ask(f, "Reap", func() (counterfoil.Reaped, error) { return f.Store.Reap(ctx, r) })
}

func (f *flaky) Meta(ctx context.Context, key string) ([]byte, error) {
	return ask(f, "Meta", func() ([]byte, error) { return f.Store.Meta(ctx, key) })
}

func (f *flaky) SwapMeta(ctx context.Context, key string, old, new []byte) error {
	return f.tell("SwapMeta", func() error { return f.Store.SwapMeta(ctx, key, old, new) })
}
