package blob

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil"
)

// call is one method of the store on its way through the journal.
type call struct {
	ctx  context.Context
	do   func(*tx) error // may run several times, on states that turn out to be old
	done chan struct{}
	err  error
}

// none is the answer of calls that have none.
type none struct{}

// ask runs do on the newest state, commits what it changes, and returns its answer. do must not
// touch what the caller owns: the caller may have gone.
func ask[T any](ctx context.Context, s *Store, do func(*tx) (T, error)) (T, error) {
	var zero, answer T
	if err := ctx.Err(); err != nil {
		return zero, fmt.Errorf("blob: %w", err)
	}
	c := &call{ctx: ctx, done: make(chan struct{})}
	c.do = func(t *tx) (err error) {
		answer, err = do(t)
		return err
	}
	select {
	case <-s.closing:
		return zero, ErrClosed
	default:
	}
	select {
	case s.calls <- c:
	case <-s.closing:
		return zero, ErrClosed
	case <-ctx.Done():
		return zero, fmt.Errorf("blob: %w", ctx.Err())
	}
	select {
	case <-c.done:
		if c.err != nil {
			return zero, c.err
		}
		return answer, nil
	case <-ctx.Done():
		return zero, fmt.Errorf("blob: %w", ctx.Err())
	}
}

const (
	roundCalls = 1000    // calls in one object at most
	roundBytes = 4 << 20 // and about so many bytes
	roundTime  = 20 * time.Second
)

// work runs rounds until the store is closed. It alone touches the state.
func (s *Store) work() {
	defer close(s.stopped)
	for {
		select {
		case c := <-s.calls:
			s.round(s.more(c))
		case <-s.closing:
			return
		}
	}
}

// more adds the calls that wait already.
func (s *Store) more(first *call) []*call {
	calls := []*call{first}
	for len(calls) < roundCalls {
		select {
		case c := <-s.calls:
			calls = append(calls, c)
		default:
			return calls
		}
	}
	return calls
}

// waitedFor returns a context for what is done for calls: it ends when the last of those who wait has
// gone. Where a connection says nothing any more, the next round then begins with another.
func waitedFor(ctx context.Context, calls []*call) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	var left atomic.Int64
	left.Store(int64(len(calls)))
	stops := make([]func() bool, len(calls))
	for i, c := range calls {
		stops[i] = context.AfterFunc(c.ctx, func() {
			if left.Add(-1) == 0 {
				cancel()
			}
		})
	}
	return ctx, func() {
		for _, stop := range stops {
			stop()
		}
		cancel()
	}
}

// round answers calls together. They are run on the state as this node knows it; then either one
// object with all their changes takes the next free place of the journal, or, if nothing changes, a
// read shows that the place is still free. Both prove that the state was the newest. If the place
// was taken, everything is run again on top of what took it.
func (s *Store) round(calls []*call) {
	ctx, cancel := context.WithTimeout(s.context, roundTime)
	defer cancel()
	waited, over := waitedFor(ctx, calls)
	defer over()
	for behind := 0; len(calls) > 0; {
		var left []*call
		var there *batch
		err := s.current(ctx)
		if err == nil {
			left, there, err = s.attempt(waited, calls)
		}
		if there != nil && err == nil {
			if err = s.state.follow(there); err == nil && behind > 0 {
				err = s.catchUp(waited) // not by one object only
			}
			if behind++; err == nil {
				continue
			}
			left = nil
		}
		for _, c := range calls[:len(calls)-len(left)] {
			if err != nil {
				c.err = err
			}
			close(c.done)
		}
		calls, behind = left, 0
	}
	s.snapshotIfDue()
}

// attempt runs calls and commits them. It returns those for which there was no room. If another
// node's object is there, nothing has happened.
func (s *Store) attempt(ctx context.Context, calls []*call) (left []*call, there *batch, err error) {
	t := &tx{s: s.state, id: s.requests.next()}
	for i, c := range calls {
		if t.size > roundBytes {
			left = calls[i:]
			break
		}
		if c.err = c.ctx.Err(); c.err != nil {
			c.err = fmt.Errorf("blob: %w", c.err)
			continue
		}
		mark := len(t.changes)
		if c.err = c.do(t); c.err == nil {
			c.err = t.fault
		}
		if c.err != nil {
			t.back(mark)
			t.fault = nil
		}
	}
	if there, err = s.commit(ctx, t); there != nil || err != nil {
		t.back(0)
	}
	return left, there, err
}

