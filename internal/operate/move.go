package operate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/internal/config"
	"github.com/counterfoil/counterfoil/internal/transfer"
)

// silence is how long a node that was killed must have said nothing: its lease, counted generously.
func silence(c *config.Config) time.Duration { return c.Lease + c.Lease/100 }

// CopyStore copies one store into another, see [transfer.Copy]. Neither need be the installation's.
func CopyStore(ctx context.Context, p Place, from, to string, progress transfer.Progress) (done transfer.Copied, err error) {
	source, err := existing(ctx, p, from)
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, source.Sessions.Close()) }()
	if strings.HasPrefix(to, "memory:") {
		return done, usage("--to: the store memory: keeps nothing")
	}
	target, err := OpenStore(ctx, p, to)
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, target.Sessions.Close()) }()
	return transfer.Copy(ctx, transfer.CopyJob{
		From: source, To: target, Clock: p.Clock, Progress: progress, Carried: []string{metaKeyCheck}, Silence: silence(p.Config),
	})
}

// UndoCopy takes a store back into use that was copied, or was to be.
func UndoCopy(ctx context.Context, p Place, from string) (err error) {
	source, err := existing(ctx, p, from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.Sessions.Close()) }()
	return transfer.Undo(ctx, source)
}

// existing opens a store that must be there already.
func existing(ctx context.Context, p Place, dsn string) (transfer.Side, error) {
	scheme, path, _ := strings.Cut(dsn, ":")
	if scheme == "memory" {
		return transfer.Side{}, usage("--from: the store memory: is gone with its server; there is nothing to copy")
	}
	if scheme == "sqlite" {
		if _, err := os.Stat(path); err != nil {
			return transfer.Side{}, notFound("there is no store %s: %v", dsn, err)
		}
	}
	side, err := OpenStore(ctx, p, dsn)
	if err != nil {
		return side, fmt.Errorf("--from: %w", err)
	}
	return side, nil
}
