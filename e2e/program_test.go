// Package e2e tests the built program from outside: HTTP in, HTTP out, in a real browser, by curl with
// the saved bytes of a cookie, and by killing the process. It imports nothing of what it tests.
//
// E2E_SHOTS=FOLDER leaves pictures of all pages there; KILL_ROUNDS=N kills more often; GOFLAGS=-race
// builds the program, too, with the race detector.
package e2e

import (
	"os"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/programtest"
)

var program programtest.Program // built once by TestMain

func TestMain(m *testing.M) { os.Exit(program.Main(m)) }

const (
	patience   = programtest.Patience
	passphrase = programtest.Passphrase
)

// must runs a command that has to end well, and returns what it writes.
func must(t *testing.T, args ...string) string {
	t.Helper()
	return program.Command(args...).Must(t)
}

// folder returns the place of a data folder that is not there yet.
func folder(t *testing.T) string { return programtest.Folder(t) }

func addUser(t *testing.T, dir, name string) {
	t.Helper()
	program.AddUser(t, dir, name)
}

// server is a running server, with what the tests here do to it.
type server struct {
	*programtest.Server
	t *testing.T
}

// serve starts a server on a free port, and waits until it is ready.
func serve(t *testing.T, dir string, args ...string) *server {
	t.Helper()
	return serveAt(t, dir, "127.0.0.1:0", args...)
}

// ownAddress is for servers that come back to the port they had: nobody else's connection is given it
// meanwhile, for those come from 127.0.0.1.
const ownAddress = "127.44.0.1:0"

func serveAt(t *testing.T, dir, address string, args ...string) *server {
	t.Helper()
	return launch(t, append([]string{"serve", "--dev", "--listen", address, "--data", dir}, args...)...)
}

func launch(t *testing.T, args ...string) *server {
	t.Helper()
	return &server{program.Command(args...).Serve(t), t}
}

// lifetimes lets do test something that ends by itself, first after the shortest time. While do finds the
// machine too slow to have it done before that end, so that nothing was told, it is done anew with one four
// times as long.
func lifetimes(t *testing.T, shortest time.Duration, do func(lifetime time.Duration) (slow bool)) {
	t.Helper()
	lifetime := shortest
	for do(lifetime) {
		if t.Failed() {
			return
		}
		if lifetime *= 4; lifetime > 2*patience {
			t.Fatalf("what ends after %v is not done before that", lifetime/4)
		}
		t.Logf("a slow machine: again with %v", lifetime)
	}
}
