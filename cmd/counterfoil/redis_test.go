package main_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// selfSigned writes a certificate of localhost that nobody knows, and its key.
func selfSigned(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now, _ := clock.Now()
	form := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	public, err := x509.CreateCertificate(rand.Reader, form, form, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certificate, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{
		certificate: {Type: "CERTIFICATE", Bytes: public},
		key:         {Type: "PRIVATE KEY", Bytes: secret},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certificate, key
}

// redisOverTLS starts a Redis that speaks nothing but TLS and wants a password; it returns its port.
func redisOverTLS(t *testing.T, certificate, key, password string) string {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(free.Addr().String())
	free.Close()
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
	certificate, key := selfSigned(t)
	port := redisOverTLS(t, certificate, key, "password-of-redis")
	shared := strings.TrimSpace(cf("key", "generate").run(t).out)
	env := []string{
		"COUNTERFOIL_STORE=rediss://:password-of-redis@localhost:" + port,
		"COUNTERFOIL_KEY=" + shared,
	}
	add := cf("user", "add", "alice", "--password-stdin", "--data", folder(t)).typing(passphrase + "\n")

	refused := add.with(append(env, "COUNTERFOIL_STORE_WAIT=1s")...).want(t, 4, "certificate")
	if strings.Contains(refused.out+refused.err, "password-of-redis") {
		t.Errorf("the password is shown: %s", refused.err)
	}
	add.with(append(env, "SSL_CERT_FILE="+certificate)...).want(t, 0, "user alice is made")
}
