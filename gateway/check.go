package gateway

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
)

// checkRequest answers other proxies: 200 with who it is, 401 for nobody, 403 if a condition in the
// query is not met (level=2, fresh=5m), 503 if nobody knows. It is the path of every request of an
// application behind another proxy and does no more than it must.
func (g *Gateway) checkRequest(w http.ResponseWriter, r *http.Request) {
	v, verdict := g.sessions.Check(r)
	switch {
	case verdict == counterfoil.Unknown:
		g.fail(w, r, unavailable)
		return
	case verdict != counterfoil.Valid || !v.SignedIn():
		g.fail(w, r, fault{status: http.StatusUnauthorized, code: "not_signed_in", title: "Not signed in"})
		return
	case r.URL.RawQuery != "":
		if f := g.conditions(v, r.URL.RawQuery); f != nil {
			g.fail(w, r, *f)
			return
		}
	}
	h := w.Header()
	identify(h, v)
	h["Cache-Control"] = g.noStore
	w.WriteHeader(http.StatusOK)
}

// identify sets who it is, for the application. The keys are canonical already.
func identify(h http.Header, v counterfoil.View) {
	values := [...]string{v.Subject(), v.ID().String(), strconv.Itoa(v.Level()), strings.Join(v.Methods(), " ")}
	h["X-Auth-Subject"] = values[0:1:1]
	h["X-Auth-Session"] = values[1:2:2]
	h["X-Auth-Level"] = values[2:3:3]
	h["X-Auth-Methods"] = values[3:4:4]
}

// conditions returns nil if v meets what the query asks for.
func (g *Gateway) conditions(v counterfoil.View, query string) *fault {
	bad := &fault{status: http.StatusBadRequest, code: "bad_condition", title: "This condition is unknown", text: []string{"Known are level=1 to 3 and fresh=DURATION, each once."}}
	asked, err := url.ParseQuery(query)
	if err != nil {
		return bad
	}
	for name, values := range asked {
		if len(values) != 1 {
			return bad
		}
		var condition counterfoil.Condition
		switch name {
		case "level":
			n, err := strconv.Atoi(values[0])
			if err != nil || n < 1 || n > 3 {
				return bad
			}
			condition = counterfoil.Level(n)
		case "fresh":
			d, err := time.ParseDuration(values[0])
			if err != nil || d <= 0 {
				return bad
			}
			condition = counterfoil.Fresh(d)
		default:
			return bad
		}
		if err := g.sessions.Meets(v, condition); err != nil {
			f := &fault{status: http.StatusForbidden, code: "forbidden", title: "Not for you"}
			if errors.Is(err, counterfoil.ErrStepUp) {
				f.code, f.title = "step_up", "More proof is needed"
			}
			return f
		}
	}
	return nil
}
