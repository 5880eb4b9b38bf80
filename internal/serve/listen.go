package serve

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/counterfoil/counterfoil/clientip"
	"github.com/counterfoil/counterfoil/internal/config"
	"github.com/counterfoil/counterfoil/internal/operate"
)

const (
	controlDrain = time.Second
	briefly      = 10 * time.Second // for a request, with its body, where nobody has much to say
)

// httpServer bounds what a client can hold without asking for anything. There is no WriteTimeout: it
// would cut event streams and large downloads.
func (s *server) httpServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(s.Logger.Handler(), slog.LevelDebug),
	}
}

// briefServer is one that waits for no body: whoever announces one and never sends it is cut off.
func (s *server) briefServer(h http.Handler) *http.Server {
	srv := s.httpServer(h)
	srv.ReadTimeout = briefly
	return srv
}

// listen opens the address that browsers use and, if asked for, the one that sends them there.
func (s *server) listen() error {
	l, err := net.Listen("tcp", s.cfg.Listen)
	if err != nil {
		return cannotListen("--listen", err)
	}
	s.address = l
	s.url = &url.URL{Scheme: "http", Host: reachable(s.cfg.Listen, l.Addr())}
	if s.certificate != nil {
		s.url.Scheme = "https"
		l = tls.NewListener(l, s.certificate.config())
	}
	s.serveOn(l, s.httpServer(s.gateway.Handler()), s.cfg.Drain)
	if s.cfg.Metrics != "" {
		if err := s.listenForMetrics(); err != nil {
			return err
		}
	}
	if s.cfg.Redirect == "" {
		return nil
	}
	plain, err := net.Listen("tcp", s.cfg.Redirect)
	if err != nil {
		return cannotListen("--redirect", err)
	}
	s.serveOn(plain, s.briefServer(s.redirect()), controlDrain)
	return nil
}

// listenForMetrics opens the address that a scraper uses. Nothing of the gateway is there.
func (s *server) listenForMetrics() error {
	l, err := net.Listen("tcp", s.cfg.Metrics)
	if err != nil {
		return cannotListen("--metrics", err)
	}
	if !config.Loopback(s.cfg.Metrics) {
		s.Logger.Warn("metrics can be read from other machines; they name nobody, but say how busy this one is", "address", l.Addr().String())
	}
	s.Logger.Info("metrics", "url", "http://"+reachable(s.cfg.Metrics, l.Addr())+"/metrics")
	mux := http.NewServeMux()
	mux.Handle("/metrics", s.gateway.Metrics())
	s.serveOn(l, s.briefServer(mux), controlDrain)
	return nil
}

func cannotListen(flag string, err error) error {
	why := "name an address of this machine"
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		why = "stop what listens there or name another address"
	case errors.Is(err, syscall.EACCES):
		why = "ports below 1024 need the capability CAP_NET_BIND_SERVICE, or name a higher one"
	}
	return fmt.Errorf("%s: %w; %s", flag, err, why)
}

// control opens the control socket.
func (s *server) control(lock *operate.Lock, operations *operate.Operations) error {
	l, err := operate.ListenControl(s.cfg.Data, lock)
	if err != nil {
		return err
	}
	s.serveOn(l, s.httpServer(operations.Handler()), controlDrain)
	return nil
}

// operations is what an operator can do to this server.
func (s *server) operations() *operate.Operations {
	return &operate.Operations{
		Config: s.cfg, Store: s.installation.Store, Side: s.installation.Side, Sessions: s.gateway.Sessions(), Accounts: s.installation.Accounts,
		Keys: s.installation.Keys, Audit: s.audit.Load(), Clock: s.Clock, Logger: s.Logger,
	}
}

// reachable returns the host and real port of a listener as a link on this machine needs them.
func reachable(asked string, real net.Addr) string {
	host, _, _ := net.SplitHostPort(asked)
	port := real.(*net.TCPAddr).Port
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}

// redirect sends browsers to https, to the public name or to the one they asked for.
func (s *server) redirect() http.Handler {
	_, port, _ := net.SplitHostPort(s.url.Host)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if s.cfg.PublicURL != nil {
			host = s.cfg.PublicURL.Host
		} else if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if s.cfg.PublicURL == nil && port != "443" {
			host = net.JoinHostPort(host, port)
		}
		if !clientip.ValidHost(host) || !strings.HasPrefix(r.URL.RequestURI(), "/") { // GET x:.elsewhere would lengthen the host
			http.Error(w, "bad host or address", http.StatusBadRequest)
			return
		}
		http.Redirect(w, r, "https://"+host+r.URL.RequestURI(), http.StatusPermanentRedirect)
	})
}
