package cli

import (
	"bytes"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/sessiontest"
)

// Where nobody looks on, what takes long says every half minute how far it is, and what does not says
// nothing.
func TestProgressInALog(t *testing.T) {
	var log bytes.Buffer
	clock := sessiontest.NewClock(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC))
	c := &call{Process: Process{Stderr: &log}, clock: clock}
	show, over := c.progress()
	for n := range 95 {
		show("sessions copied", n)
		clock.Advance(time.Second)
	}
	over()
	if want := "sessions copied: 30\nsessions copied: 60\nsessions copied: 90\n"; log.String() != want {
		t.Errorf("%q, want %q", &log, want)
	}
}
