package redis

import (
	"errors"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode"
)

// Place says where a server is. Its password is never printed.
type Place struct {
	network, address string
	user, password   string
	db               int
	tls              bool
}

// String returns the address without user and password.
func (p Place) String() string {
	scheme := "redis://"
	switch {
	case p.network == "unix":
		scheme = "unix://"
	case p.tls:
		scheme = "rediss://"
	}
	return scheme + p.address
}

// GoString returns what String does, so that no format shows the password.
func (p Place) GoString() string { return p.String() }

var errDSN = errors.New("redis: the DSN is none; write redis://[user:password@]host[:6379][/db], rediss:// for TLS, or unix:///path/of/socket[?db=n]")

// validHost takes addresses without a zone, and names of letters, digits, dots, hyphens and underscores.
func validHost(h string) bool {
	if a, err := netip.ParseAddr(h); err == nil {
		return a.Zone() == ""
	}
	return h != "" && strings.Trim(h, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_") == ""
}

// ParseDSN reads redis://[user:password@]host[:port][/db], rediss:// (TLS, certificate checked) or
// unix://[user:password@]/path[?db=n]. Its error never holds the text, in which a password may stand.
func ParseDSN(dsn string) (Place, error) {
	u, err := url.Parse(dsn)
	if err != nil || u.Opaque != "" || u.Fragment != "" {
		return Place{}, errDSN
	}
	p := Place{user: u.User.Username()}
	p.password, _ = u.User.Password()
	var db string
	switch u.Scheme {
	case "redis", "rediss":
		p.network, p.tls = "tcp", u.Scheme == "rediss"
		port := u.Port()
		if port == "" {
			port = "6379"
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || !validHost(u.Hostname()) || u.RawQuery != "" {
			return Place{}, errDSN
		}
		p.address = net.JoinHostPort(u.Hostname(), port)
		db = strings.TrimPrefix(u.Path, "/")
	case "unix":
		q, err := url.ParseQuery(u.RawQuery)
		if err != nil || u.Host != "" || !strings.HasPrefix(u.Path, "/") || len(u.Path) < 2 || strings.ContainsFunc(u.Path, unicode.IsControl) {
			return Place{}, errDSN
		}
		db = q.Get("db")
		if q.Del("db"); len(q) > 0 {
			return Place{}, errDSN
		}
		p.network, p.address = "unix", u.Path
	default:
		return Place{}, errDSN
	}
	if db != "" {
		if p.db, err = strconv.Atoi(db); err != nil || p.db < 0 || strconv.Itoa(p.db) != db {
			return Place{}, errDSN
		}
	}
	return p, nil
}
