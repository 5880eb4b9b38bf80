package gateway

import (
	"net/http"
	"unicode/utf8"

	"github.com/counterfoil/counterfoil"
)

// note is what the demo keeps in a session.
var note = counterfoil.NewKey[string]("demo.note")

// maxNote bounds it in characters.
const maxNote = 200

// demo is the application that stands behind the gateway until there is another. Whoever comes here
// is signed in.
func (g *Gateway) demo(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path != "/":
		g.fail(w, r, notFound)
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		g.showDemo(w, r, http.StatusOK, "")
	case r.Method == http.MethodPost:
		g.keepNote(w, r)
	default:
		w.Header().Set("Allow", "GET, HEAD, POST")
		g.fail(w, r, fault{status: http.StatusMethodNotAllowed, code: "method_not_allowed", title: "Not this way"})
	}
}

func (g *Gateway) showDemo(w http.ResponseWriter, r *http.Request, status int, problem string) {
	s := g.sessions.FromContext(r.Context())
	text, err := note.Get(s)
	if err != nil {
		g.refuse(w, r, err)
		return
	}
	if !browser(r) {
		g.json(w, r, status, map[string]any{"user": s.Subject(), "session": s.ID().String(), "note": text})
		return
	}
	g.show(w, r, status, "demo", page{Title: "Welcome", User: s.Subject(), Session: s.Info(), Note: text, Error: problem})
}

func (g *Gateway) keepNote(w http.ResponseWriter, r *http.Request) {
	f, ok := g.fields(w, r, "note")
	if !ok {
		return
	}
	if utf8.RuneCountInString(f["note"]) > maxNote {
		g.showDemo(w, r, http.StatusUnprocessableEntity, "A note has at most 200 characters.")
		return
	}
	s := g.sessions.FromContext(r.Context())
	if err := note.Set(s, f["note"]); err != nil {
		g.refuse(w, r, err)
		return
	}
	done(w, r, "/")
}
