package audit

import (
	"context"
	"time"

	"github.com/counterfoil/counterfoil"
)

// bounded is a store whose calls here give up in time, as the manager's do: a connection may stand and
// say nothing, and whoever else waits for its answer must not wait for ever with the exporter.
type bounded struct{ counterfoil.Store }

const callTime = 5 * time.Second

func (b bounded) Log(ctx context.Context, since uint64, max int) (counterfoil.Page, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	return b.Store.Log(ctx, since, max)
}

func (b bounded) Meta(ctx context.Context, key string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	return b.Store.Meta(ctx, key)
}

func (b bounded) SwapMeta(ctx context.Context, key string, old, new []byte) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	return b.Store.SwapMeta(ctx, key, old, new)
}

func (b bounded) Acknowledge(ctx context.Context, reader string, seq uint64) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	return b.Store.Acknowledge(ctx, reader, seq)
}

func (b bounded) Acknowledged(ctx context.Context, reader string) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	return b.Store.Acknowledged(ctx, reader)
}
