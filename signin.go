package counterfoil

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// Identity says who signs in and how it was proved.
type Identity struct {
	Subject string    // Required; at most 255 bytes, opaque to this package.
	Methods []string  // RFC 8176 names: "pwd", "otp", "hwk"; at most 8 of at most 32 bytes.
	Level   int       // Assurance, 1 to 3. 0: 1.
	Proved  time.Time // Zero: now.
	Label   string    // Shown in lists, cut to 40 bytes. "": from the User-Agent.
	Keep    []AnyKey  // Values that may cross from the present session. Nil: none.
	KeepAll bool      // All values cross, if the present session is of the same subject.

	Since Mark   // From Manager.Mark, taken before the credential was checked. Zero: no check.
	Epoch uint64 // Version of the credential that was proved. 0: none.

	// Nonce is what the sign-in form carried, at least 22 random characters that it was served with.
	// The same nonce, subject and proof again, soon after, give the same session and not a second one.
	Nonce string
}

// Mark is a position in the store's log: the next one to be written. The zero Mark is none.
type Mark struct{ seq uint64 }

// Mark reads the log's head from the store. Take it before the credential of a sign-in is checked,
// and give it to SignIn: if the subject's sessions were ended in between, the sign-in is refused
// with ErrSuperseded and the credential must be checked again (R14).
func (m *Manager) Mark(ctx context.Context) (Mark, error) {
	ctx, cancel := m.storeContext(ctx)
	defer cancel()
	page, err := m.store.Log(ctx, 0, 0)
	if err != nil && !errors.Is(err, ErrGap) {
		return Mark{}, m.unanswered("log", err)
	}
	return Mark{page.Head + 1}, nil
}

const minNonce = 22 // characters: 128 bits of base64url

func (id *Identity) check() error {
	bad := id.Subject == "" || len(id.Subject) > 255 || len(id.Methods) > 8 || id.Level < 0 || id.Level > 3 ||
		id.Nonce != "" && len(id.Nonce) < minNonce || len(id.Nonce) > 255
	for _, method := range id.Methods {
		bad = bad || method == "" || len(method) > 32
	}
	if slices.Contains(id.Keep, nil) {
		return errors.New("counterfoil: sign-in: Keep names a key that is nil; make keys with NewKey")
	}
	if bad {
		return errors.New("counterfoil: sign-in: Subject must have 1 to 255 bytes, Methods at most 8 names of 1 to 32 bytes, Level 0 to 3, Nonce none or 22 to 255 bytes")
	}
	return nil
}

// SignIn ends the present session and starts a new one with a new token, durably, before it returns.
// There is no other way to become somebody. The token goes out with the answer. Errors: ErrTooLate
// after the answer has begun, ErrLimit under Deny, ErrSuperseded (see [Manager.Mark]), and
// ErrUnavailable; after any error the present session is as it was, or, with ErrUnavailable, perhaps
// ended.
func (s *Session) SignIn(id Identity) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.mayChange(); err != nil {
		return err
	}
	if err := id.check(); err != nil {
		return err
	}
	ctx, cancel := s.m.storeContext(s.req.Context())
	defer cancel()
	values, err := s.crossing(ctx, &id)
	if err != nil {
		return err
	}
	now := s.m.clock.now()
	w := who{
		kind: KindBrowser, subject: id.Subject, methods: id.Methods, level: uint8(max(id.Level, 1)),
		proved: now.ms(), ip: s.m.address(s.req), label: cut(id.Label, 40),
	}
	if !id.Proved.IsZero() {
		w.proved = min(w.proved, id.Proved.UnixMilli())
	}
	if w.label == "" {
		w.label = deviceLabel(s.req.UserAgent())
	}
	c := Creation{Since: id.Since.seq, Limit: Limit{Max: s.m.policy.PerSubject, Order: s.m.policy.AtLimit, Now: now.time()}}
	if s.view.e != nil {
		c.Replaces = []ID{s.view.e.id}
	}
	return s.start(ctx, w, id.Epoch, values, id.Nonce, c, ReasonSignIn, now)
}

// crossing returns the values that go with a sign-in.
func (s *Session) crossing(ctx context.Context, id *Identity) (valueSet, error) {
	all := id.KeepAll && s.view.Subject() == id.Subject
	if s.view.e == nil && len(s.edits) == 0 || !all && len(id.Keep) == 0 {
		return nil, nil
	}
	old, err := s.read(ctx)
	if err != nil && !errors.Is(err, ErrEnded) { // one that ended meanwhile, as by the same form sent twice, has nothing to give
		return nil, err
	}
	old = old.with(s.edits)
	if all {
		return old, nil
	}
	kept := valueSet{}
	for _, key := range id.Keep {
		if data, ok := old[key.keyName()]; ok {
			kept[key.keyName()] = data
		}
	}
	return kept, nil
}

