package counterfoil_test

import (
	"errors"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/sessiontest"
)

// A request reads what was acknowledged before it came, also while a read that another request began
// earlier is still under way. Found by the simulation: they shared one.
func TestG5ReadsDoNotShareTheirPast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		here, there := c.nodes[0], c.nodes[1]
		token := here.signIn(t, "alice")
		slow := here.get("/count", token, func(x *exchange) { x.hold = "Load/answer" })
		if w := there.at("POST", "/count", token); w.Code != 200 {
			t.Fatalf("adding one elsewhere: %d", w.Code)
		}
		got := "nothing"
		go func() { got = here.at("GET", "/count", token).Body.String() }()
		synctest.Wait() // it has its answer, or waits for the slow one's
		slow.goOn()
		synctest.Wait()
		if got != "I" {
			t.Errorf("after one addition a read shows %q", got)
		}
	})
}

// What a request has saved the next one reads, though somebody else's sessions were ended just then:
// what was cached before the save is older, whatever becomes of the save's own copy.
func TestSavedWhileOthersEnd(t *testing.T) {
	var meanwhile func()
	m, _ := sessiontest.New(t, func(c *counterfoil.Config) {
		c.Store = sessiontest.Flaky(c.Store, func(method string) error {
			if method == "Update/answer" && meanwhile != nil {
				meanwhile()
			}
			return nil
		})
	})
	alice, _ := signIn(t, m, "alice")
	during(t, m, alice, func(s *counterfoil.Session) { note.Set(s, "old") })
	meanwhile = func() {
		if _, err := m.Revoke(t.Context(), counterfoil.AllOf("bob"), counterfoil.ReasonRevoked); err != nil {
			t.Error(err)
		}
	}
	during(t, m, alice, func(s *counterfoil.Session) { note.Set(s, "new") })
	meanwhile = nil
	during(t, m, alice, func(s *counterfoil.Session) {
		if got, err := note.Get(s); got != "new" || err != nil {
			t.Errorf("after it was saved a read shows %q, %v", got, err)
		}
		note.Set(s, "old")
	})
	during(t, m, alice, func(s *counterfoil.Session) {
		if got, err := note.Get(s); got != "old" || err != nil {
			t.Errorf("after it was set back a read shows %q, %v", got, err)
		}
	})
}

// A save whose answer was lost may have happened: what was cached before it is asked for again. The
// session itself stays warm.
func TestSavedWithoutAnswer(t *testing.T) {
	lost, loads := false, 0
	m, _ := sessiontest.New(t, func(c *counterfoil.Config) {
		c.Store = sessiontest.Flaky(c.Store, func(method string) error {
			if method == "Load" {
				loads++
			}
			if method == "Update/answer" && lost {
				return errors.New("connection broken")
			}
			return nil
		})
	})
	alice, _ := signIn(t, m, "alice")
	during(t, m, alice, func(s *counterfoil.Session) { note.Set(s, "old") })
	lost = true
	if a := during(t, m, alice, func(s *counterfoil.Session) { note.Set(s, "new") }); a.StatusCode != http.StatusServiceUnavailable {
		t.Fatalf("without an answer: %d", a.StatusCode)
	}
	lost, loads = false, 0
	if _, v := m.Check(alice); v != counterfoil.Valid || loads != 0 {
		t.Errorf("the session is checked by %d reads: %v", loads, v)
	}
	during(t, m, alice, func(s *counterfoil.Session) {
		if got, err := note.Get(s); got != "new" || err != nil {
			t.Errorf("after it was saved a read shows %q, %v", got, err)
		}
	})
}
