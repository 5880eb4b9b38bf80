package cli

import (
	"fmt"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil/internal/transfer"
)

const (
	showEvery = 100 * time.Millisecond
	lineEvery = 30 * time.Second
)

// progress shows how far something is: on a terminal in one line that over takes away, elsewhere, as
// in a log, by a line now and then if it takes long.
func (c *call) progress() (show transfer.Progress, over func()) {
	var mu sync.Mutex
	if !terminal(c.Stderr) {
		_, last := c.clock.Now()
		return func(what string, done int) {
			mu.Lock()
			defer mu.Unlock()
			if _, now := c.clock.Now(); now-last >= lineEvery {
				last = now
				fmt.Fprintf(c.Stderr, "%s: %d\n", what, done)
			}
		}, func() {}
	}
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
