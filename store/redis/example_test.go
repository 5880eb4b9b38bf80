package redis_test

import (
	"context"
	"fmt"

	"github.com/counterfoil/counterfoil/store/redis"
)

func Example() {
	server, err := newServer() // in real life: one that runs already
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Stop()

	store, err := redis.Open(context.Background(), server.DSN(), redis.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	fmt.Println("durable:", store.Capabilities().Durable)
	// Output: durable: true
}
