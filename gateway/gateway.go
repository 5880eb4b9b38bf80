// Package gateway puts sessions before an application: sign-in, an account page, the check that other
// proxies ask, and a reverse proxy, with the built-in demo where there is no application yet.
//
//	g, err := gateway.New(ctx, gateway.Config{Store: store, Keys: keys, Accounts: accounts, TLS: true})
//	if err != nil {
//		return err
//	}
//	defer g.Close(ctx)
//	return http.ListenAndServeTLS(addr, cert, key, g.Handler())
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/account"
	"github.com/counterfoil/counterfoil/clientip"
	"github.com/counterfoil/counterfoil/csrf"
	"github.com/counterfoil/counterfoil/keyring"
)

// Config says how a [Gateway] works. Zero values are the safest choice.
type Config struct {
	Store    counterfoil.Store // Required.
	Keys     *keyring.Ring     // Required.
	Accounts *account.Service  // Required.

	Policy     counterfoil.Policy
	Lease      time.Duration                           // By when an end holds on every node. 0: 5s; 1s to 60s.
	Skew       time.Duration                           // How far this machine's clock and the store's may be apart. 0: 10s; 100ms to 60s.
	CacheBytes int64                                   // Bound of the near cache. 0: 64 MiB.
	Persistent bool                                    // Session cookies live to the absolute end instead of with the browser.
	Upstream   *url.URL                                // The application, http or https. Nil: the built-in demo.
	Prefix     string                                  // Where our own pages live. "": /auth
	PublicURL  *url.URL                                // How browsers reach us, under no other name. Nil: the scheme and host of each request.
	Dev        bool                                    // Plain http, for loopback hosts alone.
	TLS        bool                                    // This process terminates TLS.
	Proxies    []netip.Prefix                          // Whose forwarded headers are believed.
	Record     func(counterfoil.Event)                 // Told of refusals and failed sign-ins, for the audit. Nil: nobody.
	Ready      func(context.Context) map[string]string // Further readiness findings: name -> fault. Nil: none.
	Degraded   []string                                // Shown by /readyz: "ephemeral key".
	Logger     *slog.Logger                            // Nil: slog.Default.
	Clock      counterfoil.Clock                       // Nil: the system's.
}

// Gateway is the sign-in, account page, check and reverse proxy. It is safe for use by many
// goroutines.
type Gateway struct {
	cfg      Config
	log      *slog.Logger
	clock    counterfoil.Clock
	accounts *account.Service
	sessions *counterfoil.Manager
	trusted  *clientip.Trusted
	happened happened
	filter   cookieFilter
	pages    *pages
	origin   string   // of PublicURL; "": of each request
	name     string   // the only one that we answer to; "": any
	hsts     []string // Strict-Transport-Security: two years
	noStore  []string // Cache-Control
	handler  http.Handler
	streams  context.Context // ends with the gateway: sockets and streams with it
	stop     context.CancelFunc
}

// New starts a gateway and its session manager; ctx bounds the start. All faults of cfg are reported
// together.
func New(ctx context.Context, cfg Config) (*Gateway, error) {
	g := &Gateway{cfg: cfg, log: cfg.Logger, clock: cfg.Clock, accounts: cfg.Accounts,
		hsts: []string{"max-age=63072000; includeSubDomains"}, noStore: []string{"no-store"}}
	if g.log == nil {
		g.log = slog.Default()
	}
	if g.clock == nil {
		g.clock = counterfoil.SystemClock()
	}
	if g.cfg.Prefix == "" {
		g.cfg.Prefix = "/auth"
	}
	if err := g.check(); err != nil {
		return nil, err
	}
	if u := cfg.Upstream; u != nil && u.Path != "" && u.Path[0] != '/' { // as URL.JoinPath leaves it
		rooted := *u
		rooted.Path, rooted.RawPath = "/"+u.Path, ""
		g.cfg.Upstream = &rooted
	}
	files, err := newAssets(g.cfg.Prefix)
	if err != nil {
		return nil, err
	}
	if g.pages, err = newPages(g.cfg.Prefix, files, g.accounts.MinLength(), g.now); err != nil {
		return nil, err
	}
	cookie := cookiesOf(cfg.Dev, cfg.Persistent)
	g.filter = cookieFilter{[2]string{cookie.Name, cookie.VisitName}}
	g.sessions, err = counterfoil.New(ctx, counterfoil.Config{
		Store: cfg.Store, Keys: cfg.Keys, Policy: cfg.Policy, Cookie: cookie, Realm: Realm, Lease: cfg.Lease,
		Skew: cfg.Skew, CacheBytes: cfg.CacheBytes,
		Refuse: g.refuse, Observe: g.observe, ClientIP: g.trusted.Addr, Logger: g.log, Clock: g.clock,
	})
	if err != nil {
		return nil, err
	}
	g.streams, g.stop = context.WithCancel(context.WithoutCancel(ctx))
	g.handler = g.routes()
	return g, nil
}

