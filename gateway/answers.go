package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/account"
)

// fault is an answer that is not what was asked for: a page for people, {"error": …} for programs.
type fault struct {
	status int
	code   string   // stable, for programs
	title  string   // the page's heading
	text   []string // what to do
	until  *time.Time
	link   *link
}

// message is the fault for programs and logs.
func (f *fault) message() string {
	if len(f.text) == 0 {
		return f.title
	}
	return f.title + ". " + strings.Join(f.text, " ")
}

var (
	unavailable = fault{status: http.StatusServiceUnavailable, code: "unavailable", title: "Just a moment", text: []string{"Sessions cannot be checked right now. You have not been signed out; try again in a few seconds."}}
	notFound    = fault{status: http.StatusNotFound, code: "not_found", title: "There is nothing here", text: []string{"The address is wrong, or what it named has ended."}, link: &link{"/", "To the start"}}
	wrong       = fault{status: http.StatusUnauthorized, code: "wrong_credentials", title: "Wrong name or password"}
	crossSite   = fault{status: http.StatusForbidden, code: "cross_site", title: "This came from another site", text: []string{"Another site made your browser send this request, so nothing was done. If it was you, open this site's own page and try again."}, link: &link{"/", "To the start"}}
	plainHTTP   = fault{status: http.StatusForbidden, code: "https_required", title: "This needs https", text: []string{"Over plain http anybody on the way could take your session, so nothing is read or sent here. Open the address with https."}}
	wrongHost   = fault{status: http.StatusMisdirectedRequest, code: "wrong_host", title: "Wrong host", text: []string{"This site answers to one name alone: open it under that. If you run it: the name is that of --public-url, and a proxy has to pass it on in Host or in X-Forwarded-Host."}}
	devHost     = fault{status: http.StatusMisdirectedRequest, code: "wrong_host", title: "Wrong host", text: []string{"In development only this machine's own names are served: localhost, 127.0.0.1 or [::1]."}}
	noAddress   = fault{status: http.StatusBadRequest, code: "bad_address", title: "This is no address", text: []string{"What was asked for is no path of this site."}}
	twoCookies  = fault{status: http.StatusBadRequest, code: "ambiguous_cookie", title: "Two different tickets", text: []string{
		"Your browser sent two different session cookies, and nobody can say which is yours. One may have been planted, so neither was used.",
		"Clear the cookies of this site: in most browsers by the sign to the left of the address, under cookies and site data. Then sign in again."}}
)

// fail answers with f.
func (g *Gateway) fail(w http.ResponseWriter, r *http.Request, f fault) {
	h := w.Header()
	if f.until != nil {
		h.Set("Retry-After", g.seconds(*f.until))
	} else if f.status == http.StatusServiceUnavailable {
		h.Set("Retry-After", strconv.Itoa(int(counterfoil.RetryAfter/time.Second)))
	}
	if !browser(r) {
		g.json(w, r, f.status, map[string]any{"error": map[string]string{"code": f.code, "message": f.message()}})
		return
	}
	if f.link == nil && f.status >= http.StatusInternalServerError {
		f.link = &link{"/", "To the start"}
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			f.link = &link{"", "Try again"} // the same address
		}
	}
	user := g.sessions.FromContext(r.Context()).Subject()
	g.show(w, r, f.status, "message", page{Title: f.title, User: user, Text: f.text, Until: f.until, Link: f.link})
}

// seconds is the time until t for Retry-After, rounded up and at least one.
func (g *Gateway) seconds(t time.Time) string {
	return strconv.Itoa(max(1, int((t.Sub(g.now())+time.Second-1)/time.Second)))
}

// show answers with a page.
func (g *Gateway) show(w http.ResponseWriter, r *http.Request, status int, name string, data page) {
	if err := g.pages.show(w, r, status, name, data); err != nil {
		g.log.Error("a page was not made", "error", err)
		http.Error(w, "internal error", http.StatusInternalServerError)
	}
}

// json answers with v.
func (g *Gateway) json(w http.ResponseWriter, r *http.Request, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		g.log.Error("an answer was not made", "error", err)
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	guardAnswer(w.Header())
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		w.Write(append(body, '\n'))
	}
}

