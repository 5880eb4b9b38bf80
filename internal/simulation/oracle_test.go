package simulation

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil"
)

// never is later than any run.
const never = time.Duration(1 << 62)

// oracle sees every change at the moment when the store makes it, and judges every answer.
type oracle struct {
	w        *world
	sessions map[counterfoil.ID]*session
	order    []*session
	streams  []*stream
	losses   int           // how often the store has lost its last changes
	slack    time.Duration // how wrong a node's idea of the time may be
	broken   string
}

// session is what is known of one. All times are true.
type session struct {
	id       counterfoil.ID
	n        int
	subject  string
	revision uint64
	absolute time.Duration         // its absolute end
	active   time.Duration         // the last time it was admitted
	admits   []admit               // all times
	idle     []idleEnd             // its idle end, as the store had it
	asked    time.Duration         // when its end was first asked for
	gone     time.Duration         // when the store ended it
	ended    uint64                // the position of that in the log, or one before it
	acks     map[int]time.Duration // by node: when that node said that it has ended
	waited   time.Duration         // when a wait for its end was over
	limbo    bool                  // the store lost something of it
	place    int                   // of its creation among the store's changes
	vanished bool                  // the store lost that, too
	haunted  bool                  // a token of an earlier generation was presented
	flying   int                   // requests under way

	tokens  []string        // in order of generation
	current int             // generations confirmed
	retired []time.Duration // by generation: when the store retired it

	tried, added int // additions to its counter: begun, acknowledged
}

// admit is a time at which a session was used.
type admit struct {
	at time.Duration
	n  *node
}

// idleEnd is what the store knew of an idle end from a time on.
type idleEnd struct{ from, end time.Duration }

func (o *oracle) fail(format string, args ...any) {
	if o.broken == "" {
		broken := fmt.Sprintf(format, args...)
		o.w.trace("BROKEN: %s", broken)
		o.broken = broken
	}
}

func (s *session) String() string { return fmt.Sprintf("session %d", s.n) }

// changed is called when the store has made a change.
func (o *oracle) changed(c *call) {
	now := o.w.now()
	switch out := c.out.(type) {
	case created:
		if c.err == nil && o.sessions[out.id] == nil {
			s := &session{
				id: out.id, n: len(o.order) + 1, revision: 1, absolute: out.absolute.Sub(o.w.began), active: now,
				asked: never, gone: never, waited: never, acks: map[int]time.Duration{}, current: 1,
				place: len(o.w.db.journal) - 1,
			}
			if c.t != nil && c.t.attempt != nil {
				s.subject = c.t.attempt.c.subject
			}
			o.sessions[out.id] = s
			o.order = append(o.order, s)
			o.idles(s)
			o.w.trace("%s is created", s)
		}
		o.sweep(c, counterfoil.ReasonLimit)
	case revoked:
		if out.kind == counterfoil.EntryEndedSubject {
			out.why = counterfoil.ReasonDisabled // whoever it reaches
		}
		o.sweep(c, out.why)
		if c.t != nil && c.t.attempt != nil && c.err == nil {
			o.covered(c.t.attempt)
		}
	case counterfoil.Reaped:
		o.sweep(c, counterfoil.ReasonIdle)
	case updated:
		s := o.sessions[out.id]
		if s == nil || c.err != nil {
			return
		}
		if s.gone < never && o.w.db.live(s.id) { // the same change once more may be told that it was made
			o.fail("%s came back by a write %v after its end", s, now-s.gone)
		}
		if out.revision > s.revision {
			s.revision = out.revision
			o.renewed(s, out.entry)
		}
		o.idles(s)
	case []counterfoil.Touch:
		for _, t := range out {
			if s := o.sessions[t.ID]; s != nil && s.gone < never && o.w.db.live(t.ID) {
				o.fail("%s came back by a touch", s)
			} else if s != nil {
				o.idles(s)
			}
		}
	}
}

// renewed notes that a generation was confirmed or its predecessor retired.
func (o *oracle) renewed(s *session, e *counterfoil.Entry) {
	switch {
	case e == nil:
	case e.Reason == counterfoil.ReasonRotated:
		s.current++
		o.w.seen["confirmed"]++
		o.w.trace("%s moves on to generation %d", s, s.current)
	case e.Reason == counterfoil.ReasonSettled:
		o.w.seen["settled"]++
		for len(s.retired) < s.current-1 {
			s.retired = append(s.retired, o.w.now())
		}
		o.w.trace("%s settles on generation %d", s, s.current)
	}
}

