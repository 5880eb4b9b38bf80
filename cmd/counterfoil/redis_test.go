package main_test

import (
	"bufio"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/internal/programtest"
)

// redisOverTLS starts a Redis that speaks nothing but TLS and wants a password; it returns its port.
func redisOverTLS(t *testing.T, certificate, key, password string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(programtest.FreeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	server := exec.Command("redis-server", "--port", "0", "--tls-port", port, "--bind", "127.0.0.1",
		"--tls-cert-file", certificate, "--tls-key-file", key, "--tls-auth-clients", "no",
		"--requirepass", password, "--dir", t.TempDir(), "--save", "", "--appendonly", "yes", "--appendfsync", "always")
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Process.Kill(); server.Wait() })
	in := bufio.NewReader(out)
	for said := ""; ; {
		line, err := in.ReadString('\n')
		if said += line; err != nil {
			t.Fatalf("redis-server ended:\n%s", said)
		}
		if strings.Contains(line, "eady to accept connections") {
			go io.Copy(io.Discard, in) // ends with the server
			return port
		}
	}
}

// rediss:// believes a server whose certificate is good for its name, and nobody else.
func TestRedisOverTLS(t *testing.T) {
	t.Parallel()
	certificate, key := programtest.Certificate(t, t.TempDir(), 1)
	port := redisOverTLS(t, certificate, key, "password-of-redis")
	shared := strings.TrimSpace(cf("key", "generate").Run(t).Out)
	env := []string{
		"COUNTERFOIL_STORE=rediss://:password-of-redis@localhost:" + port,
		"COUNTERFOIL_KEY=" + shared,
	}
	add := cf("user", "add", "alice", "--password-stdin", "--data", folder(t)).Typing(passphrase + "\n")

	refused := add.With(append(env, "COUNTERFOIL_STORE_WAIT=5s")...).Want(t, 4, "certificate")
	if strings.Contains(refused.Out+refused.Err, "password-of-redis") {
		t.Errorf("the password is shown: %s", refused.Err)
	}
	add.With(append(env, "SSL_CERT_FILE="+certificate)...).Want(t, 0, "user alice is made")
}
