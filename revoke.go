package counterfoil

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// Target selects sessions to end.
type Target struct {
	of      bool // of a subject
	subject string
	one     bool // only the session of this ID
	only    ID
	except  []ID
	before  uint64
	all     bool
	misused bool // narrowed by Only, though not of a subject
}

// AllOf selects every session of a subject, those that somebody else leads in its name included.
func AllOf(subject string) Target { return Target{of: true, subject: subject} }

// Everything selects every session there is.
func Everything() Target { return Target{all: true} }

// ByID selects one session, whoever's it is: for operators. With it end all that hang on it.
func ByID(id ID) Target { return Target{one: true, only: id} }

// Only narrows AllOf to one session, which is ended only if it is that subject's: a user's own list
// cannot end another's session.
func (t Target) Only(id ID) Target {
	t.one, t.only, t.misused = true, id, t.misused || !t.of
	return t
}

// Except spares up to [MaxExcept] sessions of AllOf.
func (t Target) Except(keep ...ID) Target {
	t.except = append(append([]ID(nil), t.except...), keep...)
	return t
}

// Before narrows AllOf to sessions whose sign-in proved a credential of a version below epoch, those
// that state none included: a sign-in with the new password may run at the same time.
func (t Target) Before(epoch uint64) Target { t.before = epoch; return t }

func (t Target) check() error {
	switch {
	case t.subject == "" && !t.all && (t.of || !t.one):
		return errors.New("counterfoil: the target selects nothing; begin with AllOf, ByID or Everything")
	case t.misused:
		return errors.New("counterfoil: Only goes with AllOf alone; ByID names any one session")
	case (len(t.except) > 0 || t.before > 0) && (t.subject == "" || t.one):
		return errors.New("counterfoil: Except and Before go with AllOf alone")
	case len(t.except) > MaxExcept:
		return fmt.Errorf("counterfoil: Except spares at most %d sessions", MaxExcept)
	}
	return nil
}

// Revoke ends what t selects: durable, and in force on this node, when it returns. Sessions made
// after it stand. Other nodes follow within the lease; [Revocation.Wait] says when all have. An
// error that wraps ErrUnavailable means that the outcome is not known: call again. ErrNotFound: t
// names one session, and there is none such.
func (m *Manager) Revoke(ctx context.Context, t Target, why Reason) (Revocation, error) {
	if err := t.check(); err != nil {
		return Revocation{}, err
	}
	now := m.clock.now()
	op, err := randomOpID(m.random, now.time())
	if err != nil {
		return Revocation{}, err
	}
	e := Entry{Version: EntryVersion, Op: op, Reason: why, Time: now.time()}
	about, err := (&who{subject: t.subject}).pack()
	if err != nil {
		return Revocation{}, err
	}
	ctx, cancel := m.storeContext(ctx)
	defer cancel()
	switch {
	case t.all:
		e.Kind = EntryEndedAll
	case !t.one:
		e.Kind, e.Subject, e.Except, e.Epoch = EntryEndedSubject, m.subjectHash(t.subject), t.except, t.before
	default:
		rec, err := m.store.Load(ctx, t.only)
		switch {
		case errors.Is(err, ErrNotFound):
			return Revocation{}, m.notThere(ctx, e, t.only)
		case err == nil && t.subject != "" && rec.Subject != m.subjectHash(t.subject):
			return Revocation{}, ErrNotFound
		case err != nil:
			return Revocation{}, m.unanswered("load", err)
		}
		e.Kind, e.Session, e.Subject, e.Actor, e.Parent, e.Root = EntryEnded, rec.ID, rec.Subject, rec.Actor, rec.Parent, rec.Root
		if i, err := m.openIdentity(rec); err == nil {
			about = i.about
		}
	}
	if err := m.detail(&e, about, now); err != nil {
		return Revocation{}, err
	}
	done, err := m.revoke(ctx, e)
	if err != nil {
		return Revocation{}, m.unanswered("revoke", err)
	}
	if e.Kind == EntryEnded && done.Count == 0 {
		return Revocation{}, ErrNotFound // it ended in between
	}
	ev, _ := m.Describe(e)
	ev.Seq, ev.Count = done.Seq, done.Count
	m.observe(ev)
	return Revocation{Seq: done.Seq, Ended: done.Count, m: m, done: m.clock.now().mono}, nil
}

