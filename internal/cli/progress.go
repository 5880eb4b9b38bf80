package cli

import (
	"fmt"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil/internal/transfer"
)

const showEvery = 100 * time.Millisecond

// progress shows on a terminal how far something is, in one line that over takes away; elsewhere it
// says nothing.
func (c *call) progress() (show transfer.Progress, over func()) {
	if !terminal(c.Stderr) {
		return nil, func() {}
	}
	var mu sync.Mutex
	shown, last := false, time.Duration(0)
	show = func(what string, done int) {
		mu.Lock()
		defer mu.Unlock()
		if _, now := c.clock.Now(); !shown || now-last >= showEvery {
			shown, last = true, now
			fmt.Fprintf(c.Stderr, "\r\x1b[K%s: %d", what, done)
		}
	}
	return show, func() {
		mu.Lock()
		defer mu.Unlock()
		if shown {
			fmt.Fprint(c.Stderr, "\r\x1b[K")
		}
	}
}
