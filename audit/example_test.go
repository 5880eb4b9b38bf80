package audit_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/store/memory"
)

func Example() {
	ctx := context.Background()
	folder, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
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

	path := filepath.Join(folder, "audit.jsonl")
	x, err := audit.Open(ctx, audit.Config{Path: path, Store: store, Describe: sessions.Describe, Keys: keys})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := sessions.Revoke(ctx, counterfoil.AllOf("alice"), counterfoil.ReasonRevoked); err != nil {
		fmt.Println(err)
	}
	if err := x.Close(ctx); err != nil { // writes what is left
		fmt.Println(err)
	}

	file, err := os.Open(path)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer file.Close()
	key := keys.AuditKey()
	last, err := store.Meta(ctx, audit.TailKey)
	if err != nil {
		fmt.Println(err)
		return
	}
	report, err := audit.Verify(file, key, last)
	fmt.Println("broken line:", report.Broken, err)
	// Output: broken line: 0 <nil>
}