// sweep notes which sessions a change has ended.
func (o *oracle) sweep(c *call, why counterfoil.Reason) {
	now := o.w.now()
	for _, s := range o.order {
		live := o.w.db.live(s.id)
		switch {
		case s.gone < never && live && s.vanished:
			o.back(s) // made once more, by whoever had not heard that it was
			s.limbo, s.vanished, s.place = true, false, len(o.w.db.journal)-1
		case s.gone < never && live:
			o.fail("%s came back by %s %v after its end", s, c.method, now-s.gone)
		case s.gone == never && !live:
			s.gone, s.ended = now, o.w.db.head()
			o.w.seen["ended"]++
			o.w.trace("%s is ended by %s (%s)", s, c.method, why)
			o.wanted(s, why, c.began())
			s.asked = min(s.asked, now)
		}
	}
}

// wanted judges that a session ended for a reason, by somebody who may have known no more than the
// store did at a time. G5
func (o *oracle) wanted(s *session, why counterfoil.Reason, since time.Duration) {
	now := o.w.now()
	switch {
	case s.asked <= now || s.limbo:
	case why == counterfoil.ReasonLimit, why == counterfoil.ReasonDisabled:
	case why == counterfoil.ReasonReplayed && s.haunted:
	case (why == counterfoil.ReasonIdle || why == counterfoil.ReasonAbsolute) && (o.mayBeOver(s, now, since) || o.strayed(since)):
		o.w.seen["expired"]++
		if at := o.unwritten(s); why == counterfoil.ReasonIdle && at < never {
			o.fail("%s was ended, and that it was used at %v is not written", s, at)
		}
	default:
		o.fail("%s was ended (%s) and nobody wanted that", s, why)
	}
}

// mayBeOver and mustBeOver say whether a session's time is up: by the fastest clock and what the store
// knew at a time, since idle is refused on the stored value alone; and by the slowest. R12
func (o *oracle) mayBeOver(s *session, at, since time.Duration) bool {
	end := s.idle[0].end
	for _, i := range s.idle {
		if i.from <= since {
			end = i.end
		}
	}
	return at+o.slack >= min(s.absolute, end)
}

func (o *oracle) mustBeOver(s *session, at time.Duration) bool {
	at -= o.slack
	return at > s.absolute || s.flying == 0 && at > s.active+o.w.plan.policy.Idle
}

// unwritten returns when the session was last used, if the store should know of that and does not;
// else never. What was seen on a node that is cut off is written later, and one that was killed may
// have seen what nobody knows of.
func (o *oracle) unwritten(s *session) time.Duration {
	p := &o.w.plan.policy
	touch := min(30*time.Second, p.Idle/20)
	known := s.idle[len(s.idle)-1].end + 2*touch + o.slack
	for _, a := range s.admits {
		if a.at < o.w.now()-o.w.plan.lease-2*touch-12*time.Second && !a.n.dead && a.at+p.Idle > known {
			return a.at
		}
	}
	return never
}

// idles notes the stored idle end.
func (o *oracle) idles(s *session) {
	rec, err := o.w.db.store.Load(context.Background(), s.id)
	if err != nil {
		return
	}
	if end := rec.IdleEnd.Sub(o.w.began); len(s.idle) == 0 || end != s.idle[len(s.idle)-1].end {
		s.idle = append(s.idle, idleEnd{o.w.now(), end})
	}
}

// lost is called when the store, which was former, has lost its last changes. What was promised of
// those is void, and of nothing else: a session whose creation was lost may be gone, or be made once
// more by whoever has not heard of it; one whose end was lost is back, until it is ended again; and a
// session of which any change but a touch was lost is not what its client and the nodes take it for,
// so it need not live, nor have its values. Touches that were lost may let it end early.
func (o *oracle) lost(former counterfoil.Store) {
	now := o.w.now()
	o.losses++
	for _, s := range o.order {
		s.vanished = s.vanished || s.place >= len(o.w.db.journal)
		was, _ := former.Load(context.Background(), s.id)
		is, _ := o.w.db.store.Load(context.Background(), s.id)
		switch {
		case is == nil && was == nil:
		case is == nil:
			s.gone, s.ended, s.asked = now, 0, min(s.asked, now)
			o.w.trace("%s was lost", s)
		case was == nil:
			o.back(s)
			o.w.trace("%s is back: its end was lost", s)
		}
		if is == nil {
			continue
		}
		if was == nil || was.Revision != is.Revision {
			s.limbo, s.added, s.revision = true, 0, is.Revision
		}
		s.admits = nil
		o.idles(s)
	}
}

