package counterfoil

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// cookies finds, sets and clears the two cookies of a manager. All rules on who may touch the jar
// (R5 to R7) end up here.
type cookies struct {
	session, visit string
	sameSite       http.SameSite
	persistent     bool
	insecure       bool
}

func newCookies(c Cookie) (cookies, error) {
	out := cookies{session: c.Name, visit: c.VisitName, sameSite: c.SameSite, persistent: c.Persistent, insecure: c.Insecure}
	var errs []error
	prefix := "__Host-Http-"
	if c.Insecure {
		prefix = ""
	}
	if out.session == "" {
		out.session = prefix + "session"
	}
	if out.visit == "" {
		out.visit = prefix + "visit"
	}
	for _, name := range []string{out.session, out.visit} {
		if !c.Insecure && !strings.HasPrefix(name, "__Host-") {
			errs = append(errs, fmt.Errorf("counterfoil: cookie: name %q must begin with __Host- or __Host-Http-", name))
		}
		if err := (&http.Cookie{Name: name, Value: "x"}).Valid(); err != nil || len(name) > 64 {
			errs = append(errs, fmt.Errorf("counterfoil: cookie: %q is no name for a cookie", name))
		}
	}
	if out.session == out.visit {
		errs = append(errs, errors.New("counterfoil: cookie: Name and VisitName must differ"))
	}
	switch out.sameSite {
	case 0, http.SameSiteDefaultMode:
		out.sameSite = http.SameSiteLaxMode
	case http.SameSiteLaxMode, http.SameSiteStrictMode:
	default:
		errs = append(errs, errors.New("counterfoil: cookie: SameSite must be Lax or Strict; None would take the protection away"))
	}
	return out, errors.Join(errs...)
}

// presented is what a request brought under our two names.
type presented struct{ session, visit presentedCookie }

type presentedCookie struct {
	value string
	found bool
	twice bool // with different values
}

func (p *presentedCookie) add(value string) {
	if p.found && p.value != value {
		p.twice = true
	}
	p.value, p.found = value, true
}

// find walks the Cookie headers; http.Request.Cookie would allocate.
func (c *cookies) find(h http.Header) (p presented) {
	for _, line := range h["Cookie"] {
		for line != "" {
			end := strings.IndexByte(line, ';') // strings.Cut takes half as long again
			if end < 0 {
				end = len(line)
			}
			part := line[:end]
			line = line[min(end+1, len(line)):]
			for part != "" && isBlank(part[0]) {
				part = part[1:]
			}
			if value, ok := named(part, c.session); ok {
				p.session.add(value)
			} else if value, ok := named(part, c.visit); ok {
				p.visit.add(value)
			}
		}
	}
	return p
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

func named(part, name string) (value string, ok bool) {
	if len(part) <= len(name) || part[len(name)] != '=' || part[:len(name)] != name {
		return "", false
	}
	value = part[len(name)+1:]
	for value != "" && isBlank(value[len(value)-1]) {
		value = value[:len(value)-1]
	}
	return value, true
}

// set makes the answer carry a token, in place of any cookie of that name it already sets, and keeps
// shared caches away from it. age is in seconds; a negative one: until the browser ends.
func (c *cookies) set(h http.Header, name string, t token, age int) {
	if age != 0 { // else it ends before it could be used
		c.put(h, name, c.line(name, &t, age))
	}
}

// clear makes the answer delete the cookie of that name.
func (c *cookies) clear(h http.Header, name string) { c.put(h, name, c.line(name, nil, 0)) }

// line writes a Set-Cookie field (RFC 6265 section 4.1). Names were checked at the start and values
// are base64url, so that nothing needs quoting. A nil token: no value. A negative age: until the browser
// ends.
func (c *cookies) line(name string, t *token, age int) string {
	b := make([]byte, 0, 192)
	b = append(append(b, name...), '=')
	if t != nil {
		b = t.append(b)
	}
	b = append(b, "; Path=/"...)
	if age >= 0 {
		b = strconv.AppendInt(append(b, "; Max-Age="...), int64(age), 10)
	}
	b = append(b, "; HttpOnly"...)
	if !c.insecure {
		b = append(b, "; Secure"...)
	}
	if c.sameSite == http.SameSiteStrictMode {
		return string(append(b, "; SameSite=Strict"...))
	}
	return string(append(b, "; SameSite=Lax"...))
}

func (c *cookies) put(h http.Header, name, line string) {
	lines := make([]string, 1, 2)
	lines[0] = "no-store"
	h["Cache-Control"] = lines[:1:1]
	lines = lines[1:]
	for _, other := range h["Set-Cookie"] {
		if _, ours := named(other, name); !ours {
			lines = append(lines, other)
		}
	}
	h["Set-Cookie"] = append(lines, line)
	for _, name := range targeted {
		delete(h, name)
	}
}

// targeted fields overrule Cache-Control for the caches of content delivery networks (RFC 9213).
var targeted = [...]string{"Cdn-Cache-Control", "Surrogate-Control"}

// cachedByOthers reports whether the handler lets shared caches keep the answer; such an answer gets
// no rotated cookie, another will do (R7).
func cachedByOthers(h http.Header) bool {
	for _, name := range targeted {
		for _, line := range h[name] {
			if line = strings.ToLower(line); !strings.Contains(line, "no-store") && !strings.Contains(line, "private") {
				return true
			}
		}
	}
	for _, line := range h["Cache-Control"] {
		for d := range strings.SplitSeq(strings.ToLower(line), ",") {
			d = strings.TrimSpace(d)
			if d == "public" || strings.HasPrefix(d, "s-maxage") {
				return true
			}
		}
	}
	return false
}
