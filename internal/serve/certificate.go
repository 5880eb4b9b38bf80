package serve

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/config"
)

// certificate is the one in the configured files. It is read again on demand and, looked at once in
// a while, when the files have changed; files that cannot be used leave the old one in force.
type certificate struct {
	certFile, keyFile string
	clock             counterfoil.Clock
	log               *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate
	changed time.Time     // of the files, as they were read
	looked  time.Duration // monotonic: when the files were last looked at
}

const lookEvery = 10 * time.Second

func loadCertificate(c *config.Config, clock counterfoil.Clock, log *slog.Logger) (*certificate, error) {
	t := &certificate{certFile: c.TLSCert, keyFile: c.TLSKey, clock: clock, log: log}
	t.changed = t.newest()
	pair, err := tls.LoadX509KeyPair(t.certFile, t.keyFile)
	if err != nil {
		return nil, fmt.Errorf("--tls-cert, --tls-key: %w; name the PEM files of a certificate chain and its private key", err)
	}
	t.current = &pair
	return t, nil
}

func (t *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return t.get(), nil },
	}
}

// get returns the certificate for a handshake.
func (t *certificate) get() *tls.Certificate {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, now := t.clock.Now(); now-t.looked >= lookEvery {
		t.looked = now
		if t.newest().After(t.changed) {
			t.read()
		}
	}
	return t.current
}

func (t *certificate) reload() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.read()
}

func (t *certificate) read() {
	t.changed = t.newest()
	pair, err := tls.LoadX509KeyPair(t.certFile, t.keyFile)
	if err != nil {
		t.log.Error("the new certificate cannot be used; the old one stays in force", "error", err)
		return
	}
	t.current = &pair
	t.log.Info("a new certificate is in force", "until", pair.Leaf.NotAfter)
}

// newest returns when the files last changed.
func (t *certificate) newest() (last time.Time) {
	for _, path := range []string{t.certFile, t.keyFile} {
		if info, err := os.Stat(path); err == nil && info.ModTime().After(last) {
			last = info.ModTime()
		}
	}
	return last
}
