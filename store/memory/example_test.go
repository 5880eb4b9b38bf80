package memory_test

import (
	"context"
	"fmt"

	"github.com/counterfoil/counterfoil"
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
	store := memory.New(memory.Options{})
	defer store.Close()
	sessions, err := counterfoil.New(ctx, counterfoil.Config{Store: store, Keys: keys})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer sessions.Close(ctx)
	fmt.Println("durable:", store.Capabilities().Durable)
	// Output: durable: false
}
