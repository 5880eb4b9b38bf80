package operate

import (
	"context"
	"errors"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/gateway"
)

// Offline opens an installation that no server runs on, and returns what operates on it and what
// closes it. The caller holds its lock.
func Offline(ctx context.Context, p Place) (*Operations, func(context.Context) error, error) {
	i, err := Open(ctx, p)
	if err != nil {
		return nil, nil, err
	}
	sessions, err := counterfoil.New(ctx, counterfoil.Config{
		Store: i.Store, Keys: i.Keys, Policy: p.Config.Policy(), Realm: gateway.Realm, Lease: p.Config.Lease, Skew: p.Config.ClockSkew,
		CacheBytes: -1, Clock: p.Clock, Logger: p.Logger,
	})
	if err != nil {
		return nil, nil, errors.Join(err, i.Store.Close())
	}
	record := offlineRecord{audit.Config{
		Path: p.Config.Path(AuditName), Name: i.Node, Store: i.Store, Describe: sessions.Describe, Keys: i.Keys, Clock: p.Clock, Logger: p.Logger,
	}}
	if i.Replaced {
		record.Record(i.Event())
	}
	done := func(ctx context.Context) error {
		return errors.Join(sessions.Close(ctx), i.Store.Close())
	}
	return &Operations{
		Config: p.Config, Store: i.Store, Side: i.Side, Sessions: sessions, Accounts: i.Accounts, Keys: i.Keys,
		Audit: record, Clock: p.Clock, Logger: p.Logger,
	}, done, nil
}

// offlineRecord opens the audit only when there is something to write: looking at an installation
// leaves no trace in it. Changes in the store need no line now; the server exports them.
type offlineRecord struct{ cfg audit.Config }

// Record writes one event.
func (o offlineRecord) Record(ev counterfoil.Event) {
	ctx := context.Background()
	x, err := audit.Open(ctx, o.cfg)
	if err == nil {
		x.Record(ev)
		err = x.Close(ctx)
	}
	if err != nil {
		o.cfg.Logger.Error("the audit was not written", "event", ev.Kind, "reason", ev.Reason, "error", err)
	}
}
