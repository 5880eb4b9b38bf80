package counterfoil

import (
	"context"
	"errors"
	"net/http"
)

// Verdict is the outcome of a check.
type Verdict uint8

const (
	Unknown Verdict = iota // the store does not answer: 503 with Retry-After; neither in nor out
	Invalid                // no session: none was presented, or what was presented is no good
	Valid                  // a session, signed in or anonymous: see [View.SignedIn]
)

// admission is what a request's cookies come to.
type admission struct {
	verdict   Verdict
	entry     *entry
	token     token  // the one that was admitted, or was signed out of and the store has not taken that
	n         uint32 // its generation
	malformed [2]bool
	ambiguous bool
	flooded   bool
	due       bool // a successor is due, as far as is known when the request comes
	present   bool // some token of ours was presented, good or not
}

// admit judges the cookies of r. It is the only way in: Handler, Check and Require all come here.
func (m *Manager) admit(r *http.Request, a *admission) {
	a.verdict = Invalid
	p := m.cookies.find(r.Header)
	if !p.session.found && !p.visit.found {
		return
	}
	a.present = true
	if m.cookies.insecure && !isLoopback(r) {
		return
	}
	now := m.clock.now()
	if p.session.found {
		m.admitOne(r, a, &p.session, KindBrowser, now)
		if a.verdict != Invalid {
			return
		}
	}
	if p.visit.found && !a.flooded {
		m.admitOne(r, a, &p.visit, KindVisit, now)
	}
}

func (m *Manager) admitOne(r *http.Request, a *admission, c *presentedCookie, kind Kind, now instant) {
	if c.twice {
		a.ambiguous = true
		m.refused(r, a, ReasonAmbiguous, Info{Kind: kind}, now)
		return
	}
	t, ok := parseToken(c.value)
	if !ok {
		a.malformed[kind-KindVisit] = true
		m.refused(r, a, ReasonMalformed, Info{Kind: kind}, now)
		return
	}
	id := t.selector.id()
	if m.lease.fresh(now) {
		if e := m.cache.get(id); e != nil && m.admitCached(r, a, e, &t, kind, now) {
			m.cache.hit(id)
			return
		}
	}
	m.admitStored(r, a, id, t, kind)
}

// admitCached admits what needs neither a write nor a refusal; every other ruling is left to a fresh
// read (R10).
func (m *Manager) admitCached(r *http.Request, a *admission, e *entry, t *token, kind Kind, now instant) bool {
	n, ok := e.generation(&t.verifier)
	ms := now.ms()
	if !ok || e.kind != kind || ms >= e.idleEnd.Load() || ms >= e.absolute {
		return false
	}
	switch e.gen.judge(n, ms, m.policy.Grace) {
	case rulingCurrent, rulingBehind:
		m.accept(r, a, e, t, n, now)
		return true
	}
	return false
}

func (m *Manager) accept(r *http.Request, a *admission, e *entry, t *token, n uint32, now instant) {
	a.verdict, a.entry, a.token, a.n = Valid, e, *t, n
	a.due = n == e.gen.cur && e.gen.due(now.ms(), m.policy.Rotate)
	if m.backdrop != nil && m.backdrop(r) {
		return
	}
	if n < e.gen.cur && now.ms() > e.gen.curSince+2*m.policy.Rotate.Milliseconds() && now.ms() >= e.touched.Load()+m.limits(e.kind).touch.Milliseconds() {
		m.observe(Event{Kind: EventStalled, Time: now.time(), Session: e.info()})
	}
	m.touch(e, now)
}

// admitAttempts bounds how often a check begins again because others changed the record meanwhile.
const admitAttempts = 5

// admitStored judges by a fresh read of the store.
func (m *Manager) admitStored(r *http.Request, a *admission, id ID, t token, kind Kind) {
	now := m.clock.now()
	ip := m.clientIP(r)
	tagged := m.tagged(&t.selector, id, now)
	switch {
	case m.flood.isDead(id, tagged, now):
		m.tellRefused(r, a, ReasonUnknown, Info{ID: id, Kind: kind}, now)
		return
	case m.flood.full(ip, id, now):
		a.flooded = true
		return
	case !tagged:
		m.flood.setDead(id, false, now)
		m.refused(r, a, ReasonUnknown, Info{ID: id, Kind: kind}, now)
		return
	}
	ctx, cancel := m.storeContext(r.Context())
	defer cancel()
	if !m.lease.fresh(now) {
		if err := m.renewLease(ctx); err != nil {
			m.unknown(a, "poll", err)
			return
		}
	}
	m.cache.misses.Add(1)
	for range admitAttempts {
		again := m.judgeStored(ctx, r, a, id, &t, kind)
		if !again {
			return
		}
	}
	a.verdict = Unknown // the store does answer: the client's next try may be luckier
	if !m.lease.fresh(m.clock.now()) {
		m.unavailable("poll", errTooSlow)
		return
	}
	m.log.Warn("a session changed at every try to check it", "session", id, "tries", admitAttempts)
}