// start creates a session for this client and makes it the request's; s is locked. An ID that another
// session has, by one chance in 2^96, is drawn anew, once: twice is a broken source of randomness.
func (s *Session) start(ctx context.Context, w who, epoch uint64, values valueSet, nonce string, c Creation, why Reason, now instant) error {
	err := s.draw(ctx, w, epoch, values, nonce, c, why, now)
	if errors.Is(err, ErrExists) {
		err = s.draw(ctx, w, epoch, values, nonce, c, why, now)
	}
	return err
}

func (s *Session) draw(ctx context.Context, w who, epoch uint64, values valueSet, nonce string, c Creation, why Reason, now instant) error {
	m := s.m
	if nonce != "" {
		done, taken, err := s.resume(ctx, &w, epoch, nonce, now)
		if done || err != nil {
			return err
		}
		if taken {
			nonce = "" // a session of its own
		}
	}
	random, err := m.freshBytes()
	if err != nil {
		return fmt.Errorf("counterfoil: no randomness for a token: %w", err)
	}
	var i identity
	rec, t, err := m.mint(&i, w, epoch, values, nonce, &random, now)
	if err != nil {
		return err
	}
	c.Entry = entryOf(newOpID(now.time(), random.op()), rec, EntryCreated, why, now)
	if err := m.sealInto(rec, &c.Entry, &i, now); err != nil {
		return err
	}
	begin := m.cache.beginNew
	if nonce != "" { // the same form may be under way twice
		begin = m.cache.begin
	}
	fill := begin(rec.ID)
	defer fill.end()
	done, err := m.store.Create(ctx, rec, c)
	if err != nil && !isRefusal(err) {
		done, err = m.store.Create(ctx, rec, c) // the same operation: it is done once
	}
	if errors.Is(err, ErrExists) && nonce != "" { // the same form, a moment before
		return s.draw(ctx, w, epoch, values, nonce, c, why, now)
	}
	if err != nil {
		if isRefusal(err) && !errors.Is(err, ErrExists) {
			return err
		}
		return m.unanswered("create", err)
	}
	if nonce != "" { // else nobody can have presented it yet
		m.apply(&Entry{Kind: EntryCreated, Session: rec.ID})
	}
	for _, old := range c.Replaces {
		m.apply(&Entry{Kind: EntryEnded, Session: old, Reason: ReasonReplaced})
	}
	for _, old := range done.Evicted {
		m.apply(&Entry{Kind: EntryEnded, Session: old, Reason: ReasonLimit})
		m.observe(Event{Kind: EventEnded, Reason: ReasonLimit, Time: now.time(), Session: Info{ID: old, Subject: w.subject, Kind: w.kind}})
	}
	e := m.newEntry(rec, &i, i.gen.cur, t.verifier, nil)
	e.touched.Store(now.ms())
	own := &m.noValues
	if len(values) > 0 {
		copied := values.with(nil)
		own = &copied
	}
	if !m.shared {
		e.values.Store(own)
	}
	m.keep(fill, e)
	if m.observer != nil {
		kind := EventCreated
		if w.subject != "" {
			kind = EventSignedIn
		}
		m.observer(Event{Kind: kind, Reason: why, Time: now.time(), Session: e.info(), Seq: done.Seq})
	}
	s.become(e, t, *own)
	return nil
}

func isRefusal(err error) bool {
	return errors.Is(err, ErrLimit) || errors.Is(err, ErrSuperseded) || errors.Is(err, ErrExists) || errors.Is(err, ErrNoParent)
}

// become makes e the request's session, whose token the answer carries.
func (s *Session) become(e *entry, t token, values valueSet) {
	s.view, s.token, s.n, s.ended = View{e}, t, e.gen.cur, nil
	s.values, s.edits = values, nil
	s.jar = jar{send: true, verifier: t.verifier, clearVisit: e.kind != KindVisit}
}

