package main

import (
	"crypto/rand"
	"encoding/gob"
	"net/http"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/alexedwards/scs/v2/memstore"
	"github.com/gorilla/sessions"
)

// newSCS is alexedwards/scs on its memory store, with its defaults.
func newSCS() *side {
	store := memstore.New()
	return newSCSOn(store, store.StopCleanup)
}

// newSCSOn is alexedwards/scs on some store, with its defaults.
func newSCSOn(store scs.Store, stop func()) *side {
	gob.Register(prefs{})
	m := scs.New()
	m.Store = store
	seen := new(string)
	with := func(f http.HandlerFunc) http.Handler { return m.LoadAndSave(f) }
	return &side{
		name: "scs", seen: seen, close: stop,
		signIn: with(func(w http.ResponseWriter, r *http.Request) {
			ctx := r.Context()
			must(m.RenewToken(ctx))
			m.Put(ctx, "subject", r.Header.Get("Subject"))
			m.Put(ctx, "method", method)
			m.Put(ctx, "level", level)
			m.Put(ctx, "proved", int64(1_800_000_000))
			m.Put(ctx, "ip", peer)
			m.Put(ctx, "label", label)
		}),
		signOut:   with(func(w http.ResponseWriter, r *http.Request) { must(m.Destroy(r.Context())) }),
		identity:  with(func(w http.ResponseWriter, r *http.Request) { *seen = m.GetString(r.Context(), "subject") }),
		readText:  with(func(w http.ResponseWriter, r *http.Request) { *seen = m.GetString(r.Context(), "text") }),
		writeText: with(func(w http.ResponseWriter, r *http.Request) { m.Put(r.Context(), "text", r.Header.Get("Text")) }),
		readPrefs: with(func(w http.ResponseWriter, r *http.Request) {
			p, _ := m.Get(r.Context(), "prefs").(prefs)
			*seen = p.Theme
		}),
		setPrefs: with(func(w http.ResponseWriter, r *http.Request) { m.Put(r.Context(), "prefs", prefs{"dark", 14}) }),
	}
}

// newGorilla is gorilla/sessions with everything in a signed and encrypted cookie.
func newGorilla() *side {
	gob.Register(prefs{})
	keys := make([]byte, 96)
	rand.Read(keys)
	store := sessions.NewCookieStore(keys[:64], keys[64:])
	store.MaxAge(int(8 * time.Hour / time.Second))
	seen := new(string)
	with := func(save bool, f func(s *sessions.Session, r *http.Request)) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s, err := store.Get(r, "session")
			must(err)
			f(s, r)
			if save {
				must(s.Save(r, w))
			}
		})
	}
	text := func(s *sessions.Session, key string) string {
		v, _ := s.Values[key].(string)
		return v
	}
	return &side{
		name: "gorilla", seen: seen, close: func() {},
		signIn: with(true, func(s *sessions.Session, r *http.Request) {
			s.Values["subject"] = r.Header.Get("Subject")
			s.Values["method"] = method
			s.Values["level"] = level
			s.Values["proved"] = int64(1_800_000_000)
			s.Values["ip"] = peer
			s.Values["label"] = label
		}),
		signOut:   with(true, func(s *sessions.Session, _ *http.Request) { s.Options.MaxAge = -1 }),
		identity:  with(false, func(s *sessions.Session, _ *http.Request) { *seen = text(s, "subject") }),
		readText:  with(false, func(s *sessions.Session, _ *http.Request) { *seen = text(s, "text") }),
		writeText: with(true, func(s *sessions.Session, r *http.Request) { s.Values["text"] = r.Header.Get("Text") }),
		readPrefs: with(false, func(s *sessions.Session, _ *http.Request) {
			p, _ := s.Values["prefs"].(prefs)
			*seen = p.Theme
		}),
		setPrefs: with(true, func(s *sessions.Session, _ *http.Request) { s.Values["prefs"] = prefs{"dark", 14} }),
	}
}
