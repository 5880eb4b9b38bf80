package audit_test

import (
	"context"
	"sync"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
)

// endless notes the calls that nothing would ever end.
type endless struct {
	counterfoil.Store
	mu    sync.Mutex
	calls map[string]bool // verb -> without a deadline
}

func (s *endless) note(ctx context.Context, verb string) {
	_, ends := ctx.Deadline()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[verb] = s.calls[verb] || !ends
}

func (s *endless) Log(ctx context.Context, since uint64, max int) (counterfoil.Page, error) {
	s.note(ctx, "Log")
	return s.Store.Log(ctx, since, max)
}

func (s *endless) Meta(ctx context.Context, key string) ([]byte, error) {
	s.note(ctx, "Meta")
	return s.Store.Meta(ctx, key)
}

func (s *endless) SwapMeta(ctx context.Context, key string, old, new []byte) error {
	s.note(ctx, "SwapMeta")
	return s.Store.SwapMeta(ctx, key, old, new)
}

func (s *endless) Acknowledge(ctx context.Context, reader string, seq uint64) error {
	s.note(ctx, "Acknowledge")
	return s.Store.Acknowledge(ctx, reader, seq)
}

func (s *endless) Acknowledged(ctx context.Context, reader string) (uint64, error) {
	s.note(ctx, "Acknowledged")
	return s.Store.Acknowledged(ctx, reader)
}

// The exporter waits for no call without end: on storage that says nothing any more, whoever else asks
// waits for the same answer. PD8
func TestEachCallOfTheStoreGivesUp(t *testing.T) {
	r := newRig(t)
	store := &endless{Store: r.store, calls: map[string]bool{}}
	cfg := r.config()
	cfg.Store = store
	x, err := audit.Open(context.Background(), cfg)
	must(t, err)
	r.end("alice")
	must(t, x.Flush(context.Background()))
	must(t, x.Close(context.Background()))
	for _, verb := range []string{"Log", "Meta", "SwapMeta", "Acknowledge", "Acknowledged"} {
		if forever, called := store.calls[verb]; !called || forever {
			t.Errorf("%s: called %v, without end %v", verb, called, forever)
		}
	}
}