// tagged reports whether s may be the selector of a session; the key may be one of another node's.
func (m *Manager) tagged(s *selector, id ID, now instant) bool {
	if tagged(&m.macs, s) {
		return true
	}
	if m.flood.isDead(id, false, now) {
		return false
	}
	m.learnKeys()
	return tagged(&m.macs, s)
}

func (m *Manager) unknown(a *admission, doing string, err error) {
	a.verdict = Unknown
	m.unavailable(doing, err)
}

// judgeStored reads the record once and rules; again means that somebody else changed it meanwhile.
func (m *Manager) judgeStored(ctx context.Context, r *http.Request, a *admission, id ID, t *token, kind Kind) (again bool) {
	fill := m.cache.begin(id)
	defer fill.end()
	rec, now, again := m.readStored(ctx, r, a, id, t, kind, fill)
	if rec == nil {
		return again
	}
	i, err := m.openIdentity(rec)
	if err != nil {
		m.refused(r, a, ReasonUnreadable, Info{ID: id, Kind: kind}, now)
		return false
	}
	if i.kind != kind || i.realm != m.realm {
		m.refused(r, a, ReasonUnknown, Info{ID: id, Kind: kind}, now)
		return false
	}
	m.toucher.raise(rec)
	v, err := newVerifiers(&m.macs, i.verifierKey, i.kind, id, &t.selector, &i.seed)
	if err != nil {
		m.refused(r, a, ReasonUnreadable, Info{ID: id, Kind: kind}, now)
		return false
	}
	n, ok := v.generation(t.verifier)
	e := m.newEntry(rec, i, n, t.verifier, m.cache.get(id))
	if !ok {
		m.refused(r, a, ReasonForged, e.info(), now)
		return false
	}
	switch ms := now.ms(); {
	case ms >= e.absolute:
		m.expire(ctx, r, a, e, ReasonAbsolute, now)
		return false
	case ms >= e.idleEnd.Load():
		m.expire(ctx, r, a, e, ReasonIdle, now)
		return false
	}
	why := ReasonRotated
	switch i.gen.judge(n, now.ms(), m.policy.Grace) {
	case rulingReplay:
		m.replayed(ctx, r, a, e, now)
		return false
	case rulingConfirm:
		i.gen.confirm(n, now.ms())
	case rulingSettle:
		i.gen.settle()
		why = ReasonSettled
	default:
		m.keep(fill, e)
		m.accept(r, a, e, t, n, now)
		return false
	}
	switch err := m.writeGeneration(ctx, rec, i, why, now); {
	case errors.Is(err, ErrConflict), errors.Is(err, ErrNotFound):
		return true
	case err != nil:
		m.unknown(a, "confirm", err)
		return false
	}
	e = m.newEntry(rec, i, n, t.verifier, e)
	m.keep(fill, e)
	m.accept(r, a, e, t, n, now)
	m.observe(Event{Kind: EventChanged, Reason: why, Time: now.time(), Session: e.info()})
	return false
}

// readStored returns the caller's own copy of the record, and the time after the read by which to judge
// it. Nil: there is nothing to judge, and a has the ruling, unless it has to be read again.
func (m *Manager) readStored(ctx context.Context, r *http.Request, a *admission, id ID, t *token, kind Kind, fill *fill) (rec *Record, now instant, again bool) {
	shared, err := fill.load(ctx, m.store)
	now = m.clock.now()
	switch {
	case errors.Is(err, ErrNotFound) && fill.void.Load():
		return nil, now, true // it may have been asked of a log that is another by now
	case errors.Is(err, ErrNotFound):
		m.cache.drop(id) // ended elsewhere: this node knows it from now on
		m.flood.setDead(id, true, now)
		m.refused(r, a, ReasonUnknown, Info{ID: id, Kind: kind}, now)
		return nil, now, false
	case err != nil:
		m.unknown(a, "load", err)
		return nil, now, false
	case m.denied.has(id):
		a.token = *t
		m.refused(r, a, ReasonSignOut, Info{ID: id, Kind: kind}, now)
		return nil, now, false
	case !m.lease.fresh(now): // the answer was long under way, or this process stood still: it may be the past's
		if err := m.renewLease(ctx); err != nil {
			m.unknown(a, "poll", err)
			return nil, now, false
		}
		return nil, now, true
	case fill.void.Load(): // after denied, which is given up when the fill is void
		return nil, now, true
	}
	own := *shared
	return &own, now, false
}

