package gateway

import (
	"net/http"
	"time"

	"github.com/counterfoil/counterfoil"
)

// sessionJSON is a session as the API and the command line list it.
type sessionJSON struct {
	ID          string   `json:"id"`
	User        string   `json:"user"`
	Actor       string   `json:"actor"`
	Kind        string   `json:"kind"`
	Level       int      `json:"level"`
	Methods     []string `json:"methods"`
	Created     string   `json:"created"`
	Proved      string   `json:"proved"`
	Seen        string   `json:"seen"`
	IdleEnd     string   `json:"idle_end"`
	AbsoluteEnd string   `json:"absolute_end"`
	IP          string   `json:"ip"`
	Label       string   `json:"label"`
	Current     bool     `json:"current"`
}

func describe(i counterfoil.Info, current bool) sessionJSON {
	stamp := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	return sessionJSON{ID: i.ID.String(), User: i.Subject, Actor: i.Actor, Kind: i.Kind.String(), Level: i.Level,
		Methods: append([]string{}, i.Methods...), Created: stamp(i.Created), Proved: stamp(i.Proved), Seen: stamp(i.Seen),
		IdleEnd: stamp(i.IdleEnd), AbsoluteEnd: stamp(i.AbsoluteEnd), IP: i.IP, Label: i.Label, Current: current}
}

func (g *Gateway) apiSession(w http.ResponseWriter, r *http.Request) {
	s := g.sessions.FromContext(r.Context())
	var present *sessionJSON
	if s.SignedIn() {
		d := describe(s.Info(), true)
		present = &d
	}
	g.json(w, r, http.StatusOK, map[string]any{"session": present})
}

func (g *Gateway) apiSessions(w http.ResponseWriter, r *http.Request) {
	s := g.sessions.FromContext(r.Context())
	list := []sessionJSON{}
	for info, err := range g.sessions.List(r.Context(), s.Subject()) {
		if err != nil {
			g.refuse(w, r, err)
			return
		}
		list = append(list, describe(info, info.ID == s.ID()))
	}
	g.json(w, r, http.StatusOK, map[string]any{"sessions": list})
}

func (g *Gateway) apiEnd(w http.ResponseWriter, r *http.Request) { g.end(w, r, r.PathValue("id")) }
