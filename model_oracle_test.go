package counterfoil_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
)

// oracle knows what must hold of each answer.
type oracle struct {
	m        *model
	sessions map[counterfoil.ID]*known
	acted    bool // the thief: from now on the owner may be thrown out
	seen     *tally
}

// known is what was seen of one session from outside.
type known struct {
	kind     string            // its cookie
	gens     []*generation     // in order of their first appearance, which is that of their numbers
	ownEnd   bool              // its owner asked to end it, by sign-in or sign-out; perhaps unheard
	gone     time.Time         // when the store first had it no more
	ackedAt  map[int]time.Time // by node: when it answered that the session has ended
	acked    int               // counter: additions that were acknowledged
	attempts int               // counter: additions that may have happened
}

type generation struct {
	token     string
	confirmed time.Time         // when its first accepted use was answered
	settled   time.Time         // the same of the first that came a grace or more after that
	settledAt map[int]time.Time // the same by node
}

// see notes a token that an answer carries.
func (o *oracle) see(cookie *http.Cookie) *known {
	id := sessionOf(cookie.Value)
	k := o.sessions[id]
	if k == nil {
		k = &known{kind: cookie.Name, ackedAt: map[int]time.Time{}}
		o.sessions[id] = k
	}
	if k.gen(cookie.Value) == nil {
		k.gens = append(k.gens, &generation{token: cookie.Value, settledAt: map[int]time.Time{}})
	}
	return k
}

func (k *known) gen(token string) *generation {
	for _, g := range k.gens {
		if g.token == token {
			return g
		}
	}
	return nil
}

// above returns the generations after token's.
func (k *known) above(token string) []*generation {
	for i, g := range k.gens {
		if g.token == token {
			return k.gens[i+1:]
		}
	}
	return nil
}

func (o *oracle) of(token string) *known { return o.sessions[sessionOf(token)] }

// knownDead: the owner has been told that this session is over.
func (o *oracle) knownDead(token string) bool {
	k := o.of(token)
	return k != nil && !k.gone.IsZero()
}

// arrives notes what a request may do before it does it.
func (o *oracle) arrives(q *request) {
	o.acted = o.acted || q.thief
	k := o.of(q.session)
	if k == nil && q.session == "" {
		k = o.of(q.visit)
	}
	ends := strings.HasPrefix(q.path, "/login") || q.path == "/logout"
	for _, token := range []string{q.session, q.visit} {
		if token := o.of(token); token != nil && ends {
			token.ownEnd = true
		}
	}
	if k != nil {
		q.acked, q.attempts = k.acked, k.attempts
		if q.method == "POST" && q.path == "/count" {
			k.attempts++
		}
	}
}

// answers judges an answer at the moment it leaves.
func (o *oracle) answers(q *request) {
	o.seen.answers++
	if q.x.w.Code == http.StatusServiceUnavailable {
		o.seen.unknown++
	}
	o.headers(q)
	o.store()
	if q.session == "" {
		return
	}
	k, now := o.of(q.session), o.m.c.now()
	code, body := q.x.w.Code, q.x.body()
	shows := q.path == "/me" || q.path == "/slow"
	accepted := code == http.StatusOK && shows && body == "alice"
	if accepted {
		o.admitted(q, k)
	}
	if code == http.StatusOK && q.path == "/logout" {
		k.ackedAt[q.node] = now
	}
	switch {
	case q.thief:
		o.thief(q, k, accepted)
	case o.acted || k.ownEnd || code == http.StatusServiceUnavailable:
	case code != http.StatusOK, shows && !accepted:
		o.m.Fatalf("%v: an honest request to %s was refused: %d %q", now, q.path, code, body)
	case q.path == "/count" && q.method == "POST":
		k.acked++
	case q.path == "/count" && (len(body) < q.acked || len(body) > k.attempts):
		o.m.Fatalf("%v: %d of the additions are there; %d were acknowledged, %d tried", now, len(body), q.acked, k.attempts)
	}
	if accepted && !q.thief {
		g := k.gen(q.session)
		if g.confirmed.IsZero() {
			g.confirmed = now
		} else if !q.arrived.Before(g.confirmed.Add(grace)) {
			if g.settled.IsZero() {
				g.settled = now
			}
			if g.settledAt[q.node].IsZero() {
				g.settledAt[q.node] = now
			}
		}
	}
}

