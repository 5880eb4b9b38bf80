package gateway_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/account"
	"github.com/counterfoil/counterfoil/account/memaccount"
	"github.com/counterfoil/counterfoil/gateway"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/store/memory"
)

func Example() {
	ctx := context.Background()
	wall, _ := counterfoil.SystemClock().Now()
	keys, err := keyring.Generate(wall, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	accounts, err := account.NewService(account.Config{Store: memaccount.New()})
	if err != nil {
		fmt.Println(err)
		return
	}
	store := memory.New(memory.Options{})
	defer store.Close()
	g, err := gateway.New(ctx, gateway.Config{Store: store, Keys: keys, Accounts: accounts, TLS: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer g.Close(ctx)

	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "https://app.example.com/orders", nil)
	r.Header.Set("Accept", "text/html")
	g.Handler().ServeHTTP(w, r)
	fmt.Println(w.Code, w.Header().Get("Location"))
	// Output: 303 /auth/login?next=%2Forders
}