// writeGeneration stores i's generations in rec and tells all nodes by the log.
func (m *Manager) writeGeneration(ctx context.Context, rec *Record, i *identity, why Reason, now instant) error {
	op, err := randomOpID(m.random, now.time())
	if err != nil {
		return err
	}
	changed := entryOf(op, rec, EntryChanged, why, now)
	if err := m.sealInto(rec, &changed, i, now); err != nil {
		return err
	}
	return m.store.Update(ctx, rec, &changed)
}

// endOf begins the log entry of rec's end; about is who it is.
func (m *Manager) endOf(rec *Record, why Reason, about string, now instant) (Entry, error) {
	op, err := randomOpID(m.random, now.time())
	if err != nil {
		return Entry{}, err
	}
	e := entryOf(op, rec, EntryEnded, why, now)
	return e, m.detail(&e, about, now)
}

// entryOf begins a log entry about rec, without its detail.
func entryOf(op OpID, rec *Record, kind EntryKind, why Reason, now instant) Entry {
	return Entry{
		Version: EntryVersion, Kind: kind, Op: op, Session: rec.ID, Subject: rec.Subject, Actor: rec.Actor,
		Parent: rec.Parent, Root: rec.Root, Reason: why, Time: now.time(),
	}
}

// expire refuses a session whose time is up and ends it in the store, unless the clock has just
// jumped: then it is refused but not deleted (R21).
func (m *Manager) expire(ctx context.Context, r *http.Request, a *admission, e *entry, why Reason, now instant) {
	if m.clock.mayDelete(now) {
		if err := m.endOne(ctx, e, why, now); err != nil {
			m.unavailable("end", err)
		}
	}
	m.refused(r, a, why, e.info(), now)
}

// replayed ends a session whose retired token came back: either the client or a thief has a copy
// that the other does not know of.
func (m *Manager) replayed(ctx context.Context, r *http.Request, a *admission, e *entry, now instant) {
	if err := m.endOne(ctx, e, ReasonReplayed, now); err != nil {
		m.unknown(a, "end", err)
		return
	}
	m.refused(r, a, ReasonReplayed, e.info(), now)
}

// refused tells of a token that is no good and counts it against its source and its session.
func (m *Manager) refused(r *http.Request, a *admission, why Reason, about Info, now instant) {
	m.tellRefused(r, a, why, about, now)
	id := about.ID
	switch why {
	case ReasonMalformed, ReasonAmbiguous, ReasonIdle, ReasonAbsolute:
		return // cost nothing, or can be had only with a token that was good
	case ReasonUnknown:
		id = ID{} // no session's: else tokens of none would fill the places of those of others
	}
	if m.flood.refused(m.clientIP(r), id, now) {
		ip := m.address(r)
		m.observe(Event{Kind: EventRefused, Reason: ReasonFlood, Time: now.time(), Session: Info{IP: ip}})
		m.log.Warn("many bad session tokens from one source", "ip", ip)
	}
}

func (m *Manager) tellRefused(r *http.Request, a *admission, why Reason, about Info, now instant) {
	a.verdict = Invalid
	about.IP = m.address(r)
	m.observe(Event{Kind: EventRefused, Reason: why, Time: now.time(), Session: about})
}

// Check looks at r alone, with no wrapper and no change to the answer: for forward-auth endpoints
// and sockets. It confirms, settles, touches and ends replays as [Manager.Handler] does, but sets no
// cookie. On the warm path it allocates nothing and asks nobody.
func (m *Manager) Check(r *http.Request) (View, Verdict) {
	var a admission
	m.admit(r, &a)
	if a.flooded {
		return View{}, Unknown
	}
	return View{a.entry}, a.verdict
}
