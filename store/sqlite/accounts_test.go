package sqlite_test

import (
	"testing"

	"github.com/counterfoil/counterfoil/account"
	"github.com/counterfoil/counterfoil/account/accounttest"
	"github.com/counterfoil/counterfoil/store/sqlite"
)

func TestAccounts(t *testing.T) {
	paths := make(map[account.Store]string)
	stores := make(map[account.Store]*sqlite.Store)
	openAt := func(t *testing.T, path string) account.Store {
		s := open(t, path)
		a := s.Accounts()
		paths[a], stores[a] = path, s
		return a
	}
	accounttest.Run(t, accounttest.Config{
		Open: func(t *testing.T) account.Store { return openAt(t, temp(t)) },
		Reopen: func(t *testing.T, a account.Store) account.Store {
			if err := stores[a].Close(); err != nil {
				t.Fatal(err)
			}
			return openAt(t, paths[a])
		},
	})
}
