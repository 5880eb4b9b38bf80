package operate_test

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/logtest"
	"github.com/counterfoil/counterfoil/internal/operate"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/store/postgres/postgrestest"
	"github.com/counterfoil/counterfoil/store/redis/redistest"
)

// PD12: a store that several nodes share is not opened without a key that they share, and two nodes
// with one key are one installation.
func TestSharedStore(t *testing.T) {
	server, err := postgrestest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	ctx, clock := context.Background(), counterfoil.SystemClock()
	dsn, err := server.Empty(ctx)
	if err != nil {
		t.Fatal(err)
	}
	made, err := keyring.NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key := made.Line()
	at := func(flags map[string]string, env map[string]string) (*operate.Installation, error) {
		cfg := load(t, flags)
		if err := operate.PrepareFolder(cfg.Data); err != nil {
			t.Fatal(err)
		}
		return operate.Open(ctx, operate.Place{
			Config: cfg, Clock: clock, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
			Env: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		})
	}
	for name, flags := range map[string]map[string]string{
		"no key": {"store": dsn}, "ephemeral key": {"store": dsn, "ephemeral-key": "true"},
	} {
		if _, err := at(flags, nil); !errors.Is(err, operate.ErrNoSharedKey) {
			t.Errorf("%s: %v, want ErrNoSharedKey", name, err)
		}
	}
	for range 2 {
		i, err := at(map[string]string{"store": dsn}, map[string]string{keyring.EnvKey: key})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = i.Store.Close() })
		if !i.Store.Capabilities().Shared {
			t.Error("the store does not know that it is shared")
		}
	}
	_, err = at(map[string]string{"store": "postgres://u:hunter2@127.0.0.1:1/db", "store-wait": "1s"}, map[string]string{keyring.EnvKey: key})
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("an unreachable server: %v; want an error without the password", err)
	}
}

// Where a store may lose accounts, and what was acknowledged, its opening says so; where it does not,
// nothing is said.
func TestStoreThatMayForget(t *testing.T) {
	for sync, warns := range map[string]bool{"everysec": true, "always": false} {
		server, err := redistest.Start("--appendfsync", sync)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { server.Stop() })
		log := &logtest.Log{}
		side, err := operate.OpenStore(t.Context(), operate.Place{
			Config: load(t, nil), Clock: counterfoil.SystemClock(), Logger: slog.New(slog.NewTextHandler(log, nil)),
		}, server.DSN())
		if err != nil {
			t.Fatal(err)
		}
		if err := side.Sessions.Close(); err != nil {
			t.Error(err)
		}
		if said := strings.Contains(log.String(), "may lose accounts"); said != warns {
			t.Errorf("appendfsync %s: %s", sync, log)
		}
	}
}
