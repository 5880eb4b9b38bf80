package counterfoil

import (
	"sync"
	"time"
)

// background runs a manager's delayed work by its clock and lets Close wait for it.
type background struct {
	clock   Clock
	mu      sync.Mutex
	closed  bool
	next    int
	pending map[int]func() bool // stop functions of what has not begun
	running sync.WaitGroup
}

func newBackground(c Clock) *background {
	return &background{clock: c, pending: make(map[int]func() bool)}
}

// after runs f once after d, unless the manager is closed or stop is called first.
func (b *background) after(d time.Duration, f func()) (stop func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return func() {}
	}
	b.next++
	n := b.next
	b.pending[n] = b.clock.AfterFunc(d, func() {
		b.mu.Lock()
		delete(b.pending, n)
		if b.closed {
			b.mu.Unlock()
			return
		}
		b.running.Add(1)
		b.mu.Unlock()
		defer b.running.Done()
		f()
	})
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if stop, waits := b.pending[n]; waits {
			stop()
			delete(b.pending, n)
		}
	}
}

// close stops what has not begun and waits for what runs.
func (b *background) close() {
	b.mu.Lock()
	b.closed = true
	for _, stop := range b.pending {
		stop()
	}
	clear(b.pending)
	b.mu.Unlock()
	b.running.Wait()
}
