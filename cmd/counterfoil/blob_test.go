package main_test

import (
	"path/filepath"
	"strings"
	"testing"
)

// The program keeps accounts in a folder of objects, and does not without a key that all nodes share. PD12
func TestFolderOfObjects(t *testing.T) {
	t.Parallel()
	dir, data := filepath.Join(t.TempDir(), "objects"), folder(t)
	env := []string{"COUNTERFOIL_STORE=file://" + dir}
	add := cf("user", "add", "alice", "--password-stdin", "--data", data).Typing(passphrase + "\n")
	add.With(env...).Want(t, 1, "needs a key that they share")

	env = append(env, "COUNTERFOIL_KEY="+strings.TrimSpace(cf("key", "generate").Run(t).Out))
	add.With(env...).Want(t, 0, "user alice is made")
	if list := cf("user", "list", "--data", data).With(env...).Run(t); !strings.Contains(list.Out, "alice") {
		t.Errorf("the list of users: %s%s", list.Out, list.Err)
	}
	cf("doctor", "--data", data, "--dev").With(env...).Want(t, 0, "its log stands at")
}
