package operate

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/counterfoil/counterfoil/internal/config"
)

// NodeName tells this node from the others that share its store: each keeps an audit of its own, and
// the store knows how far each has come. It is made once, at random, and kept in the data folder.
// Where the store is of this folder alone it is "".
func NodeName(c *config.Config) (string, error) {
	if !sharedStore(c.Store) {
		return "", nil
	}
	path := c.Path("node")
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		name := strings.ToLower(rand.Text())
		return name, os.WriteFile(path, []byte(name+"\n"), 0o600)
	}
	name, ok := strings.CutSuffix(string(text), "\n")
	if err == nil && (!ok || len(name) < 16 || strings.ContainsAny(name, " \t\r\n")) {
		err = fmt.Errorf("%s is damaged; remove it: this node then begins an audit under a new name", path)
	}
	return name, err
}