// seeOther sends a browser on to a path of ours.
func seeOther(w http.ResponseWriter, path string) {
	guardAnswer(w.Header())
	w.Header().Set("Location", path) // not http.Redirect, which rewrites paths
	w.WriteHeader(http.StatusSeeOther)
}

// done answers a change: a browser goes on to path, a program gets 204.
func done(w http.ResponseWriter, r *http.Request, path string) {
	if browser(r) {
		seeOther(w, path)
		return
	}
	guardAnswer(w.Header())
	w.WriteHeader(http.StatusNoContent)
}

// signInFirst answers a request that needs somebody signed in: browsers that look for a page go to
// the sign-in page, all else gets 401.
func (g *Gateway) signInFirst(w http.ResponseWriter, r *http.Request) {
	login := g.cfg.Prefix + "/login?next=" + url.QueryEscape(localPath(r.URL.RequestURI(), g.cfg.Prefix))
	if browser(r) && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		seeOther(w, login)
		return
	}
	g.fail(w, r, fault{status: http.StatusUnauthorized, code: "not_signed_in", title: "Not signed in",
		text: []string{"There is no session, or it has ended. Nothing was done."}, link: &link{g.cfg.Prefix + "/login", "Sign in"}})
}

// refuse answers for the session manager.
func (g *Gateway) refuse(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, counterfoil.ErrFlood):
		until := g.now().Add(counterfoil.RetryAfter)
		g.fail(w, r, fault{status: http.StatusTooManyRequests, code: "too_many_requests", title: "Too many bad tickets",
			text: []string{"Too many session cookies that are no good came from your address."}, until: &until})
	case errors.Is(err, counterfoil.ErrStepUp):
		g.fail(w, r, fault{status: http.StatusForbidden, code: "step_up", title: "More proof is needed", text: []string{"Sign in again to go on."},
			link: &link{g.cfg.Prefix + "/login", "Sign in"}})
	case errors.Is(err, counterfoil.ErrForbidden):
		g.fail(w, r, fault{status: http.StatusForbidden, code: "forbidden", title: "Not for you", text: []string{"Your account may not do this."}})
	case errors.Is(err, counterfoil.ErrNotSignedIn), errors.Is(err, counterfoil.ErrEnded):
		g.signInFirst(w, r)
	case errors.Is(err, counterfoil.ErrConflict):
		g.fail(w, r, fault{status: http.StatusConflict, code: "conflict", title: "Too many at once",
			text: []string{"Other requests changed this session all the while, so that nothing was saved. Try again."}})
	default: // ErrUnavailable, and whatever else means that nobody knows
		if !errors.Is(err, counterfoil.ErrUnavailable) {
			g.log.Error("a session could not be used", "error", err)
		}
		g.fail(w, r, unavailable)
	}
}

// accountFault translates what package account says.
func (g *Gateway) accountFault(err error) fault {
	var limit *account.LimitError
	var weak *account.PasswordError
	switch {
	case errors.As(err, &limit):
		return fault{status: http.StatusTooManyRequests, code: "too_many_attempts", title: "Too many attempts", until: &limit.Until}
	case errors.As(err, &weak):
		return fault{status: http.StatusUnprocessableEntity, code: "password_refused", title: "This password will not do", text: []string{weak.Why}}
	case errors.Is(err, account.ErrName):
		return fault{status: http.StatusUnprocessableEntity, code: "name_refused", title: "This name will not do", text: []string{"A name is up to 64 letters, digits and signs, without spaces."}}
	case errors.Is(err, account.ErrWrong):
		return wrong
	case errors.Is(err, account.ErrLink), errors.Is(err, account.ErrNotFirst):
		return fault{status: http.StatusForbidden, code: "link_used", title: "This link is used up", text: []string{"It was good once, for 15 minutes. If there is no account yet, start the program again to get a new one."}}
	case errors.Is(err, account.ErrBusy):
		return fault{status: http.StatusServiceUnavailable, code: "busy", title: "Just a moment", text: []string{"Many people are signing in. Try again in a few seconds."}}
	}
	if !errors.Is(err, context.Canceled) { // who hung up is no fault of ours
		g.log.Error("an account could not be read or written", "error", err)
	}
	return unavailable
}
