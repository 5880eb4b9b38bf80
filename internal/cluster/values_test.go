package cluster_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/sessiontest"
)

// managers are two managers in this process with a store each, on one server.
func managers(t *testing.T, on *backend) (nodes [2]*counterfoil.Manager) {
	t.Helper()
	clock := counterfoil.SystemClock()
	now, _ := clock.Now()
	keys, err := keyring.Generate(now, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range nodes {
		store, err := on.open(on.way(t).dsn)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { store.Close() })
		if nodes[i], err = counterfoil.New(t.Context(), counterfoil.Config{Store: store, Keys: keys, Clock: clock, Logger: slog.New(slog.DiscardHandler)}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nodes[i].Close(context.Background()) })
	}
	return nodes
}

// at runs do in a request to a manager.
func at(m *counterfoil.Manager, r *http.Request, do func(*counterfoil.Session)) {
	m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { do(m.FromContext(r.Context())) })).
		ServeHTTP(httptest.NewRecorder(), r)
}

// sure is at, and again as long as the store does not answer in time.
func sure(t *testing.T, m *counterfoil.Manager, r *http.Request, do func(*counterfoil.Session) error) {
	t.Helper()
	for start := time.Now(); ; {
		w := httptest.NewRecorder()
		m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := do(m.FromContext(r.Context())); errors.Is(err, counterfoil.ErrUnavailable) {
				w.WriteHeader(http.StatusServiceUnavailable)
			} else if err != nil {
				t.Error(err)
			}
		})).ServeHTTP(w, r)
		if w.Code != http.StatusServiceUnavailable {
			return
		}
		if time.Since(start) > patience {
			t.Fatal("the store does not answer")
		}
	}
}

// What one node writes the other reads at once, 10,000 times, alternating: values are never served
// from a node's memory, and what one writes under a key leaves what the other wrote under its own.
func TestValuesOverManagers(t *testing.T) {
	onEveryStore(t, func(t *testing.T, on *backend) {
		nodes := managers(t, on)
		word, count := counterfoil.NewKey[int]("word"), counterfoil.NewKey[int]("count")
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		sessiontest.SignIn(t, nodes[0], r, counterfoil.Identity{Subject: "alice"})
		for n := 1; n <= on.turns && !t.Failed(); n++ {
			key := word
			if n%10 == 0 {
				key = count
			}
			sure(t, nodes[n%2], r, func(s *counterfoil.Session) error { return key.Set(s, n) })
			sure(t, nodes[1-n%2], r, func(s *counterfoil.Session) error {
				words, err1 := word.Get(s)
				counts, err2 := count.Get(s)
				if err := errors.Join(err1, err2); err != nil {
					return err
				}
				wantWords, wantCounts := n, n-n%10
				if n == wantCounts {
					wantWords--
				}
				if words != wantWords || counts != wantCounts {
					t.Errorf("turn %d: the other node reads %d and %d", n, words, counts)
				}
				return nil
			})
		}
	})
}

// 200 updates of one value, half of them at each of two nodes, several at once: none is lost, and
// whoever is told to try again, because too many others were faster, is few. PD9
func TestUpdatesOverManagers(t *testing.T) {
	onEveryStore(t, func(t *testing.T, on *backend) {
		nodes := managers(t, on)
		count := counterfoil.NewKey[int]("count")
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		sessiontest.SignIn(t, nodes[0], r, counterfoil.Identity{Subject: "alice"})
		var done, refused, unknown atomic.Int32
		var writing sync.WaitGroup
		for i := range 10 {
			writing.Go(func() {
				for range 20 {
					at(nodes[i%2], r.Clone(context.Background()), func(s *counterfoil.Session) {
						switch err := count.Update(s, func(n int) (int, error) { return n + 1, nil }); {
						case err == nil:
							done.Add(1)
						case errors.Is(err, counterfoil.ErrConflict): // not done
							refused.Add(1)
						case errors.Is(err, counterfoil.ErrUnavailable): // done or not
							unknown.Add(1)
						default:
							t.Error(err)
						}
					})
				}
			})
		}
		writing.Wait()
		for _, m := range nodes {
			at(m, r, func(s *counterfoil.Session) {
				if got, err := count.Get(s); err != nil || got < int(done.Load()) || got > int(done.Load()+unknown.Load()) || done.Load() < 100 {
					t.Errorf("%d after %d updates, %d that were refused and %d that nobody knows of, %v", got, done.Load(), refused.Load(), unknown.Load(), err)
				}
			})
		}
		t.Logf("%d updates, %d told to try again, %d unknown", done.Load(), refused.Load(), unknown.Load())
	})
}

// The same through three processes and the demo application. T22
func TestValuesOverProcesses(t *testing.T) {
	onEveryStore(t, func(t *testing.T, on *backend) {
		c := newCluster(t, on, roomy)
		cookie, _ := c.nodes[0].signIn("alice")
		for n := range 300 {
			i := rand.IntN(len(c.nodes))
			writer, reader := c.nodes[i], c.nodes[(i+1+rand.IntN(len(c.nodes)-1))%len(c.nodes)]
			text := fmt.Sprint("note ", n)
			if answer, body := writer.sure(http.MethodPost, "/", cookie, url.Values{"note": {text}}); answer.StatusCode >= 400 {
				t.Fatalf("node %s: %d %s\n%s", writer.name, answer.StatusCode, body, writer.said())
			}
			var got struct{ Note string }
			answer, body := reader.sure(http.MethodGet, "/", cookie, nil)
			if err := json.Unmarshal([]byte(body), &got); err != nil || got.Note != text {
				t.Fatalf("node %s wrote %q, node %s answers %d: %s\n%s", writer.name, text, reader.name, answer.StatusCode, body, reader.said())
			}
		}
	})
}
