// Package sessiontest puts sessions into the tests of programs that use counterfoil.
//
//	sessions, clock := sessiontest.New(t)
//	h := sessions.Handler(mux)
//	r := httptest.NewRequest("GET", "/cart", nil)
//	sessiontest.SignIn(t, sessions, r, counterfoil.Identity{Subject: "alice"})
//	w := httptest.NewRecorder()
//	h.ServeHTTP(w, r) // as alice, all the way that a real request takes
//	clock.Advance(time.Hour) // and an hour later she is signed out
package sessiontest

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/store/memory"
)

// New returns a manager on a memory store with keys of its own and a clock that stands still at a
// fixed time. t closes it. edit may change the configuration first.
func New(t testing.TB, edit ...func(*counterfoil.Config)) (*counterfoil.Manager, *Clock) {
	t.Helper()
	clock := NewClock(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC))
	wall, _ := clock.Now()
	keys, err := keyring.Generate(wall, rand.Reader)
	if err != nil {
		t.Fatalf("sessiontest: %v", err)
	}
	store := memory.New(memory.Options{})
	cfg := counterfoil.Config{Store: store, Keys: keys, Clock: clock, Logger: slog.New(slog.DiscardHandler)}
	for _, f := range edit {
		f(&cfg)
	}
	m, err := counterfoil.New(context.Background(), cfg)
	if err != nil {
		t.Fatalf("sessiontest: %v", err)
	}
	t.Cleanup(func() {
		if err := m.Close(context.Background()); err != nil {
			t.Errorf("sessiontest: %v", err)
		}
		if err := store.Close(); err != nil {
			t.Errorf("sessiontest: %v", err)
		}
	})
	return m, clock
}

// SignIn starts a real session and adds its cookie to r. The whole way through Handler is then taken
// as in production.
func SignIn(t testing.TB, m *counterfoil.Manager, r *http.Request, id counterfoil.Identity) counterfoil.Info {
	t.Helper()
	var info counterfoil.Info
	w := httptest.NewRecorder()
	m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := m.FromContext(r.Context())
		if err := s.SignIn(id); err != nil {
			t.Fatalf("sessiontest: sign in: %v", err)
		}
		info = s.Info()
	})).ServeHTTP(w, httptest.NewRequest("POST", "/", nil))
	Follow(t, w.Result(), r)
	return info
}

// Follow does to the cookies of the next request what an answer asks of a browser: those that it set
// are there, those that it cleared are gone. It knows nothing of paths, domains and times.
func Follow(t testing.TB, answer *http.Response, next *http.Request) {
	t.Helper()
	jar := map[string]string{}
	var order []string
	for _, c := range next.Cookies() {
		jar[c.Name] = c.Value
		order = append(order, c.Name)
	}
	for _, c := range answer.Cookies() {
		if _, known := jar[c.Name]; !known {
			order = append(order, c.Name)
		}
		jar[c.Name] = c.Value
		if c.MaxAge < 0 {
			delete(jar, c.Name)
		}
	}
	var pairs []string
	for _, name := range order {
		if value, ok := jar[name]; ok {
			pairs = append(pairs, name+"="+value)
			delete(jar, name)
		}
	}
	next.Header.Del("Cookie")
	if len(pairs) > 0 {
		next.Header.Set("Cookie", strings.Join(pairs, "; "))
	}
}
