package operate

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/counterfoil/counterfoil/internal/config"
)

// listenerFindings checks how browsers reach the server: TLS or a proxy, and the application behind.
func listenerFindings(c *config.Config) []Finding {
	const check = "listener"
	found := []Finding{}
	add := func(level Level, says, fix string) { found = append(found, Finding{check, level, says, fix}) }
	var faults config.Faults
	if errors.As(c.CheckServe(), &faults) {
		for _, f := range faults {
			add(LevelFault, f.Error(), "change that setting; `counterfoil serve --help` describes it")
		}
	}
	if c.Dev {
		add(LevelNote, "development: plain http on "+c.Listen, "for others than yourself use --tls-cert and --tls-key, or --trusted-proxy")
	}
	if c.TLSCert != "" && c.TLSKey != "" {
		pair, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
		switch {
		case err != nil:
			add(LevelFault, "the certificate cannot be used: "+err.Error(), "name a PEM chain with --tls-cert and its key with --tls-key")
		case c.PublicURL != nil && pair.Leaf.VerifyHostname(c.PublicURL.Hostname()) != nil:
			add(LevelFault, "the certificate is not for "+c.PublicURL.Hostname(), "get one for that name")
		default:
			add(LevelOK, "the certificate is good until "+pair.Leaf.NotAfter.UTC().Format(time.DateOnly), "")
		}
	}
	for _, p := range c.TrustedProxy {
		if p.Addr().Is4() && p.Bits() < 16 || p.Addr().Is6() && p.Bits() < 48 {
			add(LevelWarn, fmt.Sprintf("forwarded headers are believed from all of %v", p), "name the proxy's own address in --trusted-proxy")
		}
	}
	if c.Upstream != nil {
		address := c.Upstream.Host
		if c.Upstream.Port() == "" {
			address = net.JoinHostPort(c.Upstream.Hostname(), map[string]string{"http": "80", "https": "443"}[c.Upstream.Scheme])
		}
		if conn, err := net.DialTimeout("tcp", address, 2*time.Second); err != nil {
			add(LevelWarn, "the application at "+c.Upstream.String()+" does not answer", "start it, or change --upstream")
		} else {
			conn.Close()
		}
	}
	if len(found) == 0 {
		add(LevelOK, "behind the proxy that --trusted-proxy names, on "+c.Listen, "")
	}
	return found
}

// cookieFindings checks how long cookies and sessions live.
func cookieFindings(c *config.Config) []Finding {
	const check = "cookies and limits"
	found := []Finding{}
	add := func(level Level, says, fix string) { found = append(found, Finding{check, level, says, fix}) }
	if c.Dev {
		add(LevelNote, "development: cookies go over plain http and lack the __Host- prefix where browsers need that", "leave --dev out where anybody else signs in")
	}
	if c.Idle > c.Absolute && c.Sources["idle"] != "default" {
		add(LevelNote, fmt.Sprintf("idle (%s) is longer than absolute (%s) and thus has no effect", config.FormatSpan(c.Idle), config.FormatSpan(c.Absolute)), "make --idle the shorter one")
	}
	if c.Absolute > 24*time.Hour && c.Idle > time.Hour {
		add(LevelNote, "the limits are looser than NIST SP 800-63B-4 AAL2 (1h idle, 24h in all)", "see `counterfoil policy`; write the reason in --limits-reason")
	}
	if len(c.TrustedProxy) > 0 && c.PublicURL == nil {
		add(LevelNote, "without --public-url the name that the proxy forwards is believed", "--public-url https://the.name")
	}
	if len(found) == 0 {
		add(LevelOK, fmt.Sprintf("idle %s, absolute %s", config.FormatSpan(c.Idle), config.FormatSpan(c.Absolute)), "")
	}
	return found
}
