package gateway

import (
	"mime"
	"net/http"
	"net/netip"
	"strings"

	"github.com/counterfoil/counterfoil/clientip"
	"github.com/counterfoil/counterfoil/csrf"
)

// browser reports whether a person looks at the answer: the request is a navigation, or its Accept
// names text/html. Everything else gets JSON.
func browser(r *http.Request) bool {
	if sendsJSON(r) {
		return false
	}
	if r.Header.Get("Sec-Fetch-Mode") == "navigate" {
		return true
	}
	for _, line := range r.Header["Accept"] {
		for item := range strings.SplitSeq(line, ",") {
			kind, params, _ := strings.Cut(item, ";")
			if strings.EqualFold(strings.TrimSpace(kind), "text/html") && !refusesKind(params) {
				return true
			}
		}
	}
	return false
}

// refusesKind reports whether the parameters of an Accept item say q=0.
func refusesKind(params string) bool {
	for p := range strings.SplitSeq(params, ";") {
		if q, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(p)), "q="); ok {
			return strings.Trim(q, "0.") == ""
		}
	}
	return false
}

// sendsJSON reports whether the body is declared as JSON; the answer then is JSON, too.
func sendsJSON(r *http.Request) bool {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && kind == "application/json"
}

// self is our own origin as the browser that sent r sees it; "" if the host is none.
func (g *Gateway) self(r *http.Request) string {
	if g.origin != "" {
		return g.origin
	}
	scheme := "http"
	if g.trusted.HTTPS(r) {
		scheme = "https"
	}
	return csrf.Origin(scheme, g.trusted.Host(r))
}

// hostName is host without its port, as names are compared.
func hostName(host string) string {
	name := strings.ToLower(host)
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, ']') {
		name = name[:i]
	}
	return strings.TrimSuffix(name, ".")
}

// misnamed reports whether r asks for another name than the one that we answer to. A proxy that does not
// say in X-Forwarded-Host what it was asked for has a name of its own in Host, as nginx has unless it is
// told: then which names are served is its business.
func (g *Gateway) misnamed(r *http.Request) bool {
	if g.name == "" || g.trusted.ByProxy(r) && len(r.Header["X-Forwarded-Host"]) == 0 {
		return false
	}
	return hostName(g.trusted.Host(r)) != g.name
}

// loopbackHost reports whether host, with or without port, names this machine and nothing else. A
// page of another name that resolves to 127.0.0.1 (DNS rebinding) does not.
func loopbackHost(host string) bool {
	if !clientip.ValidHost(host) {
		return false
	}
	name := hostName(host)
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true // RFC 6761 section 6.3
	}
	a, err := netip.ParseAddr(strings.Trim(name, "[]"))
	return err == nil && a.Unmap().IsLoopback()
}
