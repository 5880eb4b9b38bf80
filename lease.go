package counterfoil

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// lease says until when this node may trust its near cache: until L after it last sent a poll that
// proved it had the whole log (R9, R17, R21).
type lease struct {
	length time.Duration // the usable part of L

	sentMono atomic.Int64
	sentWall atomic.Int64

	turn        chan struct{} // holds one while a poll runs; what follows is that poll's
	left        bool          // it is no node any more
	incarnation string
	applied     uint64
	told        uint64      // the part of it that streams know of, too: what may be acknowledged
	former      []string    // names under which that is not yet said
	acking      atomic.Bool // a poll that acknowledges is due
	hinted      atomic.Bool // a poll is due, because of a hint

	node atomic.Pointer[string] // as the store knows this node

	joinMu  sync.Mutex
	running *sharedPoll // nil: none runs
	next    *sharedPoll // to be sent when that is over; nil: nobody asked for one
}

// sharedPoll is one poll for everybody who came before it was sent.
type sharedPoll struct {
	over chan struct{}
	err  error // when it is over
}

// Nodes use the cache only to this part of L, so that "within L" is true.
const (
	leaseUseNum = 98
	leaseUseDen = 100
	clockApart  = 500 * time.Millisecond // how far the two clocks may disagree on an age
	pollPage    = 1000
)

func newLease(l time.Duration) *lease {
	x := &lease{length: l * leaseUseNum / leaseUseDen, turn: make(chan struct{}, 1)}
	x.lapse()
	return x
}

// fresh reports whether the lease holds at now, by both clocks.
func (l *lease) fresh(now instant) bool {
	mono := time.Duration(int64(now.mono) - l.sentMono.Load())
	wall := time.Duration(now.wall - l.sentWall.Load())
	return mono >= 0 && wall >= 0 && mono <= l.length && wall <= l.length && (mono-wall).Abs() <= clockApart
}

func (l *lease) renew(sent instant) {
	l.sentMono.Store(int64(sent.mono))
	l.sentWall.Store(sent.wall)
}

// lapse ends the lease: it was never renewed.
func (l *lease) lapse() { l.sentMono.Store(int64(-24 * time.Hour)) }

func (l *lease) name() string { return *l.node.Load() }

// renewLease waits until the lease is fresh, or until a poll that was sent after the call has failed.
// However many wait, they share one.
func (m *Manager) renewLease(ctx context.Context) error {
	l := m.lease
	l.joinMu.Lock()
	before, ours := l.running, l.next
	send := ours == nil
	if send {
		ours = &sharedPoll{over: make(chan struct{})}
	}
	switch {
	case before == nil:
		l.running = ours
	case send:
		l.next = ours
	}
	l.joinMu.Unlock()
	if !send {
		return l.share(ctx, before, ours, m.clock)
	}
	if before != nil {
		<-before.over // it gives up in time; ours is waited for by others
	}
	if before == nil || !l.fresh(m.clock.now()) {
		ours.err = m.poll(ctx)
	}
	l.joinMu.Lock()
	l.running, l.next = l.next, nil
	l.joinMu.Unlock()
	close(ours.over)
	return ours.err
}

// share waits for what others send: a poll that runs may do, the one after it has to.
func (l *lease) share(ctx context.Context, before, ours *sharedPoll, clock *sessionClock) error {
	for _, p := range []*sharedPoll{before, ours} {
		select {
		case <-p.over:
		case <-ctx.Done():
			return ctx.Err()
		}
		if l.fresh(clock.now()) {
			return nil
		}
	}
	return ours.err
}

