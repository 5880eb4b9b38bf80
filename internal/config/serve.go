package config

import (
	"net"
	"net/netip"
)

// CheckServe returns, as [Faults], what forbids serving with this configuration.
func (c *Config) CheckServe() error {
	var faults Faults
	fault := func(bad bool, where, why string) {
		if bad {
			faults = append(faults, Fault{where, why})
		}
	}
	tls := c.TLSCert != "" || c.TLSKey != ""
	fault((c.TLSCert == "") != (c.TLSKey == ""), "--tls-cert, --tls-key", "one needs the other")
	fault(c.Dev && tls, "--dev", "means plain http and excludes --tls-cert and --tls-key")
	fault(c.Dev && !Loopback(c.Listen), "--dev", "serves on loopback only, and --listen is "+c.Listen)
	fault(c.Redirect != "" && !tls, "--redirect", "sends browsers to https and needs --tls-cert and --tls-key")
	fault(!c.Dev && !tls && len(c.TrustedProxy) == 0, "--listen",
		"would be plain http: give --tls-cert and --tls-key, or name the proxy that terminates TLS with --trusted-proxy, or use --dev on your own machine")
	fault(!c.Dev && c.PublicURL != nil && c.PublicURL.Scheme != "https", "--public-url", "must be https, as browsers send the cookie nowhere else")
	if faults == nil {
		return nil
	}
	return faults
}

// Loopback reports whether an address to listen on can be reached from this machine alone.
func Loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
