package memaccount_test

import (
	"context"
	"fmt"

	"github.com/counterfoil/counterfoil/account"
	"github.com/counterfoil/counterfoil/account/memaccount"
)

func Example() {
	accounts, err := account.NewService(account.Config{Store: memaccount.New()})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = accounts.Get(context.Background(), "alice")
	fmt.Println(err)
	// Output: account: not found
}
