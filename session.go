package counterfoil

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
)

// View is what is known of a session at the moment of a check: read-only, a small value, safe for
// many goroutines. The zero View is nobody's.
type View struct{ e *entry }

// ID names the session; zero: nothing is stored for this visitor.
func (v View) ID() ID {
	if v.e == nil {
		return ID{}
	}
	return v.e.id
}

// SignedIn reports whether somebody is signed in.
func (v View) SignedIn() bool { return v.Subject() != "" }

// Subject is who is signed in; "" for nobody.
func (v View) Subject() string {
	if v.e == nil {
		return ""
	}
	return v.e.name()
}

// Revision changes whenever the session's identity or values do.
func (v View) Revision() uint64 {
	if v.e == nil {
		return 0
	}
	return v.e.revision
}

// Level is the assurance, 1 to 3; 0 for nobody.
func (v View) Level() int {
	if v.e == nil {
		return 0
	}
	return int(v.e.level)
}

// Methods are how the subject proved who it is, as [Identity] has them; nil for nobody. The caller may
// keep the slice.
func (v View) Methods() []string {
	if v.e == nil {
		return nil
	}
	return v.e.methods()
}

// Info returns all that may be shown; the zero Info for nobody.
func (v View) Info() Info {
	if v.e == nil {
		return Info{}
	}
	return v.e.info()
}

// Session is one request's session, signed in, anonymous, or nobody's yet. It is safe for many
// goroutines and keeps the request's context. After the answer has begun it is a view that can only
// be ended.
type Session struct {
	m   *Manager
	req *http.Request

	mu       sync.Mutex
	view     View
	token    token
	n        uint32 // generation presented
	due      bool   // its successor was due when the request came
	begun    bool   // the answer has begun
	hijacked bool
	ended    error // set once the session was ended here: what reads and verbs return

	values valueSet          // as read; nil: not yet
	stored *Record           // of which they were read, for the first try to change it; nil: to be loaded
	edits  map[string][]byte // not yet written; nil value: deleted

	jar  jar
	w    *watch
	off  func()
	over bool // the handler has returned: nobody watches for the end any more
}

// jar is what the answer will do to the client's cookies.
type jar struct {
	send         bool     // the session's token, under the name of its kind
	verifier     verifier // of the token that is sent
	clearSession bool
	clearVisit   bool
}

// View returns what is known now.
func (s *Session) View() View {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.view
}

// ID names the session; zero: nothing is stored for this visitor.
func (s *Session) ID() ID { return s.View().ID() }

// SignedIn reports whether somebody is signed in.
func (s *Session) SignedIn() bool { return s.View().SignedIn() }

// Subject is who is signed in; "" for nobody.
func (s *Session) Subject() string { return s.View().Subject() }

// Info returns all that may be shown; the zero Info for nobody.
func (s *Session) Info() Info { return s.View().Info() }

// Meets returns nil if somebody is signed in and every condition holds, else what [Manager.Require]
// would refuse with.
func (s *Session) Meets(cond ...Condition) error {
	if s.m == nil {
		return ErrNoHandler
	}
	return s.m.Meets(s.View(), cond...)
}

// Confirm asks the store whether the session lives at this moment: nil, ErrEnded, or an error that
// wraps ErrUnavailable. Routes that must not act for a session that was just ended elsewhere call it
// right before the act.
func (s *Session) Confirm(ctx context.Context) error {
	v, err := s.present()
	if err != nil {
		return err
	}
	ctx, cancel := s.m.storeContext(ctx)
	defer cancel()
	rec, err := s.m.loadProved(ctx, v.e.id)
	if errors.Is(err, ErrNotFound) {
		s.m.cache.drop(v.e.id)
		return ErrEnded
	}
	if err != nil {
		return s.m.unanswered("load", err)
	}
	i, err := s.m.openIdentity(rec)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrEnded, err)
	}
	s.m.toucher.raise(rec)
	if now := s.m.clock.now().ms(); now >= s.m.absoluteEnd(i) || now >= s.m.idleEnd(rec, i) || s.m.denied.has(rec.ID) {
		return ErrEnded
	}
	return nil
}

