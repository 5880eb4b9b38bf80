package postgres_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/sessiontest"
)

// Two nodes on one database see each other's values.
func TestTwoManagers(t *testing.T) {
	dsn := empty(t)
	clock := sessiontest.NewClock(noon)
	keys, err := keyring.Generate(noon, nil)
	if err != nil {
		t.Fatal(err)
	}
	note := counterfoil.NewKey[string]("note")
	var nodes [2]*counterfoil.Manager
	for i := range nodes {
		nodes[i], err = counterfoil.New(context.Background(), counterfoil.Config{Store: open(t, dsn), Keys: keys, Clock: clock, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = nodes[i].Close(context.Background()) })
	}
	r := httptest.NewRequest("GET", "/", nil)
	sessiontest.SignIn(t, nodes[0], r, counterfoil.Identity{Subject: "alice"})
	at := func(m *counterfoil.Manager, do func(*counterfoil.Session)) {
		m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { do(m.FromContext(r.Context())) })).
			ServeHTTP(httptest.NewRecorder(), r)
	}
	for _, text := range []string{"first", "second"} {
		at(nodes[0], func(s *counterfoil.Session) {
			if err := note.Set(s, text); err != nil {
				t.Error(err)
			}
		})
		at(nodes[1], func(s *counterfoil.Session) {
			if got, err := note.Get(s); got != text || err != nil {
				t.Errorf("the other manager reads %q, %v; want %q", got, err, text)
			}
		})
	}
}