// commit writes the changes as the next object, or proves that there is none; else it returns the
// one that is there.
func (s *Store) commit(ctx context.Context, t *tx) (there *batch, err error) {
	n, sent := s.state.n+1, s.now()
	if len(t.changes) == 0 {
		there, err = readBatch(ctx, s.bucket.get, n)
		if errors.Is(err, errAbsent) {
			err = s.verified(sent)
		}
		return there, err
	}
	b := batch{n: n, prev: s.state.last, id: writeID(t.id), changes: t.changes}
	data := b.encode()
	if len(data) > maxObject {
		return nil, fmt.Errorf("blob: a change of %d MiB; %d are allowed", len(data)>>20, maxObject>>20)
	}
	err = s.bucket.create(under(ctx, t.id), numbered(journalDir, n), data)
	if errors.Is(err, errTaken) {
		// Perhaps by ourselves, if an earlier answer was lost.
		if there, err = readBatch(ctx, s.bucket.taken, n); err == nil && there.id != b.id {
			return there, nil
		}
	}
	if err == nil {
		err = s.verified(sent)
	}
	if err != nil {
		return nil, err
	}
	s.state.n, s.state.last = b.n, b.id
	return nil, nil
}

// readBatch reads one object of the journal. errAbsent.
func readBatch(ctx context.Context, get func(context.Context, string) ([]byte, error), n uint64) (*batch, error) {
	data, err := get(ctx, numbered(journalDir, n))
	if err != nil {
		return nil, err
	}
	b, err := decodeBatch(data)
	if err == nil && b.n != n {
		err = fmt.Errorf("%w (object %d of the journal says that it is %d)", ErrDamaged, n, b.n)
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}

// follow applies the next object of the journal.
func (st *state) follow(b *batch) error {
	if b.n != st.n+1 || st.n > 0 && b.prev != st.last {
		return fmt.Errorf("%w (object %d of the journal does not follow)", ErrDamaged, b.n)
	}
	if err := st.make(b.changes); err != nil {
		return err
	}
	st.n, st.last = b.n, b.id
	return nil
}

// make applies changes, all or none.
func (st *state) make(changes []change) error {
	t := tx{s: st}
	for _, c := range changes {
		if t.set(c.kind, c.key, c.value); t.fault != nil {
			t.back(0)
			return t.fault
		}
	}
	return nil
}

// catchUp applies what others wrote, as long as there is more.
func (s *Store) catchUp(ctx context.Context) error {
	for {
		b, err := readBatch(ctx, s.bucket.get, s.state.n+1)
		if errors.Is(err, errAbsent) {
			return nil
		}
		if err == nil {
			err = s.state.follow(b)
		}
		if err != nil {
			return err
		}
	}
}

// Old objects of the journal are removed an hour after a snapshot took their place. A node that has
// not looked for so long could take a removed object for one that is not there yet; after half that
// time it begins anew from the newest snapshot.
const (
	keepJournal = time.Hour
	maxBehind   = keepJournal / 2
)

// look is when the storage was asked, by both clocks.
type look struct {
	wall time.Time
	mono time.Duration
}

func (s *Store) now() look {
	wall, mono := s.clock.Now()
	return look{wall, mono}
}

// within reports whether by both clocks less than d has gone by from then to now.
func (l look) within(now look, d time.Duration) bool {
	wall, mono := now.wall.Sub(l.wall), now.mono-l.mono
	return mono >= 0 && mono < d && wall > -d && wall < d
}

// verified notes that a request sent at a moment proved the state to be the newest, if the last such
// proof is so near that the journal cannot have been cut in between.
func (s *Store) verified(sent look) error {
	if !s.seen.within(s.now(), maxBehind) {
		s.seen = look{mono: -maxBehind} // begin anew
		return errors.New("blob: the storage answered too late to be believed; try again")
	}
	s.seen = sent
	return nil
}

// current loads the state anew if this node has not looked for too long.
func (s *Store) current(ctx context.Context) error {
	if s.seen.within(s.now(), maxBehind) {
		return nil
	}
	sent := s.now()
	st, since, err := load(ctx, s.bucket, s.root)
	if err != nil {
		return err
	}
	if !sent.within(s.now(), maxBehind) {
		return errors.New("blob: reading the whole state took too long; try again")
	}
	s.state, s.snapshotted, s.seen = st, since, sent
	return nil
}

var _ counterfoil.Store = (*Store)(nil)
