// Package serve runs the gateway on an installation: it owns the data folder, listens, and stops
// without losing what it has answered.
//
//	err := serve.Run(ctx, serve.Options{Place: place, Stdout: os.Stdout})
package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/gateway"
	"github.com/counterfoil/counterfoil/internal/config"
	"github.com/counterfoil/counterfoil/internal/operate"
	"github.com/counterfoil/counterfoil/internal/wait"
)

// Options of [Run].
type Options struct {
	operate.Place
	Stdout io.Writer        // gets the lines that scripts wait for: listening, set-up
	Reload <-chan os.Signal // asks to read certificate and key file again
}

const (
	startWithin = time.Minute      // and as long as the store is waited for: a start that takes longer hangs; on a slow disk a good one takes long
	stopWithin  = 30 * time.Second // for what comes after the drain, on a slow disk
	lockTries   = 20               // an operator's command may be at work on the folder
	lockPause   = 100 * time.Millisecond
)

// server is one run.
type server struct {
	Options
	cfg  *config.Config
	undo []func(context.Context) error // what Run must close, the last opened first

	installation *operate.Installation
	gateway      *gateway.Gateway
	audit        atomic.Pointer[audit.Exporter]
	certificate  *certificate
	address      net.Listener
	url          *url.URL
	failed       chan error // why a listener stopped by itself
}

// Run serves until ctx ends, and then stops: no new requests, those in flight finish within the
// configured drain, touches and audit are written. Its error says why it did not start, or what was
// left undone.
func Run(ctx context.Context, o Options) error {
	s := &server{Options: o, cfg: o.Config, failed: make(chan error, 3)}
	starting, cancel := context.WithTimeout(ctx, s.cfg.StoreWait+startWithin)
	err := s.start(starting)
	cancel()
	if err != nil && ctx.Err() != nil {
		s.Logger.Info("asked to stop before it served", "was", err)
		err = nil
	}
	if errors.Is(err, counterfoil.ErrClock) {
		err = fmt.Errorf("%w: counterfoil session end --all --reset-clock", err)
	}
	if err == nil {
		err = s.wait(ctx) // at once if ctx has ended
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Drain+stopWithin)
	defer cancel()
	for i := len(s.undo) - 1; i >= 0; i-- {
		err = errors.Join(err, s.undo[i](stopping))
	}
	return err
}

func (s *server) onStop(f func(context.Context) error) { s.undo = append(s.undo, f) }

// start opens everything in the order in which it is needed; nothing listens before all is there.
func (s *server) start(ctx context.Context) error {
	if err := operate.PrepareFolder(s.cfg.Data); err != nil {
		return err
	}
	lock, err := takeLock(ctx, s.Clock, s.cfg.Data)
	if err != nil {
		return err
	}
	s.onStop(func(context.Context) error { return lock.Release() })
	for _, warning := range s.cfg.Warnings {
		s.Logger.Warn(warning)
	}
	if s.cfg.TLS() {
		if s.certificate, err = loadCertificate(s.cfg, s.Clock, s.Logger); err != nil {
			return err
		}
	}
	if s.installation, err = operate.Open(ctx, s.Place); err != nil {
		return err
	}
	s.onStop(func(context.Context) error { return s.installation.Store.Close() })
	if err := s.startGateway(ctx); err != nil {
		return err
	}
	if err := s.startAudit(ctx); err != nil {
		return err
	}
	if err := s.listen(); err != nil {
		return err
	}
	s.onStop(func(context.Context) error { // first of all, or the drain would wait for them
		s.gateway.EndStreams()
		return nil
	})
	operations := s.operations()
	if err := s.control(lock, operations); err != nil {
		return err
	}
	s.tidy(operations)
	return s.announce(ctx)
}

func takeLock(ctx context.Context, clock counterfoil.Clock, dir string) (*operate.Lock, error) {
	for tries := lockTries; ; tries-- {
		lock, err := operate.TakeLock(dir)
		if !errors.Is(err, operate.ErrLocked) {
			return lock, err
		}
		if tries == 0 || wait.For(ctx, clock, lockPause) != nil {
			return nil, fmt.Errorf("%w; stop it, or name another folder with --data", err)
		}
	}
}

