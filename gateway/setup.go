package gateway

import (
	"context"
	"net/http"

	"github.com/counterfoil/counterfoil"
)

func (g *Gateway) setupPage(w http.ResponseWriter, r *http.Request) {
	for _, err := range g.accounts.All(r.Context()) {
		if err != nil {
			g.fail(w, r, g.accountFault(err))
			return
		}
		seeOther(w, g.cfg.Prefix+"/login") // it is set up
		return
	}
	g.showSetup(w, r, http.StatusOK, page{})
}

func (g *Gateway) showSetup(w http.ResponseWriter, r *http.Request, status int, data page) {
	data.Title = "Make the first account"
	g.show(w, r, status, "setup", data)
}

// setup makes the first account and signs in: whoever holds the code has just chosen the password.
func (g *Gateway) setup(w http.ResponseWriter, r *http.Request) {
	f, ok := g.fields(w, r, "code", "username", "password")
	if !ok {
		return
	}
	defer spend(r.Context())()
	ctx, cancel := context.WithTimeout(r.Context(), proofTimeout)
	defer cancel()
	mark, err := g.sessions.Mark(ctx)
	if err != nil {
		g.fail(w, r, g.signInFault(err))
		return
	}
	a, err := g.accounts.AddFirst(ctx, f["code"], f["username"], f["password"])
	if err != nil {
		refused := g.accountFault(err)
		if !browser(r) || refused.status == http.StatusServiceUnavailable {
			g.fail(w, r, refused)
			return
		}
		g.showSetup(w, r, refused.status, page{Error: refused.message(), Name: f["username"], Code: f["code"]})
		return
	}
	s := g.sessions.FromContext(r.Context())
	if err := s.SignIn(counterfoil.Identity{Subject: a.Name, Methods: []string{"pwd"}, Since: mark, Epoch: a.Epoch}); err != nil {
		g.fail(w, r, g.notSignedIn(err, "Your account is made", "You could not be signed in yet. Sign in with the name and the password that you chose."))
		return
	}
	if sendsJSON(r) {
		g.json(w, r, http.StatusCreated, map[string]any{"session": describe(s.Info(), true)})
		return
	}
	seeOther(w, "/")
}
