package counterfoil_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/sessiontest"
)

// timers counts the appointments that a manager holds.
type timers struct {
	counterfoil.Clock
	held atomic.Int64
}

func (c *timers) AfterFunc(d time.Duration, f func()) func() bool {
	c.held.Add(1)
	stop := c.Clock.AfterFunc(d, func() { c.held.Add(-1); f() })
	return func() bool {
		stopped := stop()
		if stopped {
			c.held.Add(-1)
		}
		return stopped
	}
}

// A visitor who opens and closes streams leaves nothing behind, and one stream holds one appointment
// however long it lasts: else memory would grow with every request until the session's end.
func TestStreamsLeaveNothingBehind(t *testing.T) { // P98
	var count *timers
	m, clock := sessiontest.New(t, func(c *counterfoil.Config) {
		count = &timers{Clock: c.Clock}
		c.Clock = count
	})
	token, _ := tokenOf(t, m, "alice")
	stream := func(during func()) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Cookie", "__Host-Http-session="+token)
		m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			m.FromContext(r.Context()).Done()
			during()
		})).ServeHTTP(httptest.NewRecorder(), r)
	}
	clock.Advance(2 * time.Second)
	before := count.held.Load()
	for range 100 {
		stream(func() {})
	}
	if n := count.held.Load(); n != before {
		t.Errorf("100 streams left %d appointments", n-before)
	}
	stream(func() {
		clock.Advance(time.Second) // the first look is over
		stream(func() {})
		for range 3 { // each time the end seems near, and then is not
			stream(func() { clock.Advance(20 * time.Minute) })
		}
		if n := count.held.Load(); n > before+1 {
			t.Errorf("one stream holds %d appointments", n-before)
		}
	})
}
