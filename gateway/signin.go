package gateway

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net/http"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/account"
)

// proofTimeout bounds how long a password waits to be checked.
const proofTimeout = 15 * time.Second

func (g *Gateway) loginPage(w http.ResponseWriter, r *http.Request) {
	g.showLogin(w, r, http.StatusOK, page{Next: r.URL.Query().Get("next")})
}

func (g *Gateway) showLogin(w http.ResponseWriter, r *http.Request, status int, data page) {
	data.Title = "Sign in"
	data.User = g.sessions.FromContext(r.Context()).Subject()
	data.Next = localPath(data.Next, g.cfg.Prefix)
	data.Nonce = newNonce()
	g.show(w, r, status, "login", data)
}

// newNonce makes the value by which a form that is sent twice signs in once.
func newNonce() string {
	var raw [16]byte
	rand.Read(raw[:])
	return base64.RawURLEncoding.EncodeToString(raw[:])
}

// validNonce takes what newNonce makes.
func validNonce(s string) bool {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil && len(raw) == 16 && len(s) == 22
}

func (g *Gateway) login(w http.ResponseWriter, r *http.Request) {
	f, ok := g.fields(w, r, "username", "password", "next", "nonce")
	if !ok {
		return
	}
	s := g.sessions.FromContext(r.Context())
	defer spend(r.Context())()
	if err := g.signIn(r, s, f["username"], f["password"], f["nonce"]); err != nil {
		g.refuseLogin(w, r, f, err)
		return
	}
	next := localPath(f["next"], g.cfg.Prefix)
	if sendsJSON(r) {
		g.json(w, r, http.StatusOK, map[string]any{"session": describe(s.Info(), true), "next": next})
		return
	}
	seeOther(w, next)
}

// signIn proves and signs in. A mark is taken before the password is looked at; if sessions of this
// user were ended meanwhile the password is looked at anew, once (R14).
func (g *Gateway) signIn(r *http.Request, s *counterfoil.Session, name, password, nonce string) error {
	ctx, cancel := context.WithTimeout(r.Context(), proofTimeout)
	defer cancel()
	if !validNonce(nonce) {
		nonce = ""
	}
	for again := true; ; again = false {
		mark, err := g.sessions.Mark(ctx)
		if err != nil {
			return err
		}
		a, err := g.accounts.Verify(ctx, name, password, g.trusted.Addr(r))
		if err != nil {
			g.recordFailure(ctx, r, name, err)
			return err
		}
		err = s.SignIn(counterfoil.Identity{Subject: a.Name, Methods: []string{"pwd"}, Since: mark, Epoch: a.Epoch, Nonce: nonce})
		if !again || !errors.Is(err, counterfoil.ErrSuperseded) {
			return err
		}
	}
}

// recordFailure tells the audit of a failed sign-in. A name that is no account is left out: people
// type passwords there.
func (g *Gateway) recordFailure(ctx context.Context, r *http.Request, name string, err error) {
	ev := counterfoil.Event{Kind: counterfoil.EventRefused, Time: g.now(), Session: counterfoil.Info{IP: g.trusted.Addr(r).String()}}
	limit := (*account.LimitError)(nil)
	switch {
	case errors.As(err, &limit):
		ev.Reason = counterfoil.ReasonTooMany
	case errors.Is(err, account.ErrWrong):
		ev.Reason = counterfoil.ReasonCredential
	default:
		return
	}
	if a, err := g.accounts.Get(ctx, name); err == nil {
		ev.Session.Subject = a.Name
	}
	g.record(ev)
}

// refuseLogin shows the form again with what went wrong; a wrong name and a wrong password look the
// same.
func (g *Gateway) refuseLogin(w http.ResponseWriter, r *http.Request, form map[string]string, err error) {
	f := g.signInFault(err)
	if !browser(r) || f.status == http.StatusServiceUnavailable {
		g.fail(w, r, f)
		return
	}
	if f.until != nil {
		w.Header().Set("Retry-After", g.seconds(*f.until))
	}
	g.showLogin(w, r, f.status, page{Error: f.message(), Until: f.until, Name: form["username"], Next: form["next"]})
}

// signInFault translates what a sign-in can end in.
func (g *Gateway) signInFault(err error) fault {
	switch {
	case errors.Is(err, counterfoil.ErrSuperseded):
		return wrong // ended twice within one sign-in: somebody is changing or disabling this account
	case errors.Is(err, counterfoil.ErrLimit):
		return fault{status: http.StatusForbidden, code: "too_many_sessions", title: "Too many sessions", text: []string{"Sign out somewhere else first."}}
	case errors.Is(err, counterfoil.ErrUnavailable):
		return unavailable
	}
	return g.accountFault(err)
}

// notSignedIn is the answer to a change that is made, after which its visitor could not be signed in.
func (g *Gateway) notSignedIn(err error, made, text string) fault {
	f := g.signInFault(err)
	f.title, f.text, f.link = made, []string{text}, &link{g.cfg.Prefix + "/login", "Sign in"}
	return f
}

func (g *Gateway) logout(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Clear-Site-Data", `"cache"`) // or the back button shows pages of the application
	if err := g.sessions.FromContext(r.Context()).SignOut(); err != nil {
		g.log.Error("a sign-out was not confirmed", "error", err)
		g.fail(w, r, fault{status: http.StatusServiceUnavailable, code: "not_everywhere", title: "Not yet signed out everywhere",
			text: []string{"This browser is signed out here. The store did not confirm it yet; it is tried again until it does."}})
		return
	}
	done(w, r, g.cfg.Prefix+"/login")
}