// loadProved reads the record of id under a fresh lease: a store that was taken over from, or whose answer
// was long under way, may show a session that has ended since.
func (m *Manager) loadProved(ctx context.Context, id ID) (*Record, error) {
	for range 2 {
		rec, err := m.store.Load(ctx, id)
		if err != nil || m.lease.fresh(m.clock.now()) {
			return rec, err
		}
		if err := m.renewLease(ctx); err != nil {
			return nil, err
		}
	}
	return nil, errTooSlow
}

// present returns the view of a session that exists and was not ended here.
func (s *Session) present() (View, error) {
	if s.m == nil {
		return View{}, ErrNoHandler
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != nil {
		return View{}, s.ended
	}
	if s.view.e == nil {
		return View{}, ErrEnded
	}
	return s.view, nil
}

// Done is closed when the session ends, wherever and why ever, so that sockets and streams end with
// it. For a visitor without a session it is closed at once; on a node that does not reach the store,
// when that is back. The manager stops watching when the handler returns, and closes it then at the
// latest: what serves a connection that was taken over stays in its handler.
func (s *Session) Done() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.w == nil {
		if s.m == nil || s.view.e == nil || s.ended != nil || s.over {
			s.w, s.off = &watch{done: make(chan struct{})}, func() {}
			s.w.end(ReasonUnknown)
		} else {
			s.w, s.off = s.m.watch(s.view.e)
		}
	}
	return s.w.done
}

// Cause says why Done was closed; "" before.
func (s *Session) Cause() Reason {
	s.mu.Lock()
	w := s.w
	s.mu.Unlock()
	if w == nil {
		return ""
	}
	return w.ended()
}

// SignOut ends the session, durably, before it returns, and clears the cookie with the answer.
// Without a session it only clears. It may come late or after Hijack; then no cookie is cleared, and
// the dead token opens nothing. An error that wraps ErrUnavailable means "not yet signed out
// everywhere": this node refuses the session from now on and goes on trying to end it, and says so again
// to whoever signs out with that token once more, until it is done.
func (s *Session) SignOut() error {
	if s.m == nil {
		return ErrNoHandler
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.jar = jar{clearSession: true, clearVisit: true}
	e := s.view.e
	if e == nil { // perhaps it is asked for again, since the answer was an error
		return s.m.notEverywhere(s.m.endDenied(s.req.Context(), s.token.selector.id()))
	}
	s.view, s.values, s.edits, s.ended = View{}, nil, nil, ErrEnded
	m, now := s.m, s.m.clock.now()
	end, err := m.endOf(e.clear(), ReasonSignOut, e.about, now)
	if err != nil {
		return err
	}
	ctx, cancel := m.storeContext(s.req.Context())
	defer cancel()
	done, err := m.revoke(ctx, end)
	if err != nil {
		m.endLater(end)
		return m.notEverywhere(err)
	}
	if done.Count > 0 {
		m.observe(Event{Kind: EventEnded, Reason: ReasonSignOut, Time: now.time(), Session: e.info(), Seq: done.Seq})
	}
	return nil
}

// notEverywhere is what a sign-out says when the store did not take it; nil if err is.
func (m *Manager) notEverywhere(err error) error {
	if err == nil {
		return nil
	}
	m.unavailable("sign out", err)
	return fmt.Errorf("%w: not yet signed out everywhere: %w", ErrUnavailable, err)
}

// mayChange reports why the session cannot be changed by this request any more; s is locked.
func (s *Session) mayChange() error {
	switch {
	case s.m == nil:
		return ErrNoHandler
	case s.hijacked:
		return ErrReadOnly
	case s.begun:
		return ErrTooLate
	}
	return nil
}

// left is how many seconds the session of e has until its absolute end; one of a moment ago has its
// whole lifetime.
func (e *entry) left(now instant) int { return int(max(0, (e.absolute-now.ms()+500)/1000)) }