// revoke writes an end, once more if the answer was lost, and applies it here before it returns.
func (m *Manager) revoke(ctx context.Context, e Entry) (Revoked, error) {
	if m.shared {
		m.lag.wrote(e.Op)
	}
	done, err := m.store.Revoke(ctx, e)
	if err != nil {
		done, err = m.store.Revoke(ctx, e) // the same operation: it is done once
	}
	if err != nil {
		m.suspect(&e)
		return done, err
	}
	e.Seq = done.Seq
	m.apply(&e)
	for _, id := range done.Ended {
		m.apply(&Entry{Kind: EntryEnded, Seq: done.Seq, Session: id, Reason: e.Reason})
	}
	if e.Kind != EntryEnded && done.Count > len(done.Ended) {
		m.cache.flush() // too many to be listed
	}
	return done, nil
}

// suspect looks again at what an end covers whose outcome is not known: a stream must not be told of
// one that never comes.
func (m *Manager) suspect(e *Entry) {
	m.cache.dropEnded(e)
	for _, w := range m.watches.all() {
		if w.e.endedBy(e) {
			m.recheckAfter(w, 0)
		}
	}
}

// notThere is the answer for a session that is not in the store: ErrNotFound, once that is as durable as
// an end. It may have ended a moment ago, on a server that could not tell its standby.
func (m *Manager) notThere(ctx context.Context, e Entry, id ID) error {
	if m.shared {
		e.Kind, e.Session = EntryEnded, id
		if _, err := m.store.Revoke(ctx, e); err != nil {
			return m.unanswered("revoke", err)
		}
	}
	return ErrNotFound
}

// endOne ends the session of e.
func (m *Manager) endOne(ctx context.Context, e *entry, why Reason, now instant) error {
	entry, err := m.endOf(e.clear(), why, e.about, now)
	if err != nil {
		return err
	}
	done, err := m.revoke(ctx, entry)
	if err == nil && done.Count > 0 {
		m.observe(Event{Kind: EventEnded, Reason: why, Time: now.time(), Session: e.info(), Seq: done.Seq})
	}
	return err
}

// denied are sessions whose end this node could not yet write. It refuses them meanwhile.
type denied struct {
	mu   sync.Mutex
	ends map[ID]Entry
}

func (d *denied) has(id ID) bool {
	_, is := d.get(id)
	return is
}

func (d *denied) get(id ID) (end Entry, is bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	end, is = d.ends[id]
	return end, is
}

func (d *denied) all() []Entry {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Collect(maps.Values(d.ends))
}

func (d *denied) add(end Entry) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ends == nil {
		d.ends = make(map[ID]Entry)
	}
	d.ends[end.Session] = end
}

func (d *denied) forget(id ID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.ends, id)
}

// endLater refuses the session from now on and tries to end it until the store takes it.
func (m *Manager) endLater(end Entry) {
	m.denied.add(end)
	m.apply(&end)
	m.retryEnd(end.Session)
}

func (m *Manager) retryEnd(id ID) {
	m.background.after(time.Second, func() {
		if err := m.endDenied(context.Background(), id); err != nil {
			m.unavailable("end", err)
			m.retryEnd(id)
		}
	})
}

// endDenied tries once more to end a session that is refused already; nil if it is none, or ended.
func (m *Manager) endDenied(ctx context.Context, id ID) error {
	end, is := m.denied.get(id)
	if !is {
		return nil
	}
	ctx, cancel := m.storeContext(ctx)
	defer cancel()
	if _, err := m.store.Revoke(ctx, end); err != nil {
		return err
	}
	m.apply(&end)
	m.denied.forget(id)
	return nil
}

// endAllDenied is the last try, when the manager closes: whoever comes next knows nothing of them.
func (m *Manager) endAllDenied(ctx context.Context) error {
	for _, end := range m.denied.all() {
		if err := m.endDenied(ctx, end.Session); err != nil {
			return fmt.Errorf("counterfoil: sessions that users signed out of could not be ended, and live on; end them once the store can be written: %w", err)
		}
	}
	return nil
}
