package main

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/store/memory"
)

// newManager starts a manager as a program would, on a memory store.
func newManager() (m *counterfoil.Manager, stop func(), err error) {
	return managerOn(memory.New(memory.Options{}), counterfoil.Config{})
}

// managerOn starts a manager on a store, which stop closes, too.
func managerOn(store closingStore, cfg counterfoil.Config) (m *counterfoil.Manager, stop func(), err error) {
	cfg.Store, cfg.Clock, cfg.Logger = store, counterfoil.SystemClock(), slog.New(slog.DiscardHandler)
	if cfg.Keys == nil {
		now, _ := cfg.Clock.Now()
		if cfg.Keys, err = keyring.Generate(now, nil); err != nil {
			return nil, nil, err
		}
	}
	if m, err = counterfoil.New(context.Background(), cfg); err != nil {
		return nil, nil, err
	}
	return m, func() { m.Close(context.Background()); store.Close() }, nil
}

type closingStore interface {
	counterfoil.Store
	Close() error
}

func newOurs(m *counterfoil.Manager, stop func()) *side {
	text, object := counterfoil.NewKey[string]("text"), counterfoil.NewKey[prefs]("prefs")
	seen := new(string)
	with := func(f func(s *counterfoil.Session, r *http.Request) error) http.Handler {
		return m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			must(f(m.FromContext(r.Context()), r))
		}))
	}
	return &side{
		name: "counterfoil", seen: seen, close: stop,
		signIn: with(func(s *counterfoil.Session, r *http.Request) error {
			return s.SignIn(counterfoil.Identity{Subject: r.Header.Get("Subject"), Methods: []string{method}, Level: level, Label: label})
		}),
		signOut: with(func(s *counterfoil.Session, _ *http.Request) error { return s.SignOut() }),
		identity: with(func(s *counterfoil.Session, _ *http.Request) error {
			*seen = s.Subject()
			return nil
		}),
		readText: with(func(s *counterfoil.Session, _ *http.Request) (err error) {
			*seen, err = text.Get(s)
			return err
		}),
		writeText: with(func(s *counterfoil.Session, r *http.Request) error { return text.Set(s, r.Header.Get("Text")) }),
		readPrefs: with(func(s *counterfoil.Session, _ *http.Request) error {
			p, err := object.Get(s)
			*seen = p.Theme
			return err
		}),
		setPrefs: with(func(s *counterfoil.Session, _ *http.Request) error { return object.Set(s, prefs{"dark", 14}) }),
	}
}

// must stops the run: a figure of something that failed is worth nothing.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
