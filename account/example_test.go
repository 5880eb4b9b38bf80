package account_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/counterfoil/counterfoil/account"
	"github.com/counterfoil/counterfoil/account/memaccount"
)

func Example() {
	accounts, err := account.NewService(account.Config{Store: memaccount.New()})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, from := context.Background(), netip.MustParseAddr("198.51.100.20")
	if _, err := accounts.Add(ctx, "Alice", "three tickets to the opera", false); err != nil {
		fmt.Println(err)
		return
	}
	a, err := accounts.Verify(ctx, "alice", "three tickets to the opera", from)
	fmt.Println(a.Name, err)
	_, err = accounts.Verify(ctx, "nobody", "three tickets to the opera", from)
	fmt.Println(errors.Is(err, account.ErrWrong))
	// Output:
	// alice <nil>
	// true
}
