package gateway

import (
	"net/http"
	"slices"
	"strings"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/csrf"
)

// routes puts the parts in order: health without conditions, then transport and host, then what needs
// no session in its context, then the session and what stands behind it.
func (g *Gateway) routes() http.Handler {
	app := http.Handler(http.HandlerFunc(g.demo))
	if g.cfg.Upstream != nil {
		app = g.proxy()
	}
	own := g.ownPages()
	behind := g.sessions.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if counterfoil.Ambiguous(r.Context()) && browser(r) {
			g.fail(w, r, twoCookies)
		} else if _, ok := g.ownPath(r); ok {
			own.ServeHTTP(w, r)
		} else if g.sessions.FromContext(r.Context()).SignedIn() {
			app.ServeHTTP(w, r)
		} else {
			g.signInFirst(w, r)
		}
	}))
	checkPath := g.cfg.Prefix + "/check"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			awaitBody(w, g.now().Add(bodyTimeout))
		}
		switch path := r.URL.Path; {
		case path == "/healthz":
			g.healthz(w, r)
		case path == "/readyz":
			g.readyz(w, r)
		case !g.admit(w, r):
		case r.Method == http.MethodConnect || r.Method == http.MethodTrace: // tunnels and echoes are nobody's need
			g.fail(w, r, fault{status: http.StatusMethodNotAllowed, code: "method_not_allowed", title: "Not this way"})
		case r.URL.Opaque != "" || path != "" && path[0] != '/': // GET http:x, GET *: no path of ours or anybody's
			g.fail(w, r, noAddress)
		case path == checkPath: // under whatever name the proxy that asks knows us by
			g.checkRequest(w, r)
		case g.pages.assets.serve(w, r):
		case g.misnamed(r):
			g.fail(w, r, wrongHost)
		case csrf.Check(r, g.self(r)) != nil:
			g.fail(w, r, crossSite)
		default:
			if path, ours := g.ownPath(r); ours && r.Method == http.MethodPost && (path == "/login" || path == "/setup") {
				var over func()
				r, over = g.withBudget(r)
				defer over()
			}
			behind.ServeHTTP(w, r)
		}
	})
}

// ownPath returns what stands behind our prefix, and whether the path is ours.
func (g *Gateway) ownPath(r *http.Request) (string, bool) {
	rest, ok := strings.CutPrefix(r.URL.Path, g.cfg.Prefix)
	return rest, ok && (rest == "" || rest[0] == '/')
}

// methods are the handlers of one path. GET serves HEAD as well.
type methods map[string]http.HandlerFunc

func (g *Gateway) ownPages() http.Handler {
	pages := map[string]methods{
		"":                     {"GET": func(w http.ResponseWriter, r *http.Request) { seeOther(w, g.cfg.Prefix+"/account") }},
		"/login":               {"GET": g.loginPage, "POST": g.login},
		"/logout":              {"POST": g.logout},
		"/setup":               {"GET": g.setupPage, "POST": g.setup},
		"/account":             {"GET": g.signedIn(g.accountPage)},
		"/account/end":         {"POST": g.signedIn(g.endOne)},
		"/account/end-others":  {"POST": g.signedIn(g.endOthers)},
		"/account/password":    {"POST": g.changePassword},
		"/api/v1/session":      {"GET": g.apiSession},
		"/api/v1/sessions":     {"GET": g.signedIn(g.apiSessions)},
		"/api/v1/sessions/{*}": {"DELETE": g.signedIn(g.apiEnd)},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, _ := g.ownPath(r)
		if id, ok := strings.CutPrefix(path, "/api/v1/sessions/"); ok && id != "" && !strings.Contains(id, "/") {
			path = "/api/v1/sessions/{*}"
			r.SetPathValue("id", id)
		}
		page, found := pages[path]
		if !found {
			g.fail(w, r, notFound)
			return
		}
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		if h := page[method]; h != nil {
			h(w, r)
			return
		}
		var allowed []string
		for m := range page {
			allowed = append(allowed, m)
		}
		if page["GET"] != nil {
			allowed = append(allowed, http.MethodHead)
		}
		slices.Sort(allowed)
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		g.fail(w, r, fault{status: http.StatusMethodNotAllowed, code: "method_not_allowed", title: "Not this way",
			text: []string{"This address takes " + strings.Join(allowed, ", ") + " alone."}})
	})
}

// signedIn passes on only who is signed in.
func (g *Gateway) signedIn(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !g.sessions.FromContext(r.Context()).SignedIn() {
			g.signInFirst(w, r)
			return
		}
		h(w, r)
	}
}

// admit checks how a request came. Outside development, what did not come by https, to this process
// or to a trusted proxy, goes no further: no cookie is read or sent. In development, only this
// machine's own names are served.
func (g *Gateway) admit(w http.ResponseWriter, r *http.Request) bool {
	if g.cfg.Dev {
		if loopbackHost(r.Host) {
			return true
		}
		g.fail(w, r, devHost)
		return false
	}
	if !g.trusted.HTTPS(r) {
		g.fail(w, r, plainHTTP)
		return false
	}
	g.secure(w.Header())
	return true
}

const hstsField = "Strict-Transport-Security"

// secure tells browsers to come by https alone. In development, on plain http, it must not be said
// (RFC 6797 section 7.2).
func (g *Gateway) secure(h http.Header) {
	if g.cfg.Dev {
		delete(h, hstsField)
		return
	}
	h[hstsField] = g.hsts
}
