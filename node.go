package counterfoil

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// rename gives this node another name, as it needs each time it joins. The name says how long the
// node may trust what it has cached, in milliseconds, and which log its positions are of, so that who
// waits for it needs no other word: "5000.r4nd0m.l0g".
func (m *Manager) rename() error {
	var b [9]byte
	if _, err := io.ReadFull(m.random, b[:]); err != nil {
		return err
	}
	name := strconv.FormatInt(m.leaseLength.Milliseconds(), 10) + "." + tokenEncoding.EncodeToString(b[:])
	log := sha256.Sum256([]byte(m.lease.incarnation))
	name += "." + tokenEncoding.EncodeToString(log[:6])
	m.lease.node.Store(&name)
	return nil
}

// maxLease bounds [Config.Lease].
const maxLease = time.Minute

// leaseOf reads the name of another node, or takes the longest lease there is.
func leaseOf(node string) time.Duration {
	digits, _, _ := strings.Cut(node, ".")
	ms, err := strconv.ParseUint(digits, 10, 32)
	if err != nil || ms == 0 {
		return maxLease
	}
	return min(time.Duration(ms)*time.Millisecond, maxLease)
}

// logOf reads of which log the positions are that another node acknowledges; "": it does not say. A
// server that took over without the last changes gives their positions to others.
func logOf(node string) string {
	_, rest, _ := strings.Cut(node, ".")
	_, log, _ := strings.Cut(rest, ".")
	return log
}

var errClosed = errors.New("the manager is closed")

// join registers this node in the store, before it asks for anything, and learns where the log and
// the clock stand.
func (m *Manager) join(ctx context.Context, clock Clock) (seen sighting, err error) {
	l := m.lease
	l.turn <- struct{}{}
	defer func() { <-l.turn }()
	known, err := m.store.Log(ctx, 0, 0)
	if err != nil {
		return seen, fmt.Errorf("counterfoil: the store's log cannot be read: %w", err)
	}
	l.incarnation = known.Incarnation // should it be another by the poll, the next one finds out
	if err := m.rename(); err != nil {
		return seen, err
	}
	_, sent := clock.Now()
	page, err := m.store.Poll(ctx, Poll{Node: l.name()})
	wall, got := clock.Now()
	if err != nil {
		return seen, fmt.Errorf("counterfoil: the store's log cannot be read: %w", err)
	}
	l.applied, l.told = page.Head, page.Head
	return sighting{store: page.Now, sent: sent, got: got, wall: wall}, nil
}

// leave gives this node's lease up for good, and only then says so: nobody needs to wait for it.
func (m *Manager) leave(ctx context.Context) error {
	l := m.lease
	l.turn <- struct{}{}
	defer func() { <-l.turn }()
	l.left = true
	l.lapse()
	if !m.shared {
		return nil
	}
	ctx, cancel := m.storeContext(ctx)
	defer cancel()
	m.resignFormer(ctx)
	if err := m.resign(ctx, l.name()); err != nil {
		return fmt.Errorf("counterfoil: this node could not leave the store; who waits for a revocation waits for its lease: %w", err)
	}
	return nil
}

// everything is a position that no log reaches.
const everything = 1<<53 - 1

// resign gives up a name under which this node has no lease any more. What it acknowledges says that
// nobody needs to wait for it; whom another one fences may have a lease.
func (m *Manager) resign(ctx context.Context, name string) error {
	if _, err := m.store.Poll(ctx, Poll{Node: name, Acked: everything}); err != nil && !errors.Is(err, ErrFenced) {
		return err
	}
	return m.store.Fence(ctx, name)
}

// acknowledgeSoon polls once more in a moment, so that who waits for a revocation learns early that
// it is in force here. Several share one poll.
func (m *Manager) acknowledgeSoon() {
	if m.lease.acking.Swap(true) {
		return
	}
	m.background.after(m.leaseLength/20, func() {
		m.lease.acking.Store(false)
		m.pollOnce(m.poll)
	})
}
