// Package clientip says who is calling, and by which scheme and host, behind proxies that are named
// by address. Forwarded headers are believed from nobody else.
//
//	trusted, err := clientip.New(netip.MustParsePrefix("10.0.0.0/8"))
//	addr := trusted.Addr(r)   // the client, as far as trusted proxies vouch for it
//	if !trusted.HTTPS(r) {    // TLS here, or on the way to a trusted proxy
//		http.Error(w, "https only", http.StatusForbidden)
//	}
//
// Read are X-Forwarded-For, X-Forwarded-Proto and X-Forwarded-Host, of each the last value, which the
// nearest proxy wrote. Forwarded (RFC 7239) and vendors' headers are ignored: a proxy that does not
// set them passes on what a client invents.
package clientip

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
)

// Trusted is a set of proxies. Its zero value, and nil, trust nobody. It is safe for use by many
// goroutines.
type Trusted struct{ prefixes []netip.Prefix }

// New returns the set of the given networks. A network with bits below its mask, or an IPv4 network
// written as mapped IPv6, is refused: it is probably not what was meant.
func New(proxies ...netip.Prefix) (*Trusted, error) {
	var errs []error
	for _, p := range proxies {
		switch {
		case !p.IsValid():
			errs = append(errs, errors.New("clientip: a trusted proxy is an address with a mask, such as 10.0.0.0/8"))
		case p != p.Masked():
			errs = append(errs, fmt.Errorf("clientip: trusted proxy %v has bits below its mask; write %v", p, p.Masked()))
		case p.Addr().Is4In6():
			errs = append(errs, fmt.Errorf("clientip: trusted proxy %v is a mapped IPv4 network; write it as IPv4", p))
		case p.Bits() == 0:
			errs = append(errs, fmt.Errorf("clientip: trusted proxy %v is everybody; name the proxies", p))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &Trusted{append([]netip.Prefix(nil), proxies...)}, nil
}

func (t *Trusted) contains(a netip.Addr) bool {
	if t == nil {
		return false
	}
	for _, p := range t.prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// peer is who holds the other end of the connection; invalid if that is no IP address.
func peer(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return fold(ap.Addr())
}

// fold makes one address of its spellings: mapped IPv4 is IPv4, and a zone names a link, not a host.
func fold(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// ByProxy reports whether a trusted proxy sent r.
func (t *Trusted) ByProxy(r *http.Request) bool { return t.contains(peer(r)) }

// Addr returns the client's address: the peer's, or, if that is a trusted proxy, the rightmost in
// X-Forwarded-For that is not one. At an element that is no address it stops and returns the proxy
// that passed it on, which is never somebody else's address. It is invalid only if the peer's is.
func (t *Trusted) Addr(r *http.Request) netip.Addr {
	addr := peer(r)
	lines := r.Header["X-Forwarded-For"]
	for i := len(lines) - 1; i >= 0; i-- {
		for rest, more := lines[i], true; more; {
			if !t.contains(addr) {
				return addr
			}
			var element string
			if comma := strings.LastIndexByte(rest, ','); comma >= 0 {
				rest, element = rest[:comma], rest[comma+1:]
			} else {
				rest, element, more = "", rest, false
			}
			next, ok := parse(strings.Trim(element, " \t"))
			if !ok {
				return addr
			}
			addr = next
		}
	}
	return addr
}

// parse takes an address, also with a port as some proxies write it.
func parse(s string) (netip.Addr, bool) {
	if a, err := netip.ParseAddr(s); err == nil {
		return fold(a), true
	}
	ap, err := netip.ParseAddrPort(s)
	return fold(ap.Addr()), err == nil
}

// HTTPS reports whether the client spoke TLS: to this process, or to a trusted proxy that says so.
func (t *Trusted) HTTPS(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	proto, ok := last(r, "X-Forwarded-Proto")
	return ok && strings.EqualFold(proto, "https") && t.ByProxy(r)
}

// Host returns the host, with its port if one was named, that the client asked for: r.Host, or what a
// trusted proxy says in X-Forwarded-Host. It is "" if that is no host name.
func (t *Trusted) Host(r *http.Request) string {
	host := r.Host
	if forwarded, ok := last(r, "X-Forwarded-Host"); ok && t.ByProxy(r) {
		host = forwarded
	}
	if !ValidHost(host) {
		return ""
	}
	return host
}

// last returns the last element of a list header.
func last(r *http.Request, name string) (string, bool) {
	lines := r.Header[name]
	if len(lines) == 0 {
		return "", false
	}
	line := lines[len(lines)-1]
	return strings.Trim(line[strings.LastIndexByte(line, ',')+1:], " \t"), true
}

// ValidHost reports whether s is a host name or an IP address, with or without a port.
func ValidHost(s string) bool {
	if rest, ok := strings.CutPrefix(s, "["); ok {
		inner, port, found := strings.Cut(rest, "]")
		a, err := netip.ParseAddr(inner)
		return found && err == nil && a.Is6() && a.Zone() == "" && (port == "" || port[0] == ':' && validPort(port[1:]))
	}
	name, port, hasPort := strings.Cut(s, ":")
	if hasPort && !validPort(port) || name == "" || len(name) > 253 {
		return false
	}
	for i := 0; i < len(name); i++ {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '.' && c != '_' {
			return false
		}
	}
	return true
}

func validPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}
