package operate

import (
	"errors"
	"net/http"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/account"
)

// Session is a session as lists show it.
type Session struct {
	ID          string     `json:"id"`
	User        string     `json:"user"`  // "": an anonymous visitor's
	Actor       string     `json:"actor"` // who really acts, if that is somebody else
	Kind        string     `json:"kind"`
	Level       int        `json:"level"`
	Methods     []string   `json:"methods"`
	Created     time.Time  `json:"created"`
	Proved      *time.Time `json:"proved"` // null: anonymous
	Seen        time.Time  `json:"seen"`
	IdleEnd     time.Time  `json:"idle_end"`
	AbsoluteEnd time.Time  `json:"absolute_end"`
	IP          string     `json:"ip"`
	Label       string     `json:"label"`
	Current     bool       `json:"current"`              // never true for an operator, who asks without one
	Unreadable  bool       `json:"unreadable,omitempty"` // its key is gone: nobody can use it any more
}

// End says which sessions to end; exactly one of ID, User and All is set.
type End struct {
	ID   string `json:"id,omitempty"`
	User string `json:"user,omitempty"`
	All  bool   `json:"all,omitempty"`
	Wait bool   `json:"wait,omitempty"` // until no node admits them any more
}

// Ended says how many sessions ended; -1 if the store cannot say. Without a wait the rest is zero.
type Ended struct {
	Ended  int    `json:"ended"`
	Nodes  int    `json:"nodes,omitempty"`  // where it is in force; -1: everywhere, but the store did not say on how many
	Fenced int    `json:"fenced,omitempty"` // of them were silent and shut out
	Behind int    `json:"behind,omitempty"` // of them had not acknowledged it after two leases, and may have open streams
	Took   string `json:"took,omitempty"`   // a Go duration
}

func session(i counterfoil.Info) Session {
	s := Session{
		ID: i.ID.String(), User: i.Subject, Actor: i.Actor, Kind: i.Kind.String(), Level: i.Level, Methods: i.Methods,
		Created: i.Created, Seen: i.Seen, IdleEnd: i.IdleEnd, AbsoluteEnd: i.AbsoluteEnd, IP: i.IP, Label: i.Label,
		Unreadable: i.Unreadable,
	}
	if s.Methods == nil {
		s.Methods = []string{}
	}
	if !i.Proved.IsZero() {
		s.Proved = &i.Proved
	}
	return s
}

func (o *Operations) sessions(r *http.Request) (any, error) {
	found := o.Sessions.All(r.Context())
	name := r.URL.Query().Get("user")
	if name != "" {
		found = o.Sessions.List(r.Context(), subject(name))
	}
	all := []Session{}
	for i, err := range found {
		if err != nil {
			return nil, err
		}
		all = append(all, session(i))
	}
	if name != "" && len(all) == 0 {
		return all, o.known(r, name)
	}
	return all, nil
}

func (o *Operations) endSessions(r *http.Request) (any, error) {
	var in End
	if err := read(r, &in); err != nil {
		return nil, err
	}
	var target counterfoil.Target
	switch {
	case in.ID != "" && in.User == "" && !in.All:
		id, err := counterfoil.ParseID(in.ID)
		if err != nil || id.IsZero() {
			return nil, noSession(in.ID)
		}
		target = counterfoil.ByID(id)
	case in.User != "" && in.ID == "" && !in.All:
		target = counterfoil.AllOf(subject(in.User))
	case in.All && in.ID == "" && in.User == "":
		target = counterfoil.Everything()
	default:
		return nil, usage("say which sessions to end: an ID, --user NAME or --all, one of them")
	}
	done, err := o.Sessions.Revoke(r.Context(), target, counterfoil.ReasonRevoked)
	switch {
	case errors.Is(err, counterfoil.ErrNotFound):
		return nil, noSession(in.ID)
	case err != nil:
		return nil, err
	case in.ID != "" && done.Ended == 0:
		return nil, noSession(in.ID)
	case in.User != "" && done.Ended == 0:
		if err := o.known(r, in.User); err != nil {
			return nil, err
		}
	}
	out := Ended{Ended: done.Ended}
	if in.Wait {
		err = out.wait(r, done)
	}
	return out, err
}

// wait returns when no node admits the sessions any more, and notes how that came.
func (e *Ended) wait(r *http.Request, rv counterfoil.Revocation) error {
	waited, err := rv.Wait(r.Context())
	e.Nodes, e.Fenced, e.Behind, e.Took = waited.Nodes, waited.Fenced, waited.Behind, waited.Took.Round(time.Millisecond).String()
	return err
}

// known returns a refusal if there is no user of that name.
func (o *Operations) known(r *http.Request, name string) error {
	_, err := o.Accounts.Get(r.Context(), name)
	if errors.Is(err, account.ErrNotFound) {
		return noUser(name)
	}
	return err
}

// subject returns a user's name as sessions bear it.
func subject(name string) string {
	if normal, err := account.NormalizeName(name); err == nil {
		return normal
	}
	return name
}

func noSession(id string) error {
	return notFound("there is no session %s; `counterfoil session list` shows those that live", id)
}
