package gateway

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/account"
)

func (g *Gateway) accountPage(w http.ResponseWriter, r *http.Request) {
	var data page
	if from := r.Header.Get("Sec-Fetch-Site"); from == "" || from == "same-origin" { // no link of another site says it
		data.Notice = notices[r.URL.RawQuery]
	}
	g.showAccount(w, r, http.StatusOK, data)
}

func (g *Gateway) showAccount(w http.ResponseWriter, r *http.Request, status int, data page) {
	s := g.sessions.FromContext(r.Context())
	data.Title, data.User, data.Nonce = "Your sessions", s.Subject(), newNonce()
	for info, err := range g.sessions.List(r.Context(), s.Subject()) {
		if err != nil {
			g.refuse(w, r, err)
			return
		}
		current := info.ID == s.ID()
		data.Sessions = append(data.Sessions, row{info, current})
		data.Others = data.Others || !current
	}
	slices.SortStableFunc(data.Sessions, func(a, b row) int { // this one, then the latest seen
		if a.Current != b.Current {
			if a.Current {
				return -1
			}
			return 1
		}
		return b.Seen.Compare(a.Seen)
	})
	g.show(w, r, status, "account", data)
}

// endOne ends one of the visitor's own sessions. Somebody else's is answered as if there were none.
func (g *Gateway) endOne(w http.ResponseWriter, r *http.Request) {
	if f, ok := g.fields(w, r, "id"); ok {
		g.end(w, r, f["id"])
	}
}

func (g *Gateway) end(w http.ResponseWriter, r *http.Request, text string) {
	id, err := counterfoil.ParseID(text)
	if err != nil {
		g.fail(w, r, notFound)
		return
	}
	s := g.sessions.FromContext(r.Context())
	if id == s.ID() {
		g.logout(w, r)
		return
	}
	rv, err := g.sessions.Revoke(r.Context(), counterfoil.AllOf(s.Subject()).Only(id), counterfoil.ReasonRevoked)
	switch {
	case errors.Is(err, counterfoil.ErrNotFound):
		g.fail(w, r, notFound)
	case err != nil:
		g.refuse(w, r, err)
	default:
		g.ended(w, r, rv, g.cfg.Prefix+"/account")
	}
}

func (g *Gateway) endOthers(w http.ResponseWriter, r *http.Request) {
	s := g.sessions.FromContext(r.Context())
	rv, err := g.sessions.Revoke(r.Context(), counterfoil.AllOf(s.Subject()).Except(s.ID()), counterfoil.ReasonRevoked)
	if err != nil {
		g.refuse(w, r, err)
		return
	}
	g.ended(w, r, rv, g.cfg.Prefix+"/account")
}

// changeTimeout bounds how long a password change is repeated until its outcome is known.
const changeTimeout = 30 * time.Second

// changePassword proves the present password, sets the new one, which ends every session of the
// user, and replaces the session that asked by one of the new credential, values kept (R14).
func (g *Gateway) changePassword(w http.ResponseWriter, r *http.Request) {
	f, ok := g.fields(w, r, "username", "current", "new", "nonce")
	if !ok {
		return
	}
	s := g.sessions.FromContext(r.Context())
	if !s.SignedIn() {
		g.changeAgain(w, r, s, f)
		return
	}
	name := s.Subject()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), changeTimeout) // begun is finished
	defer cancel()
	proved, err := g.accounts.Verify(ctx, name, f["current"], g.trusted.Addr(r))
	if err != nil {
		g.recordFailure(ctx, r, name, err)
		g.refuseChange(w, r, g.accountFault(err))
		return
	}
	if _, err := note.Get(s); err != nil { // reads all values while the session still lives
		g.refuse(w, r, err)
		return
	}
	a, rv, err := g.accounts.ChangePassword(ctx, g.sessions, proved, f["new"])
	if errors.Is(err, account.ErrWrong) { // somebody was faster
		g.changeAgain(w, r, s, f)
		return
	}
	if err != nil {
		g.refuseChange(w, r, g.accountFault(err))
		return
	}
	nonce := f["nonce"]
	if !validNonce(nonce) {
		nonce = ""
	}
	mark, err := g.sessions.Mark(ctx)
	if err == nil {
		err = s.SignIn(counterfoil.Identity{Subject: a.Name, Methods: []string{"pwd"}, Since: mark, Epoch: a.Epoch, Nonce: nonce, KeepAll: true})
	}
	if err != nil {
		g.fail(w, r, g.notSignedIn(err, "Your password is changed", "All your sessions have ended, this one too. Sign in with the new password."))
		return
	}
	g.ended(w, r, rv, g.accountPath(changed))
}

// changeAgain answers a form that was sent twice: the first has ended the session that the second
// still names. Who knows the new password gets the session that the first one got (R14).
func (g *Gateway) changeAgain(w http.ResponseWriter, r *http.Request, s *counterfoil.Session, f map[string]string) {
	if !validNonce(f["nonce"]) || g.signIn(r, s, f["username"], f["new"], f["nonce"]) != nil {
		g.signInFirst(w, r)
		return
	}
	done(w, r, g.accountPath(changed))
}

func (g *Gateway) refuseChange(w http.ResponseWriter, r *http.Request, f fault) {
	if !browser(r) || f.status == http.StatusServiceUnavailable {
		g.fail(w, r, f)
		return
	}
	if f.until != nil {
		w.Header().Set("Retry-After", g.seconds(*f.until))
	}
	if f.code == wrong.code {
		f.title = "The present password is wrong" // the name is not in question
	}
	g.showAccount(w, r, f.status, page{Error: f.message(), Until: f.until})
}