// check fills in what is derived from the configuration and returns all its faults.
func (g *Gateway) check() error {
	var errs []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf("gateway: "+format, args...))
		}
	}
	c := g.cfg
	fault(c.Store == nil, "Config.Store is missing")
	fault(c.Keys == nil, "Config.Keys is missing")
	fault(c.Accounts == nil, "Config.Accounts is missing")
	fault(!strings.HasPrefix(c.Prefix, "/") || strings.HasSuffix(c.Prefix, "/") || strings.Contains(c.Prefix, "//") || strings.ContainsAny(c.Prefix, "?#%\\ \"'<>;"),
		"prefix %q: it must be a plain path such as /auth", c.Prefix)
	if u := c.Upstream; u != nil {
		fault(u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "",
			"upstream %q: it must be http://HOST or https://HOST, perhaps with a path", u.Redacted())
	}
	fault(!c.Dev && !c.TLS && len(c.Proxies) == 0,
		"sessions need https: give --tls-cert and --tls-key, name the proxy that speaks TLS with --trusted-proxy, or use --dev on this machine")
	fault(c.Dev && c.TLS, "--dev is plain http on loopback; leave out the TLS files, or --dev")
	if u := c.PublicURL; u != nil {
		fault(u.Scheme != "https" && !(c.Dev && u.Scheme == "http") || !clientip.ValidHost(u.Host) || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "",
			"public URL %q: it must be https://HOST", u.Redacted())
		g.origin = csrf.Origin(u.Scheme, u.Host)
		if !c.Dev {
			g.name = hostName(u.Host)
		}
	}
	trusted, err := clientip.New(c.Proxies...)
	if err != nil {
		errs = append(errs, err)
	}
	g.trusted = trusted
	return errors.Join(errs...)
}

// Handler serves everything: the gateway's own paths and, behind them, the application.
func (g *Gateway) Handler() http.Handler { return g.handler }

// Sessions returns the manager.
func (g *Gateway) Sessions() *counterfoil.Manager { return g.sessions }

// SetupURL makes a one-time set-up link below base, or "" if there is an account already.
func (g *Gateway) SetupURL(ctx context.Context, base *url.URL) (string, error) {
	code, err := g.accounts.SetupCode(ctx)
	if errors.Is(err, account.ErrNotFirst) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	u := base.JoinPath(g.cfg.Prefix, "setup")
	u.Fragment = code // fragments reach no server, no log and no Referer
	return u.String(), nil
}

// EndStreams ends sockets and event streams, those begun later included. Call it before an orderly
// stop of the server, which would wait for them.
func (g *Gateway) EndStreams() { g.stop() }

// Close ends sockets and streams and stops what New started; ctx bounds the wait.
func (g *Gateway) Close(ctx context.Context) error {
	g.stop()
	return g.sessions.Close(ctx)
}

func (g *Gateway) now() time.Time {
	wall, _ := g.clock.Now()
	return wall.UTC()
}

// observe passes on what is no change in the store; changes reach the audit through the log.
func (g *Gateway) observe(ev counterfoil.Event) {
	g.happened.add(ev)
	if !ev.Kind.Logged() {
		g.record(ev)
	}
}

func (g *Gateway) record(ev counterfoil.Event) {
	if g.cfg.Record != nil {
		g.cfg.Record(ev)
	}
}
