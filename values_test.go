package counterfoil_test

import (
	"testing"
	"testing/synctest"
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
