package memaccount_test

import (
	"testing"

	"github.com/counterfoil/counterfoil/account"
	"github.com/counterfoil/counterfoil/account/accounttest"
	"github.com/counterfoil/counterfoil/account/memaccount"
)

func TestConformance(t *testing.T) {
	accounttest.Run(t, accounttest.Config{Open: func(*testing.T) account.Store { return memaccount.New() }})
}