// headers judges who touches the jar (R5 to R7, G9).
func (o *oracle) headers(q *request) {
	h, fail := q.x.w.Header(), o.m.Fatalf
	cookies := q.x.w.Result().Cookies()
	login, logout := strings.HasPrefix(q.path, "/login"), q.path == "/logout"
	unknown := q.x.w.Code == http.StatusServiceUnavailable
	own := q.method == "POST" || q.path == "/count" // the handler's own 503: the session was good, and may have its successor
	if unknown && q.x.w.Body.Len() == 0 {
		fail("a 503 without a word")
	}
	for _, c := range cookies {
		if h.Get("Cache-Control") != "no-store" {
			fail("%s: an answer with our cookie may be kept: %q", q.path, h.Get("Cache-Control"))
		}
		switch {
		case q.path == "/public":
			fail("an answer for everybody carries a cookie")
		case unknown && !logout && (!own || o.of(c.Value) != o.of(q.session)):
			fail("%s: a 503 touched the jar", q.path)
		case c.MaxAge < 0 && !login && !logout:
			fail("%s cleared %s", q.path, c.Name)
		}
		if c.MaxAge >= 0 {
			o.given(q, o.see(c))
		}
	}
	if login && q.x.w.Code == http.StatusOK && q.session != "" {
		o.of(q.session).ackedAt[q.node] = o.m.c.now()
	}
}

// given judges that an answer hands on a token at all: a late one must not undo a sign-in or an end
// that it could know of. Within the lease another node may not know yet (protocol, introduction).
func (o *oracle) given(q *request, k *known) {
	if at := k.gone; !at.IsZero() && q.x.left.After(at.Add(lease)) {
		o.m.Fatalf("an answer that left at %v carries a token of a session that ended at %v", q.x.left, at)
	}
	if at, ok := k.ackedAt[q.node]; ok && q.x.left.After(at) {
		o.m.Fatalf("an answer that left at %v carries a token of a session whose end the node had acknowledged at %v", q.x.left, at)
	}
}

// store notes which sessions the store has no more, and that somebody wanted it so.
func (o *oracle) store() {
	for id, k := range o.sessions {
		if !k.gone.IsZero() {
			continue
		}
		_, err := o.m.c.store.Load(context.Background(), id)
		if err == nil {
			continue
		}
		if !errors.Is(err, counterfoil.ErrNotFound) {
			o.m.Fatal(err)
		}
		k.gone = o.m.c.now()
		if !k.ownEnd && !o.acted {
			o.m.Fatalf("%v: a session of %d generations is gone and nobody wanted that", k.gone, len(k.gens))
		}
	}
}

// admitted judges that a token got in at all (G2).
func (o *oracle) admitted(q *request, k *known) {
	if at := k.gone; !at.IsZero() && q.arrived.After(at.Add(lease)) {
		o.m.Fatalf("admitted at %v, ended at %v", q.arrived, at)
	}
	if at, ok := k.ackedAt[q.node]; ok && q.arrived.After(at) {
		o.m.Fatalf("admitted at %v by the node that had acknowledged the end at %v", q.arrived, at)
	}
	for _, g := range k.above(q.session) {
		if !g.settled.IsZero() && q.arrived.After(g.settled.Add(lease)) {
			o.m.Fatalf("a retired token was admitted at %v; its successor settled at %v", q.arrived, g.settled)
		}
		if at, ok := g.settledAt[q.node]; ok && q.arrived.After(at) {
			o.m.Fatalf("a retired token was admitted at %v by the node that settled its successor at %v", q.arrived, at)
		}
	}
}

// thief judges what the thief gets (CE6, CE7, R3).
func (o *oracle) thief(q *request, k *known, accepted bool) {
	retired := false
	for _, g := range k.above(q.session) {
		if q.x.given() != "" && !g.confirmed.IsZero() && q.arrived.After(g.confirmed.Add(lease)) {
			o.m.Fatalf("%v: the thief is behind since %v and was handed a successor", q.arrived, g.confirmed)
		}
		retired = retired || !g.settled.IsZero() && q.arrived.After(g.settled.Add(lease))
	}
	if !retired || q.x.w.Code == http.StatusServiceUnavailable || !k.gone.IsZero() && k.gone.Before(q.arrived) {
		return
	}
	o.seen.replays++
	if k.gone.IsZero() {
		o.m.Fatalf("%v: a retired token came back and the session lives on: %d", q.arrived, q.x.w.Code)
	}
	if o.m.c.happened(counterfoil.EventEnded, counterfoil.ReasonReplayed) == 0 {
		o.m.Fatalf("%v: a retired token came back and nobody was told", q.arrived)
	}
}

// sum judges the whole run: the log has two changes a generation at most (G6).
func (o *oracle) sum() {
	page, err := o.m.c.store.Log(context.Background(), 0, 1_000_000)
	if err != nil {
		o.m.Fatal(err)
	}
	o.seen.rotations += o.m.c.happened(counterfoil.EventChanged, counterfoil.ReasonRotated)
	changes := map[counterfoil.ID]int{}
	for _, e := range page.Entries {
		if e.Kind == counterfoil.EntryChanged {
			changes[e.Session]++
		}
	}
	for id, n := range changes {
		if k := o.sessions[id]; k != nil && n > 2*(len(k.gens)-1) {
			o.m.Fatalf("%d changes for %d generations", n, len(k.gens))
		}
	}
}