func (s *server) startGateway(ctx context.Context) (err error) {
	var degraded []string
	if s.cfg.EphemeralKey {
		degraded = append(degraded, "ephemeral key")
	}
	if can := s.installation.Store.Capabilities(); !can.Durable && can.Shared {
		degraded = append(degraded, "store not durable")
	} else if !can.Durable {
		degraded = append(degraded, "store in memory")
	}
	s.gateway, err = gateway.New(ctx, gateway.Config{
		Store: s.installation.Store, Keys: s.installation.Keys, Accounts: s.installation.Accounts,
		Policy: s.cfg.Policy(), Lease: s.cfg.Lease, Skew: s.cfg.ClockSkew,
		CacheBytes: int64(s.cfg.CacheSize) << 20, Persistent: s.cfg.Persistent, Upstream: s.cfg.Upstream, Prefix: s.cfg.Prefix,
		PublicURL: s.cfg.PublicURL, Dev: s.cfg.Dev, TLS: s.cfg.TLS(), Proxies: s.cfg.TrustedProxy,
		Record: s.record, Ready: s.ready, Degraded: degraded, Logger: s.Logger, Clock: s.Clock,
	})
	if err == nil {
		s.onStop(s.gateway.Close)
	}
	return err
}

func (s *server) startAudit(ctx context.Context) error {
	x, err := audit.Open(ctx, audit.Config{
		Path: s.cfg.Path(operate.AuditName), Name: s.installation.Node, Store: s.installation.Store,
		Describe: s.gateway.Sessions().Describe,
		Keys:     s.installation.Keys, Clock: s.Clock, Logger: s.Logger,
	})
	if err != nil {
		return err
	}
	s.audit.Store(x)
	s.onStop(x.Close)
	if s.installation.Replaced {
		x.Record(s.installation.Event())
	}
	return nil
}

// record tells the audit; the gateway is there before it, but nobody can reach that yet.
func (s *server) record(ev counterfoil.Event) {
	if x := s.audit.Load(); x != nil {
		x.Record(ev)
	}
}

// ready is what /readyz asks beside the gateway's own checks.
func (s *server) ready(context.Context) map[string]string {
	faults := map[string]string{}
	if x := s.audit.Load(); x == nil {
		faults["audit"] = "not open yet"
	} else if x.Err() != nil {
		faults["audit"] = "cannot be written; the log says why"
	}
	if why := operate.Unwritable(s.cfg.Data); why != "" {
		faults["data folder"] = why
	}
	return faults
}

// announce prints the lines that people and scripts wait for.
func (s *server) announce(ctx context.Context) error {
	limits := []any{}
	for _, l := range operate.Limits(s.cfg) {
		limits = append(limits, l.Name, l.Value)
	}
	s.Logger.Info("limits", limits...)
	base := s.url
	if s.cfg.PublicURL != nil {
		base = s.cfg.PublicURL
	}
	setup, err := s.gateway.SetupURL(ctx, base)
	if err != nil {
		return fmt.Errorf("the set-up link: %w", err)
	}
	if len(s.cfg.TrustedProxy) > 0 && s.cfg.PublicURL == nil && setup != "" {
		s.Logger.Warn("the set-up link names the address behind the proxy: replace scheme and host, or give --public-url")
	}
	fmt.Fprintf(s.Stdout, "listening: %s\n", s.url)
	if setup != "" {
		fmt.Fprintf(s.Stdout, "set-up: %s\n", setup)
	}
	return nil
}

// wait returns when ctx ends, or why a listener failed.
func (s *server) wait(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			s.Logger.Info("stopping: requests in flight are finished first", "drain", s.cfg.Drain.String())
			return nil
		case err := <-s.failed:
			return err
		case <-s.Reload:
			if s.certificate != nil {
				s.certificate.reload()
			}
			if err := s.installation.Keys.Reload(); err != nil {
				s.Logger.Error("the key file was not read again", "error", err)
			} else {
				s.Logger.Info("read again", "keys", s.installation.Keys.Fingerprint())
			}
		}
	}
}

// serveOn serves a listener until the stop.
func (s *server) serveOn(l net.Listener, srv *http.Server, drain time.Duration) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- fmt.Errorf("serving on %s: %w", l.Addr(), err)
		}
	}()
	s.onStop(func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, drain)
		defer cancel()
		err := srv.Shutdown(ctx)
		if err != nil { // streams and slow requests
			err = srv.Close()
		}
		<-done
		return err
	})
}
