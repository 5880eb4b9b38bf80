package blob_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store/blob"
	"github.com/counterfoil/counterfoil/store/internal/killtest"
)

func TestMain(m *testing.M) {
	killtest.Child(func(dsn string) (counterfoil.Store, error) {
		return blob.Open(context.Background(), dsn, blob.Options{})
	})
	code := m.Run()
	if err := stopServers(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}
