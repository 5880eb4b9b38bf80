// Package csrf refuses requests that another site made the visitor's browser send. It needs no token,
// no cookie and no state: browsers say where a request comes from.
//
//	if err := csrf.Check(r, "https://app.example"); err != nil {
//		http.Error(w, "cross-site request", http.StatusForbidden)
//	}
//
// The rule is that of [net/http.CrossOriginProtection], Fetch metadata first and Origin otherwise, with
// what that type leaves out: the handshake of a WebSocket is a GET and is checked here; Origin is
// compared as a whole, scheme included, so that a plain-http page of the same host is another site and
// user information or a path in it do not match; "null" never does; and repeated or unknown values are
// refused instead of read in part.
package csrf

import (
	"errors"
	"net/http"
	"strings"
)

// ErrCrossSite says that another site caused the request.
var ErrCrossSite = errors.New("csrf: the request comes from another site; open this site's own page and try again")

// Check returns nil if r cannot have been caused by another site: it is safe (RFC 9110 section 9.2.1)
// and no WebSocket handshake; or its Sec-Fetch-Site is same-origin, or none (typed, bookmarked); or,
// without that header, its Origin is self; or it has neither, as only programs send it. Otherwise
// [ErrCrossSite].
//
// self is this site's origin as browsers write it: scheme and host in lower case, the port unless it
// is the scheme's own; see [Origin]. Sec-Fetch-Site needs no self, so that a proxy which rewrites Host
// does no harm to today's browsers.
func Check(r *http.Request, self string) error {
	if safe(r) {
		return nil
	}
	switch sites := r.Header["Sec-Fetch-Site"]; {
	case len(sites) == 1 && (sites[0] == "same-origin" || sites[0] == "none"):
		return nil
	case len(sites) > 0:
		return ErrCrossSite
	}
	switch origins := r.Header["Origin"]; {
	case len(origins) == 0:
		return nil
	case len(origins) == 1 && self != "" && origins[0] == self:
		return nil
	}
	return ErrCrossSite
}

// safe reports whether r asks for no change: neither by its method nor by opening a socket.
func safe(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return len(r.Header["Upgrade"]) == 0
	}
	return false // CONNECT among them: WebSockets over HTTP/2 (RFC 8441)
}

// Origin returns the origin of a scheme, "http" or "https", and a host with or without port, as
// browsers write it in Origin; "" if host is "".
func Origin(scheme, host string) string {
	if host == "" {
		return ""
	}
	host = strings.ToLower(host)
	if scheme == "https" {
		host = strings.TrimSuffix(host, ":443")
	} else {
		host = strings.TrimSuffix(host, ":80")
	}
	return scheme + "://" + host
}
