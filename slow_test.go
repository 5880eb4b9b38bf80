package counterfoil_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/sessiontest"
	"github.com/counterfoil/counterfoil/store/memory"
)

// stuckStore does not answer loads of one session before it is let go.
type stuckStore struct {
	counterfoil.Store
	slow  counterfoil.ID
	once  sync.Once
	asked chan struct{} // closed when it is asked for that session
	goOn  chan struct{}
	loads atomic.Int32 // of that session
}

func (s *stuckStore) Load(ctx context.Context, id counterfoil.ID) (*counterfoil.Record, error) {
	if id == s.slow {
		s.loads.Add(1)
		s.once.Do(func() { close(s.asked) })
		<-s.goOn
	}
	return s.Store.Load(ctx, id)
}

// P31: a call of the store that takes long holds up whoever needs its answer and nobody else: others are
// read, cold and warm, sign in, save and are ended meanwhile.
func TestSlowCallHoldsUpNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys, err := keyring.Generate(time.Unix(2e9, 0), nil)
		if err != nil {
			t.Fatal(err)
		}
		shared := memory.New(memory.Options{})
		manager := func(s counterfoil.Store) *counterfoil.Manager {
			m, err := counterfoil.New(t.Context(), counterfoil.Config{Store: s, Keys: keys, Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { m.Close(context.Background()) })
			return m
		}
		signIn := func(m *counterfoil.Manager, subject string) (*http.Request, counterfoil.ID) {
			r := httptest.NewRequest("GET", "/", nil)
			return r, sessiontest.SignIn(t, m, r, counterfoil.Identity{Subject: subject}).ID
		}
		first := manager(shared)
		waits, id := signIn(first, "alice")
		var others []*http.Request
		for range 3 {
			for _, subject := range []string{"alice", "bob", "carol"} {
				r, _ := signIn(first, subject)
				others = append(others, r)
			}
		}
		s := &stuckStore{Store: shared, slow: id, asked: make(chan struct{}), goOn: make(chan struct{})}
		m := manager(s) // knows none of them
		verdict := make(chan counterfoil.Verdict)
		go func() {
			_, v := m.Check(waits)
			verdict <- v
		}()
		<-s.asked
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 2 {
				for i, r := range others {
					if _, v := m.Check(r); v != counterfoil.Valid {
						t.Errorf("session %d meanwhile: %v", i, v)
					}
				}
			}
			note := counterfoil.NewKey[string]("note")
			m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if err := note.Set(m.FromContext(r.Context()), "meanwhile"); err != nil {
					t.Error("a value meanwhile:", err)
				}
			})).ServeHTTP(httptest.NewRecorder(), others[0])
			late, _ := signIn(m, "alice")
			if _, err := m.Revoke(t.Context(), counterfoil.AllOf("bob"), counterfoil.ReasonRevoked); err != nil {
				t.Error("an end meanwhile:", err)
			}
			if _, v := m.Check(late); v != counterfoil.Valid {
				t.Error("who signed in meanwhile:", v)
			}
			if _, v := m.Check(others[1]); v != counterfoil.Invalid {
				t.Error("who was ended meanwhile:", v)
			}
		}()
		select {
		case <-done:
		case v := <-verdict:
			t.Error("the slow call was not waited for:", v)
		case <-time.After(time.Second): // all wait
			t.Error("one slow call holds up the others")
		}
		close(s.goOn)
		if v := <-verdict; v != counterfoil.Valid {
			t.Error("who waited:", v)
		}
	})
}

// However many ask for a session that the node does not know, the store is asked once, and its answer is
// good for those who came before it alone: whoever comes later asks anew. R10
func TestMissesShareOneRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stuckStore{asked: make(chan struct{}), goOn: make(chan struct{})}
		m, _ := sessiontest.New(t, func(c *counterfoil.Config) {
			s.Store, c.Store = c.Store, s
			c.CacheBytes = -1 // nothing is kept
		})
		r := httptest.NewRequest("GET", "/", nil)
		s.slow = sessiontest.SignIn(t, m, r, counterfoil.Identity{Subject: "alice"}).ID
		got := make([]counterfoil.Verdict, 50)
		var asking sync.WaitGroup
		for i := range got {
			asking.Go(func() { _, got[i] = m.Check(r.Clone(context.Background())) })
		}
		synctest.Wait()
		close(s.goOn)
		asking.Wait()
		for i, v := range got {
			if v != counterfoil.Valid {
				t.Errorf("request %d: %v", i, v)
			}
		}
		if n := s.loads.Load(); n != 1 {
			t.Errorf("%d requests at once: the store was asked %d times", len(got), n)
		}
		if _, v := m.Check(r); v != counterfoil.Valid || s.loads.Load() != 2 {
			t.Errorf("later: %v, asked %d times in all", v, s.loads.Load())
		}
	})
}
