package cluster_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/sessiontest"
)

// What one node writes the other reads at once, 10,000 times, alternating: values are never served
// from a node's memory. T22
func TestValuesOverManagers(t *testing.T) {
	onEveryServer(t, func(t *testing.T, on *backend) {
		clock := counterfoil.SystemClock()
		now, _ := clock.Now()
		keys, err := keyring.Generate(now, nil)
		if err != nil {
			t.Fatal(err)
		}
		word, count := counterfoil.NewKey[int]("word"), counterfoil.NewKey[int]("count")
		var nodes [2]*counterfoil.Manager
		for i := range nodes {
			store, err := on.open(on.dsn(newProxy(t, on.socket()).address()))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { store.Close() })
			if nodes[i], err = counterfoil.New(t.Context(), counterfoil.Config{Store: store, Keys: keys, Clock: clock, Logger: slog.New(slog.DiscardHandler)}); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { nodes[i].Close(context.Background()) })
		}
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		sessiontest.SignIn(t, nodes[0], r, counterfoil.Identity{Subject: "alice"})
		at := func(m *counterfoil.Manager, do func(*counterfoil.Session) error) {
			m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if err := do(m.FromContext(r.Context())); err != nil {
					t.Error(err)
				}
			})).ServeHTTP(httptest.NewRecorder(), r)
		}
		const times = 10_000
		for n := 1; n <= times && !t.Failed(); n++ {
			writer, reader := nodes[n%2], nodes[1-n%2]
			at(writer, func(s *counterfoil.Session) error {
				if n%100 == 0 { // by key: what the other wrote stands
					return count.Update(s, func(had int) (int, error) { return had + 1, nil })
				}
				return word.Set(s, n)
			})
			at(reader, func(s *counterfoil.Session) error {
				want := n
				if n%100 == 0 {
					want-- // this turn was the other key's
				}
				got, err := word.Get(s)
				if err == nil && got != want {
					err = fmt.Errorf("turn %d: the other node reads %d", n, got)
				}
				return err
			})
		}
		at(nodes[0], func(s *counterfoil.Session) error {
			got, err := count.Get(s)
			if err == nil && got != times/100 {
				err = fmt.Errorf("%d updates, want %d", got, times/100)
			}
			return err
		})
	})
}

// The same through three processes and the demo application. T22
func TestValuesOverProcesses(t *testing.T) {
	onEveryServer(t, func(t *testing.T, on *backend) {
		c := newCluster(t, on)
		cookie, _ := c.nodes[0].signIn("alice")
		for n := range 300 {
			i := rand.IntN(len(c.nodes))
			writer, reader := c.nodes[i], c.nodes[(i+1+rand.IntN(len(c.nodes)-1))%len(c.nodes)]
			text := fmt.Sprint("note ", n)
			if answer, body := writer.do(http.MethodPost, "/", cookie, url.Values{"note": {text}}); answer.StatusCode >= 400 {
				t.Fatalf("node %s: %d %s", writer.name, answer.StatusCode, body)
			}
			var got struct{ Note string }
			answer, body := reader.do(http.MethodGet, "/", cookie, nil)
			if err := json.Unmarshal([]byte(body), &got); err != nil || got.Note != text {
				t.Fatalf("node %s wrote %q, node %s answers %d: %s", writer.name, text, reader.name, answer.StatusCode, body)
			}
		}
	})
}
