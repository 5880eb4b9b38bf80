// Package gateway puts sessions before an application. (skeleton: signatures fixed, bodies follow)
package gateway

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/account"
	"github.com/counterfoil/counterfoil/keyring"
)

// Config says how a Gateway works. Zero values are the safest choice.
type Config struct {
	Store    counterfoil.Store // required
	Keys     *keyring.Ring     // required
	Accounts *account.Service  // required

	Policy     counterfoil.Policy
	Persistent bool                                    // session cookies live to the absolute end
	Upstream   *url.URL                                // nil: the built-in demo
	Prefix     string                                  // "": /auth
	PublicURL  *url.URL                                // nil: from the request (dev) or its Host
	Dev        bool                                    // plain http on loopback
	TLS        bool                                    // this process terminates TLS: HSTS
	Proxies    []netip.Prefix                          // whose forwarded headers are believed
	Record     func(counterfoil.Event)                 // refusals and sign-in failures, for the audit
	Ready      func(context.Context) map[string]string // further readiness findings: name -> fault
	Degraded   []string                                // written in the configuration: "ephemeral key"
	Logger     *slog.Logger
	Clock      counterfoil.Clock
}

// Gateway is the sign-in, account page, check and reverse proxy.
type Gateway struct{}

// New starts a gateway and its session manager.
func New(ctx context.Context, cfg Config) (*Gateway, error) { panic("skeleton") }

// Handler serves everything: the gateway's own paths and, behind them, the application.
func (g *Gateway) Handler() http.Handler { panic("skeleton") }

// Sessions returns the manager.
func (g *Gateway) Sessions() *counterfoil.Manager { panic("skeleton") }

// SetupURL makes a one-time set-up link below base, or "" if there is an account already.
func (g *Gateway) SetupURL(ctx context.Context, base *url.URL) (string, error) { panic("skeleton") }

// Close drains and stops what New started.
func (g *Gateway) Close(ctx context.Context) error { panic("skeleton") }
