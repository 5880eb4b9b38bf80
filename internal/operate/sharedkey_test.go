package operate_test

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/config"
	"github.com/counterfoil/counterfoil/internal/operate"
)

// A store of several nodes with a key of one node is refused before the store is looked for, and no
// key file is made. PD12
func TestSharedStoreNeedsASharedKey(t *testing.T) {
	for name, flags := range map[string]map[string][]string{
		"own key":       {},
		"ephemeral key": {"ephemeral-key": {"true"}},
	} {
		for _, dsn := range []string{"redis://127.0.0.1:1", "rediss://127.0.0.1:1", "unix:///nowhere/s", "file:///nowhere", "s3://bucket", "gs://bucket", "azblob://container"} {
			t.Run(name+" "+dsn, func(t *testing.T) {
				dir := t.TempDir()
				flags["data"], flags["store"] = []string{dir}, []string{dsn}
				cfg, err := config.Load(config.Input{Flags: flags})
				if err != nil {
					t.Fatal(err)
				}
				_, err = operate.Open(t.Context(), operate.Place{
					Config: cfg, Env: func(string) (string, bool) { return "", false },
					Clock: counterfoil.SystemClock(), Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
				})
				if !errors.Is(err, operate.ErrNoSharedKey) {
					t.Errorf("error is %v", err)
				}
				if _, err := os.Stat(filepath.Join(dir, "keys")); err == nil {
					t.Error("a key file was made")
				}
			})
		}
	}
}
