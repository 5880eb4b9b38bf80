package redis

import (
	"context"
	"time"
)

// OpenSlowly is Open where a machine that stands still for a while is no outage.
func OpenSlowly(ctx context.Context, dsn string, o Options) (*Store, error) {
	return open(ctx, dsn, o, 3*time.Minute)
}
