package redis_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/store/redis/redistest"
)

// Every test of this package again, on Valkey.
func TestValkey(t *testing.T) { // P26, T22
	const valkey = "valkey-server"
	if os.Getenv(redistest.EnvProgram) == valkey { // this is the other run
		on, err := shared()
		if err != nil {
			t.Fatal(err)
		}
		if info, _ := on.ask(t, "INFO", "server").(string); !strings.Contains(info, "server_name:valkey") {
			t.Errorf("the server is no Valkey:\n%s", info)
		}
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	again := exec.CommandContext(t.Context(), self, "-test.v", "-test.timeout=10m")
	again.Env = append(os.Environ(), redistest.EnvProgram+"="+valkey)
	out, err := again.CombinedOutput()
	for _, name := range []string{"TestStore", "TestAccounts", "TestValkey"} {
		if !strings.Contains(string(out), "\n--- PASS: "+name+" ") {
			t.Errorf("%s did not pass", name)
		}
	}
	if err != nil || t.Failed() {
		t.Fatalf("on Valkey: %v\n%s", err, out)
	}
}