// back notes that a session has not ended after all.
func (o *oracle) back(s *session) {
	s.gone, s.waited, s.ended = never, never, 0
	clear(s.acks)
}

// strayed reports whether what began then may have been answered by a former primary.
func (o *oracle) strayed(began time.Duration) bool {
	return o.w.strayed > 0 && began <= o.w.strayed+6*time.Second
}

// arrives notes what an attempt may do before it does it.
func (o *oracle) arrives(a *attempt) {
	o.w.trace("%s %s arrives with a token of %v", a.n.on, a.t.what, o.sessions[idOf(a.token)])
	ask := func(s *session) {
		if s != nil {
			s.asked = min(s.asked, o.w.now())
		}
	}
	switch a.kind {
	case signIn, signOut:
		ask(o.sessions[idOf(a.token)])
	case revoke:
		ask(o.sessions[a.target])
	case revokeOf:
		for _, s := range o.order {
			if s.subject == a.c.subject {
				ask(s)
			}
		}
	}
	s := o.sessions[idOf(a.token)]
	if s == nil {
		return
	}
	if a.kind == haunt && s.generation(a.token) < s.current {
		s.haunted = true
	}
	a.least = s.added
	s.flying++
	if a.adds {
		s.tried++
	}
}

// leaves notes that an attempt has ended, however.
func (o *oracle) leaves(a *attempt) {
	if s := o.sessions[idOf(a.token)]; s != nil {
		s.flying--
	}
}

// generation returns the number of a token, from 1 on; 0: it is unknown.
func (s *session) generation(token string) int { return slices.Index(s.tokens, token) + 1 }

// covered notes what a revocation has ended just now; and what it found ended when it was first served.
func (o *oracle) covered(a *attempt) {
	first := a.ended == nil
	if first {
		a.ended = map[counterfoil.ID]time.Duration{}
	}
	for _, s := range o.order {
		mine := a.kind == revoke && s.id == a.target || a.kind == revokeOf && s.subject == a.c.subject
		if mine && s.gone < never && !s.vanished && (first || s.gone == o.w.now()) {
			a.ended[s.id] = s.gone
		}
	}
}

// acknowledged notes that a node has said that what a revocation covers is ended.
func (o *oracle) acknowledged(a *attempt) {
	for id, gone := range a.ended {
		if s := o.sessions[id]; s.gone == gone { // else the store has lost its end meanwhile
			o.ack(s, a.n)
		}
	}
}

func (o *oracle) ack(s *session, n *node) {
	if _, had := s.acks[n.number]; !had {
		s.acks[n.number] = o.w.now()
	}
}

// judge looks at an answer at the moment it leaves.
func (o *oracle) judge(a *attempt) {
	if a.kind == probe {
		o.last(a)
	}
	now := o.w.now()
	o.w.trace("%s %s: verdict %d, %d", a.n.on, a.t.what, a.verdict, a.code)
	switch a.verdict {
	case counterfoil.Valid:
		o.w.seen["admits"]++
	case counterfoil.Invalid:
		o.w.seen["invalid"]++
	default:
		o.w.seen["unknown"]++
	}
	if a.code >= 500 && a.code != http.StatusServiceUnavailable {
		o.fail("an answer of %d", a.code)
	}
	if a.verdict == counterfoil.Unknown && (a.given != "" || a.cleared) {
		o.fail("a 503 to %s touched the jar", a.t.what)
	}
	if a.waited {
		o.w.seen["waits"]++
		o.w.seen["shut out"] += a.silent
		for id, gone := range a.ended {
			s := o.sessions[id]
			if s.gone != gone {
				continue // the store has lost its end meanwhile
			}
			s.waited = min(s.waited, now)
			if st := o.untold(s, nil); st != nil && a.silent == 0 && !o.outside(st.n) {
				o.fail("a wait for the end of %s is over, and %s has not told a stream of it", s, st.n.on)
			}
		}
	}
	s := o.sessions[idOf(a.token)]
	if s != nil {
		switch a.verdict {
		case counterfoil.Valid:
			o.admitted(a, s)
		case counterfoil.Invalid:
			o.refused(a, s)
		}
		o.counted(a, s)
		switch { // of what was promised before a loss the answer came from the store that is none any more
		case a.losses < o.losses:
		case a.kind == signOut && a.verdict == counterfoil.Valid:
			o.ack(s, a.n) // also if the store did not answer: this node refuses it from now on
		case a.kind == signIn && a.given != "" && s.gone < never:
			o.ack(s, a.n)
		}
	}
	if given := o.sessions[idOf(a.given)]; given != nil && given.generation(a.given) == 0 {
		given.tokens = append(given.tokens, a.given)
	}
	if a.given != "" && o.sessions[idOf(a.given)] == nil {
		o.fail("an answer carries a token of no session")
	}
	if a.given != "" || a.cleared {
		d := dice(o.w.plan.seed, a.t.key, 7)
		o.w.after(o.w.plan.net.travel(d), func() { a.c.receive(a) })
	}
}

