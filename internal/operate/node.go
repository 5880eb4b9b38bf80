package operate

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/counterfoil/counterfoil/internal/config"
)

// newNode makes a name and its file, which is there as a whole or not at all, whatever crashes meanwhile.
func newNode(path string) (string, error) {
	name := strings.ToLower(rand.Text())
	part, err := os.CreateTemp(filepath.Dir(path), ".node-")
	if err != nil {
		return "", fmt.Errorf("this node's name: %w", err)
	}
	_, err = part.WriteString(name + "\n")
	if err = errors.Join(err, part.Sync(), part.Close()); err == nil {
		err = os.Rename(part.Name(), path)
	}
	if err != nil {
		return "", fmt.Errorf("this node's name: %w", errors.Join(err, os.Remove(part.Name())))
	}
	return name, syncFolder(filepath.Dir(path))
}

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
		return newNode(path)
	}
	name, ok := strings.CutSuffix(string(text), "\n")
	if err == nil && (!ok || len(name) < 16 || strings.ContainsAny(name, " \t\r\n")) {
		err = fmt.Errorf("%s is damaged; remove it: this node then begins an audit under a new name", path)
	}
	return name, err
}