// resume finds the session that the same sign-in form started a moment ago by the same proof. taken:
// the form started one that is not to be had.
func (s *Session) resume(ctx context.Context, w *who, epoch uint64, nonce string, now instant) (found, taken bool, err error) {
	m := s.m
	sel, _, err := nonceSelector(&m.macs, m.realm, w.subject, nonce)
	if err != nil {
		return false, false, err
	}
	id := sel.id()
	fill := m.cache.begin(id)
	defer fill.end()
	rec, err := fill.load(ctx, m.store)
	if errors.Is(err, ErrNotFound) {
		return false, false, nil
	}
	if err != nil {
		return false, false, m.unanswered("load", err)
	}
	i, err := m.openIdentity(rec)
	if err != nil || m.denied.has(id) || !i.sameProof(w, epoch) || now.ms() > i.created+m.policy.Grace.Milliseconds() ||
		now.ms() >= min(m.absoluteEnd(i), m.idleEnd(rec, i)) {
		return false, true, nil
	}
	v, err := newVerifiers(&m.macs, i.verifierKey, i.kind, id, &sel, &i.seed)
	if err != nil {
		return false, false, err
	}
	t := token{sel, v.of(i.gen.cur)}
	values, err := m.openValues(rec, &sel)
	if err != nil {
		return false, false, err
	}
	e := m.newEntry(rec, i, i.gen.cur, t.verifier, m.cache.get(id))
	m.keep(fill, e)
	s.become(e, t, values)
	return true, true, nil
}

// sameProof reports whether i was started by what w and epoch say now.
func (i *identity) sameProof(w *who, epoch uint64) bool {
	return i.kind == w.kind && i.subject == w.subject && i.actor == w.actor && i.level == w.level &&
		slices.Equal(i.methods, w.methods) && i.epoch == epoch
}

// freshBytes is the randomness of a new session, read at once: a call of the system costs more than
// what it fills.
type freshBytes [12 + 16 + opRandom]byte

// freshBytes asks for them in a room that is there: what a Reader fills is on the heap.
func (m *Manager) freshBytes() (f freshBytes, err error) {
	room := m.room()
	defer m.rooms.Put(room)
	_, err = io.ReadFull(m.random, room[:len(f)])
	copy(f[:], room[:])
	clear(room[:len(f)])
	return f, err
}

func (f *freshBytes) selector() []byte   { return f[:12] }
func (f *freshBytes) seed() [16]byte     { return [16]byte(f[12:]) }
func (f *freshBytes) op() [opRandom]byte { return [opRandom]byte(f[12+16:]) }

// mint makes the identity and the record of a new session, whose identity is yet to be sealed, and its
// first token.
func (m *Manager) mint(i *identity, w who, epoch uint64, values valueSet, nonce string, random *freshBytes, now instant) (*Record, token, error) {
	fail := func(err error) (*Record, token, error) { return nil, token{}, err }
	var sel selector
	var err error
	rec := &Record{Version: RecordVersion, Kind: w.kind, Epoch: epoch}
	if nonce == "" {
		sel, rec.SelectorKey, err = newSelector(&m.macs, random.selector())
	} else {
		sel, rec.SelectorKey, err = nonceSelector(&m.macs, m.realm, w.subject, nonce)
	}
	if err != nil {
		return fail(err)
	}
	about, err := w.pack()
	if err != nil {
		return fail(err)
	}
	l := m.limits(w.kind)
	rec.ID = sel.id()
	rec.Subject, rec.Actor = m.subjectHash(w.subject), m.subjectHash(w.actor)
	rec.Created, rec.Seen = now.time(), now.time()
	rec.AbsoluteEnd = rec.Created.Add(l.absolute.Truncate(time.Millisecond))
	rec.IdleEnd = msTime(min(now.ms()+l.idle.Milliseconds(), rec.AbsoluteEnd.UnixMilli()))
	*i = identity{
		who: w, about: about, realm: m.realm, persistent: m.cookies.persistent, epoch: epoch,
		created: rec.Created.UnixMilli(), absolute: rec.AbsoluteEnd.UnixMilli(),
		gen:         generations{cur: 1, prev: 1, curSince: now.ms(), settled: true},
		seed:        random.seed(),
		verifierKey: m.keys.Primary(),
	}
	v, err := newVerifiers(&m.macs, i.verifierKey, w.kind, rec.ID, &sel, &i.seed)
	if err != nil {
		return fail(err)
	}
	if err := m.sealValues(rec, &sel, values); err != nil {
		return fail(err)
	}
	return rec, token{sel, v.of(1)}, nil
}

// cut shortens s to at most n bytes without breaking a character.
func cut(s string, n int) string {
	for len(s) > n {
		end := n
		for end > 0 && s[end]&0xC0 == 0x80 {
			end--
		}
		s = s[:end]
	}
	return s
}
