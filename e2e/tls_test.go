package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// certificate writes a self-made certificate for this machine, and its key.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"}}
	public, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: public}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// Over TLS a browser takes the cookie with its prefix, with every attribute, and lets no script plant
// or read one. S10, T30, T31, T32, T33, T34, T35
func TestCookieOverTLS(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	addUser(t, dir, "alice")
	cert, key := certificate(t)
	for _, persistent := range []bool{false, true} {
		args := []string{"serve", "--listen", "127.0.0.1:0", "--data", dir, "--tls-cert", cert, "--tls-key", key, "--absolute", "2h"}
		if persistent {
			args = append(args, "--persistent")
		}
		s := launch(t, environment(), args...)
		b := openBrowser(t, chromedp.IgnoreCertErrors)
		b.open(s.url + "/")
		if all := b.cookies(s.url); len(all) != 0 {
			t.Errorf("a visitor has cookies: %v", all)
		}
		b.signIn("alice", passphrase)
		b.on("Welcome, alice")
		all := b.cookies(s.url)
		if len(all) != 1 {
			t.Fatalf("%d cookies, want 1", len(all))
		}
		c := all[0]
		if c.Name != "__Host-Http-session" || !c.Secure || !c.HTTPOnly || c.SameSite != network.CookieSameSiteLax || c.Path != "/" || c.Domain != "127.0.0.1" || c.Session == persistent {
			t.Errorf("the cookie: %+v", *c)
		}
		if left := time.Until(time.Unix(int64(c.Expires), 0)); persistent && (left > 2*time.Hour+time.Second || left < 2*time.Hour-2*patience) {
			t.Errorf("the browser keeps the cookie for %v, the server for 2h", left)
		}
		eval[string](b, `document.cookie = "__Host-Http-session=planted; Secure; Path=/"`)
		if cookie := eval[string](b, "document.cookie"); cookie != "" {
			t.Errorf("a script sees %q", cookie)
		}
		if all := b.cookies(s.url); len(all) != 1 || all[0].Value != c.Value {
			t.Errorf("after a script tried to plant a cookie: %d cookies", len(all))
		}
		b.open(s.url + "/")
		b.on("Welcome, alice")
		s.stop()
	}
}
