package gateway

import (
	"net/http"
	"strings"

	"github.com/counterfoil/counterfoil"
)

// cookiesOf names the gateway's cookies. In development there is no prefix that browsers would refuse
// over plain http, but a name that no application uses.
func cookiesOf(dev, persistent bool) counterfoil.Cookie {
	c := counterfoil.Cookie{Name: "__Host-Http-session", VisitName: "__Host-Http-visit", Persistent: persistent, Insecure: dev}
	if dev {
		c.Name, c.VisitName = "counterfoil-session", "counterfoil-visit"
	}
	return c
}

// cookieFilter keeps the gateway's cookies and the application's apart.
type cookieFilter struct{ own [2]string }

// ours takes every spelling of case: browsers compare the __Host- prefix so.
func (f cookieFilter) ours(name string) bool {
	return strings.EqualFold(name, f.own[0]) || strings.EqualFold(name, f.own[1])
}

// request returns the Cookie header for the application, "" for none: our cookies taken out, and what
// is left written anew, because parsers differ in what they do with the rest. A pair that RFC 6265
// does not allow is dropped, or some parser would drop what follows it, or find our cookie inside it.
// Of two cookies of one name the first is kept, which browsers put there for the longer path: so the
// application sees one, whichever its parser takes.
func (f cookieFilter) request(lines []string) string {
	var out strings.Builder
	seen := map[string]bool{}
	for _, line := range lines {
		for pair := range strings.SplitSeq(line, ";") {
			name, value, found := strings.Cut(strings.Trim(pair, " \t"), "=")
			if !found || !token(name) || !cookieValue(value) || f.ours(name) || seen[name] {
				continue
			}
			seen[name] = true
			if out.Len() > 0 {
				out.WriteString("; ")
			}
			out.WriteString(name + "=" + value)
		}
	}
	return out.String()
}

// response removes what the application tries to set under our names. A cookie without a name comes
// back as its value alone, which may look like one with a name.
func (f cookieFilter) response(h http.Header) {
	kept := h["Set-Cookie"][:0:0]
	for _, line := range h["Set-Cookie"] {
		pair, _, _ := strings.Cut(line, ";")
		name, _, _ := strings.Cut(strings.TrimLeft(pair, " \t="), "=")
		if !f.ours(strings.Trim(name, " \t")) {
			kept = append(kept, line)
		}
	}
	if len(kept) == 0 {
		h.Del("Set-Cookie")
		return
	}
	h["Set-Cookie"] = kept
}

// token reports whether s is one (RFC 9110 section 5.6.2).
func token(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

// cookieValue reports whether s is a value that every parser reads alike: cookie-octets of RFC 6265
// section 4.1.1, perhaps in quotes, and the spaces and commas that applications send all the same.
func cookieValue(s string) bool {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		s = s[1 : len(s)-1]
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == ';' || c == '\\' {
			return false
		}
	}
	return true
}
