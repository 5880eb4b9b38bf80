package sqlite_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/counterfoil/counterfoil/store/sqlite"
)

func Example() {
	folder, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)

	store, err := sqlite.Open(context.Background(), filepath.Join(folder, "data", "sessions.db"), sqlite.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	fmt.Println("durable:", store.Capabilities().Durable)
	// Output: durable: true
}
