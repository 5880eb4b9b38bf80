package postgres_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/account"
	"github.com/counterfoil/counterfoil/account/accounttest"
	"github.com/counterfoil/counterfoil/store/postgres"
	"github.com/counterfoil/counterfoil/store/postgres/postgrestest"
	"github.com/counterfoil/counterfoil/storetest"
)

// server serves all tests of this package; each has a schema of its own.
var server *postgrestest.Server

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) (code int) {
	var err error
	if server, err = postgrestest.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() {
		if err := server.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}()
	return m.Run()
}

func empty(t testing.TB) string {
	t.Helper()
	dsn, err := server.Empty(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return dsn
}

func open(t testing.TB, dsn string) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(context.Background(), dsn, postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// P26, P27, T22
func TestStore(t *testing.T) {
	at := make(map[counterfoil.Store]string)
	openAt := func(t *testing.T, dsn string) counterfoil.Store {
		s := open(t, dsn)
		at[s] = dsn
		return s
	}
	storetest.Run(t,
		func(t *testing.T) counterfoil.Store { return openAt(t, empty(t)) },
		storetest.Reopen(func(t *testing.T, s counterfoil.Store) counterfoil.Store {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			return openAt(t, at[s])
		}))
}

func TestAccounts(t *testing.T) {
	at := make(map[account.Store]string)
	stores := make(map[account.Store]*postgres.Store)
	openAt := func(t *testing.T, dsn string) account.Store {
		s := open(t, dsn)
		a := s.Accounts()
		at[a], stores[a] = dsn, s
		return a
	}
	accounttest.Run(t, accounttest.Config{
		Open: func(t *testing.T) account.Store { return openAt(t, empty(t)) },
		Reopen: func(t *testing.T, a account.Store) account.Store {
			if err := stores[a].Close(); err != nil {
				t.Fatal(err)
			}
			return openAt(t, at[a])
		},
	})
}