// poll reads what is new in the log, applies it, and renews the lease from the moment it was sent.
func (m *Manager) poll(ctx context.Context) error {
	l := m.lease
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return fmt.Errorf("%w: poll: %w", ErrUnavailable, ctx.Err())
	}
	// One that is not answered when the next is due is given up: its connection may be half open, and
	// another has to prove the log before the lease ends.
	ctx, cancel := context.WithTimeout(ctx, max(m.leaseLength/3, time.Second))
	defer cancel()
	if l.left {
		return fmt.Errorf("%w: poll: %w", ErrUnavailable, errClosed)
	}
	m.missKeys()
	sent := m.clock.now()
	for again := 0; ; {
		if m.watches.told() {
			l.told = l.applied
		}
		page, err := m.sendPoll(ctx, Poll{Node: l.name(), Since: l.applied, Acked: l.told, Max: pollPage})
		switch {
		case errors.Is(err, ErrFenced):
			l.lapse()
			m.forgetAll(ReasonFenced, "this node was shut out, because it had not polled for a whole lease; it joins again")
			if err := m.rename(); err != nil {
				return err
			}
			continue
		case err != nil && !errors.Is(err, ErrGap):
			return fmt.Errorf("%w: poll: %w", ErrUnavailable, err)
		case page.Incarnation != l.incarnation || page.Head < l.applied:
			if again++; again > 2 {
				return fmt.Errorf("%w: poll: two logs answer in turn", ErrUnavailable)
			}
			if err := m.changeLog(page); err != nil {
				return err
			}
			continue
		case errors.Is(err, ErrGap):
			m.forgetAll(ReasonGap, "the log no longer reaches back to what this node had read")
			l.applied = page.Head
			l.renew(sent)
			return nil
		}
		// The lease counts from the first page of a backlog: all of that was there when it was sent.
		for i := range page.Entries {
			e := &page.Entries[i]
			m.apply(e)
			l.applied = e.Seq // only now may the next poll acknowledge it
			if m.shared && e.Kind.ends() {
				m.lag.applied(e, m.clock.now())
				m.acknowledgeSoon()
			}
		}
		if l.applied >= page.Head || len(page.Entries) == 0 {
			l.renew(sent)
			if m.watches.told() { // not before: whoever waits must see this name, or that all it was to bring is here
				m.resignFormer(ctx)
			}
			return nil
		}
	}
}

// changeLog begins with another log than the one that this node has read. It joins that anew: what it
// has acknowledged are positions of the old one, which the new one has yet to give to ends that
// somebody waits for.
func (m *Manager) changeLog(page Page) error {
	l := m.lease
	l.lapse()
	m.forgetAll(ReasonIncarnation, "the log has another incarnation: the store was restored or failed over")
	l.incarnation, l.applied, l.told = page.Incarnation, page.Head, 0
	l.former = append(l.former, l.name())
	return m.rename()
}

// resignFormer gives up the names of before the log was another one, now that all streams know what
// ended meanwhile. The store may not take that now: until the next poll whoever waits for such a name does
// so for a lease, and then calls this node silent.
func (m *Manager) resignFormer(ctx context.Context) {
	m.lease.former = slices.DeleteFunc(m.lease.former, func(name string) bool {
		err := m.resign(ctx, name)
		if err != nil {
			m.unavailable("fence", err)
		}
		return err == nil
	})
}

// apply drops what a log entry makes stale, and ends the streams that hang on what it ends.
func (m *Manager) apply(e *Entry) {
	switch e.Kind {
	case EntryCreated:
		m.flood.created(e.Session)
	case EntryChanged:
		m.cache.dropBelow(e.Session, e.Revision)
	case EntryEnded, EntryEndedSubject, EntryEndedAll:
		m.cache.dropEnded(e)
		m.watches.end(e)
	}
}

// sendPoll asks the store, and learns its time by the way.
func (m *Manager) sendPoll(ctx context.Context, p Poll) (Page, error) {
	_, sent := m.clock.Now()
	page, err := m.store.Poll(ctx, p)
	if err == nil || errors.Is(err, ErrGap) {
		wall, got := m.clock.Now()
		m.seeClock(sighting{store: page.Now, sent: sent, got: got, wall: wall})
	}
	return page, err
}

// forgetAll empties the cache, voids the loads under way, asks again for tokens that were found dead, and
// looks after every stream, in the background: the lease does not wait for them, what this node
// acknowledges does.
func (m *Manager) forgetAll(why Reason, words string) {
	m.cache.flush()
	m.flood.forgetDead()
	m.doubtStreams()
	m.observe(Event{Kind: EventLog, Reason: why, Time: m.clock.now().time()})
	m.log.Warn("session cache dropped", "why", words)
}

// pollForever polls every third of L, with jitter so that nodes do not beat together.
func (m *Manager) pollForever() {
	m.background.after(m.jitter(m.leaseLength/3), func() {
		m.pollOnce(m.renewLease)
		m.pollForever()
	})
}

func (m *Manager) pollOnce(poll func(context.Context) error) (done bool) {
	ctx, cancel := m.storeContext(context.Background())
	defer cancel()
	if err := poll(ctx); err != nil {
		m.unavailable("poll", err)
		return false
	}
	return true
}
