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
	add := cf("user", "add", "alice", "--password-stdin", "--data", data).typing(passphrase + "\n")
	add.with(env...).want(t, 1, "needs a key that they share")

	env = append(env, "COUNTERFOIL_KEY="+strings.TrimSpace(cf("key", "generate").run(t).out))
	add.with(env...).want(t, 0, "user alice is made")
	if list := cf("user", "list", "--data", data).with(env...).run(t); !strings.Contains(list.out, "alice") {
		t.Errorf("the list of users: %s%s", list.out, list.err)
	}
	cf("doctor", "--data", data, "--dev").with(env...).want(t, 0, "its log stands at")
}
