package counterfoil

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"
)

// state is one request's context, session, request and writer in one object; it is never pooled, since
// a handler may keep any of them.
type state struct {
	context.Context
	session Session
	request http.Request // what the handler gets
	w       http.ResponseWriter
	failed  error // why the answer was replaced
}

// Value finds the session under the manager, so that several managers share a request.
func (st *state) Value(key any) any {
	if m, ok := key.(*Manager); ok && m == st.session.m {
		return &st.session
	}
	return st.Context.Value(key)
}

// Handler puts the visitor's session in the context of each request and commits changes before the
// first byte of the answer. Its writer offers what the given one does (Flusher, Hijacker, …) and no
// more. If the store cannot say whether a presented token is good, next is not called and
// Config.Refuse answers. A second Handler of the same manager inside the first changes nothing.
func (m *Manager) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { m.serve(w, r, next) })
}

func (m *Manager) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	if r.Context().Value(m) != nil { // two sessions of one request would set cookies against each other
		next.ServeHTTP(w, r)
		return
	}
	if m.cookies.insecure && !isLoopback(r) {
		m.refuse(w, r, ErrForbidden)
		return
	}
	var a admission
	m.admit(r, &a)
	switch {
	case a.verdict == Unknown:
		m.refuse(w, r, ErrUnavailable)
		return
	case a.flooded:
		m.refuse(w, r, ErrFlood)
		return
	case a.ambiguous:
		r = r.WithContext(context.WithValue(r.Context(), ambiguous{}, true))
	}
	st := &state{Context: r.Context(), w: w}
	s := &st.session
	s.m, s.req, s.view, s.token, s.n, s.due = m, r, View{a.entry}, a.token, a.n, a.due
	s.jar.clearSession, s.jar.clearVisit = a.malformed[KindBrowser-KindVisit], a.malformed[0]
	defer s.release()
	st.request = *r.WithContext(st) // copied from the stack
	next.ServeHTTP(st.writer(), &st.request)
	st.begin()
}

type ambiguous struct{}

// Ambiguous reports whether the request carried two different cookies of a session's name, so that
// it was taken for anonymous: a page may then say how to clear them.
func Ambiguous(ctx context.Context) bool { return ctx.Value(ambiguous{}) != nil }

// release stops watching for the end of the session, and says so to whoever still waits for it.
func (s *Session) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	if s.off != nil {
		s.off()
		s.w.end(ReasonUnknown)
	}
}

// FromContext returns the session that m.Handler put there. It is never nil: without Handler it is a
// session of nobody, whose verbs return ErrNoHandler.
func (m *Manager) FromContext(ctx context.Context) *Session {
	if s, ok := ctx.Value(m).(*Session); ok {
		return s
	}
	return new(Session)
}

// begin is called before the first byte of the answer, by whichever way it goes out: it commits, and
// decides on cookies. It reports whether the handler's answer may go out.
func (st *state) begin() bool {
	s := &st.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.begun {
		return st.failed == nil
	}
	if err := s.save(); err != nil {
		s.begun, st.failed = true, err
		st.replace(err)
		return false
	}
	s.begun = true
	s.rotate(st.w.Header())
	s.writeJar(st.w.Header())
	return true
}

// replace answers in the handler's place: what could not be kept must not be announced.
func (st *state) replace(err error) {
	h := st.w.Header()
	for _, name := range []string{
		"Content-Type", "Content-Length", "Content-Encoding", "Content-Range", "Content-Disposition",
		"Content-Language", "Etag", "Last-Modified", "Location", "Cache-Control", "Expires", "Set-Cookie",
	} {
		delete(h, name)
	}
	for _, name := range targeted {
		delete(h, name)
	}
	s := &st.session
	s.writeJar(h)
	s.m.log.Warn("an answer was replaced because its session could not be written", "error", err)
	s.m.refuse(st.w, s.req, err)
}

// rotate makes the successor due, by the record as it is now, not as it was when the request came
// (R2.1): a slow answer must not put an old token back. Where it was not due when the request came,
// another answer will do.
func (s *Session) rotate(h http.Header) {
	e := s.view.e
	if !s.due || e == nil || s.jar.send || s.jar.clearSession || e.kind == KindVisit || cachedByOthers(h) {
		return
	}
	m, now := s.m, s.m.clock.now()
	if m.backdrop != nil && m.backdrop(s.req) {
		return
	}
	if e = m.presentEntry(s.req.Context(), e.id, now); e == nil || s.n != e.gen.cur || !e.gen.due(now.ms(), m.policy.Rotate) {
		return
	}
	v, err := newVerifiers(&m.macs, e.verifierKey, e.kind, e.id, &s.token.selector, &e.seed)
	if err != nil {
		return // its key is going: the session will be refused at the next read
	}
	s.jar.send, s.jar.verifier = true, v.of(e.gen.successor())
}

// presentEntry returns what the session is now: from the near cache, else from the store; nil if it
// cannot be had, since another answer will do.
func (m *Manager) presentEntry(ctx context.Context, id ID, now instant) *entry {
	if m.lease.fresh(now) {
		if e := m.cache.get(id); e != nil {
			return e
		}
	}
	ctx, cancel := m.storeContext(ctx)
	defer cancel()
	rec, err := m.store.Load(ctx, id)
	if err != nil || m.denied.has(id) {
		return nil
	}
	i, err := m.openIdentity(rec)
	if err != nil {
		return nil
	}
	return m.newEntry(rec, i, 0, verifier{}, nil)
}

// writeJar writes what was decided into the answer's header.
func (s *Session) writeJar(h http.Header) {
	c := &s.m.cookies
	if s.jar.clearSession {
		c.clear(h, c.session)
	}
	if s.jar.clearVisit && hasCookie(s.req.Header, c.visit) {
		c.clear(h, c.visit)
	}
	if e := s.view.e; s.jar.send && e != nil {
		name := c.session
		if e.kind == KindVisit {
			name = c.visit
		}
		age := -1 // until the browser ends
		if e.persistent {
			age = e.left(s.m.clock.now())
		}
		c.set(h, name, token{s.token.selector, s.jar.verifier}, age)
	}
}

func hasCookie(h http.Header, name string) bool {
	one := cookies{session: name}
	return one.find(h).session.found
}

// refusePlainly is the default of Config.Refuse.
func refusePlainly(w http.ResponseWriter, _ *http.Request, err error) {
	code := RefusalStatus(err)
	if code == http.StatusServiceUnavailable || code == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", strconv.Itoa(int(RetryAfter/time.Second)))
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, http.StatusText(code), code)
}

// RetryAfter is what refusals that may pass tell a client to wait.
const RetryAfter = 5 * time.Second

// RefusalStatus returns the HTTP status of an error given to Config.Refuse.
func RefusalStatus(err error) int {
	switch {
	case errors.Is(err, ErrNotSignedIn), errors.Is(err, ErrEnded):
		return http.StatusUnauthorized
	case errors.Is(err, ErrStepUp), errors.Is(err, ErrForbidden):
		return http.StatusForbidden
	case errors.Is(err, ErrConflict):
		return http.StatusConflict
	case errors.Is(err, ErrFlood):
		return http.StatusTooManyRequests
	case errors.Is(err, ErrTooLarge):
		return http.StatusInternalServerError
	}
	return http.StatusServiceUnavailable
}