// admitted judges that a token got in. It is the arrival that counts: what was under way when the
// session ended may have been let in before. G2
func (o *oracle) admitted(a *attempt, s *session) {
	L := o.w.plan.lease
	at := a.arrived
	if s.gone < never && at > s.gone {
		o.w.seen["admits after an end"]++
		if at > s.gone+L*8/10 {
			o.w.seen["admits near the bound"]++
		}
	}
	switch ack, acked := s.acks[a.n.number]; {
	case at > s.gone+L:
		o.fail("%s was admitted by %s %v after its end, the lease is %v", s, a.n.on, at-s.gone, L)
	case acked && at > ack:
		o.fail("%s was admitted by %s, which had acknowledged its end %v before", s, a.n.on, at-ack)
	case at > s.waited:
		o.fail("%s was admitted by %s %v after a wait for its end was over", s, a.n.on, at-s.waited)
	case o.mustBeOver(s, at):
		o.fail("%s was admitted by %s at %v, when its time was up", s, a.n.on, at)
	}
	if g := s.generation(a.token); !s.limbo && g > 0 && g <= len(s.retired) && at > s.retired[g-1]+L {
		o.fail("generation %d of %s was admitted by %s %v after it was retired", g, s, a.n.on, at-s.retired[g-1])
	}
	s.active = max(s.active, o.w.now())
	s.admits = append(s.admits, admit{at, a.n})
}

// refused judges that a token was turned away: never a good one. G5, G9
func (o *oracle) refused(a *attempt, s *session) {
	now := o.w.now()
	g := s.generation(a.token)
	switch {
	case s.asked <= now || s.limbo || o.mayBeOver(s, now, a.arrived) || s.haunted:
	case g > 0 && g <= len(s.retired):
	case o.strayed(a.arrived): // a former primary knows no sessions made since
	default:
		o.fail("%s lives and was refused by %s", s, a.n.on)
	}
}

// counted judges what was read and written. G5
func (o *oracle) counted(a *attempt, s *session) {
	if a.kind != page || a.verdict != counterfoil.Valid {
		return
	}
	if a.read {
		o.w.seen["values"]++
		if a.got > s.tried || a.got < a.least && a.terms == o.w.db.terms && !o.strayed(a.arrived) {
			o.fail("%s: %d additions are there; %d were acknowledged, %d tried", s, a.got, a.least, s.tried)
		}
	}
	if a.added && a.code == http.StatusOK && !s.limbo {
		s.added++
	}
}

// close judges what holds once all is well again.
func (o *oracle) close() {
	for _, n := range o.w.nodes {
		switch {
		case n == nil:
			o.fail("a node did not come up again")
		case n.owed:
			o.fail("%s did not notice that another server had taken over", n.on)
		}
	}
	for _, s := range o.order {
		if st := o.untold(s, nil); s.gone+o.w.plan.lease < o.w.now() && st != nil {
			o.fail("all is well again, and %s has not told a stream of %s, which has ended", st.n.on, s)
		}
	}
}

// last judges a probe after all faults: the living get in, the others do not. G9
func (o *oracle) last(a *attempt) {
	s := o.sessions[idOf(a.token)]
	g := s.generation(a.token)
	switch {
	case s.limbo && s.gone == never || g == 0 || s.gone == never && (g < len(s.tokens) || o.mayBeOver(s, o.w.now(), a.arrived)):
	case s.gone == never && a.verdict != counterfoil.Valid:
		o.fail("all is well again, and %s gets verdict %d of %s", s, a.verdict, a.n.on)
	case a.arrived > s.gone+o.w.plan.lease && a.verdict != counterfoil.Invalid: // its end may have been tried until now
		o.fail("all is well again, and %s, which has ended, gets verdict %d of %s", s, a.verdict, a.n.on)
	}
}
