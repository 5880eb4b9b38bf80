package simulation

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil"
)

// link is a node's way to the store: a counterfoil.Store whose calls travel, are lost, are overtaken,
// arrive twice, and whose answers are lost.
type link struct {
	counterfoil.Store // nil: a call that is not here is not expected
	w                 *world
	on                *machine
	node              *node
	name              string            // under which the node last polled
	known             string            // the log of the server that last answered: another's is not believed any more
	count             map[string]uint64 // calls that no request made, by method
	open              []*call           // those that wait for an answer, and some that did
}

// call is one under way.
type call struct {
	l      *link
	t      *task
	key    uint64
	method string
	writes bool
	apply  func(counterfoil.Store) (any, error)

	out     any
	err     error
	ready   chan struct{}
	settled bool // an answer has arrived; a second one is not wanted
	astray  bool // it leads to a primary that is none any more
}

// ask makes a call whose answer is a T.
func ask[T any](l *link, ctx context.Context, method string, writes bool, apply func(counterfoil.Store) (T, error)) (out T, err error) {
	c := &call{l: l, method: method, writes: writes, ready: make(chan struct{}), apply: func(s counterfoil.Store) (any, error) { return apply(s) }}
	s := l.w.scheduler
	if l.node.dead {
		return out, errReset
	}
	if l.w.direct {
		c.serve()
		if c.out != nil {
			out = c.out.(T)
		}
		return out, c.err
	}
	t, _ := ctx.Value(taskKey{}).(*task)
	if c.t = t; t == nil {
		c.t = s.me(l.on)
	}
	s.mu.Lock()
	if t != nil {
		t.calls++
		c.key = t.key<<8 + t.calls
	} else {
		l.count[method]++
		c.key = 1<<62 + uint64(l.node.number)<<40 + methods[method]<<32 + l.count[method]
	}
	s.calls = append(s.calls, c)
	l.open = append(slices.DeleteFunc(l.open, func(c *call) bool { return c.settled }), c)
	s.waits(c.t)
	s.mu.Unlock()
	select {
	case <-c.ready:
		if c.out != nil {
			out = c.out.(T)
		}
		return out, c.err
	case <-ctx.Done():
		s.mu.Lock()
		s.awake[c.t.on]++
		s.mu.Unlock()
		s.park(c.t)
		return out, ctx.Err()
	}
}

type taskKey struct{}

var methods = map[string]uint64{"Poll": 1, "Touch": 2, "Meta": 3, "SwapMeta": 4, "Reap": 5, "Revoke": 6, "Load": 7, "Log": 8, "Create": 9, "Update": 10, "Nodes": 11, "Fence": 12, "Hints": 13}

// plan decides the call's fate when it is sent.
func (c *call) plan() {
	w := c.l.w
	d, n := dice(w.plan.seed, c.key), &w.plan.net
	out, back := n.travel(d)+c.l.on.slow, n.travel(d)
	lost, unheard, silent := d.Float64() < n.lose, d.Float64() < n.lose, d.Float64() < 0.5
	again := d.Float64() < n.twice
	late := time.Duration(d.Int64N(int64(6 * time.Second)))
	c.astray = c.l.on.astray && (c.l.on.name%2 == 0 || d.Float64() < 0.7)
	if again && c.writes {
		w.after(out+late, func() {
			if !w.db.down && !w.direct {
				twin := *c
				twin.serve()
			}
		})
	}
	w.after(out, func() {
		switch {
		case c.l.on.cutTo > 0:
			lost, silent = true, c.l.on.silent
		case w.db.down:
			lost = true
		}
		if lost {
			c.l.w.trace("%s %s is lost", c.l.on, c.method)
			if !silent {
				c.fail(back)
			}
			return
		}
		c.serve()
		c.tell()
		w.after(back, func() {
			cut := c.l.on.cutFrom > 0
			if unheard || cut {
				c.l.w.trace("%s the answer of %s is lost", c.l.on, c.method)
				if !silent && !(cut && c.l.on.silent) {
					c.fail(0)
				}
				return
			}
			c.answer()
		})
	})
}

// tell puts what was served into the trace, but polls that bring nothing.
func (c *call) tell() {
	page, polled := c.out.(polled)
	switch {
	case !c.l.w.tracing():
	case c.err != nil:
		c.l.w.trace("%s %s is served: %v", c.l.on, c.method, c.err)
	case c.method == "Nodes":
		text := ""
		for _, n := range c.out.([]counterfoil.Node) {
			text += fmt.Sprintf("; %s has %d, beat %d", short(n.Name), n.Acked, n.Beat)
		}
		c.l.w.trace("%s Nodes is served%s", c.l.on, text)
	case !polled:
		c.l.w.trace("%s %s is served", c.l.on, c.method)
	default:
		c.l.w.trace("%s Poll of %s is served, which has %d: %d entries up to %d", c.l.on, short(page.asked.Node), page.asked.Acked, len(page.Entries), page.Head)
	}
}

func short(node string) string { return node[max(0, len(node)-4):] }

// fail tells the caller that the connection broke, a while later.
func (c *call) fail(d time.Duration) {
	c.l.w.after(d, func() {
		c.out, c.err = nil, errReset
		c.answer()
	})
}

// began is when the request came that makes the call.
func (c *call) began() time.Duration {
	if c.t != nil && c.t.attempt != nil {
		return c.t.attempt.arrived
	}
	return c.l.w.now()
}

// answer brings the answer to the process, if it is there to take it and still waits.
func (c *call) answer() {
	c.l.on.reach(func() {
		if c.settled {
			return
		}
		c.settled = true
		c.l.w.letOn(c.t, c.ready)
		c.l.w.settle()
	})
}

// serve does what the call asks for, at this moment.
func (c *call) serve() {
	w := c.l.w
	d := w.db
	store := d.store
	switch {
	case c.astray && (c.writes || c.l.known != d.formerLog): // what it cannot commit without its standby; and see known
		c.err = errDown
		return
	case c.astray:
		store = d.former
	case c.method == "Load" && d.broken.replica > 0:
		store = d.late(w.now() - d.broken.replica)
	}
	if !c.astray {
		c.l.known = d.log
	}
	c.out, c.err = c.apply(store)
	if !c.writes {
		return
	}
	d.journal = append(d.journal, change{w.now(), func(s counterfoil.Store) { _, _ = c.apply(s) }})
	d.note(w.now())
	switch c.method {
	case "Poll":
		w.oracle.polled(c)
		return
	case "Create", "Revoke":
		w.hint(c)
	}
	w.oracle.changed(c)
}

func (l *link) Capabilities() counterfoil.Capabilities { return l.w.db.store.Capabilities() }

func (l *link) Close() error { return nil }

type created struct {
	counterfoil.Created
	id             counterfoil.ID
	absolute       time.Time
	born, revision uint64
}

type revoked struct {
	counterfoil.Revoked
	kind counterfoil.EntryKind
	why  counterfoil.Reason
}

func (l *link) Create(ctx context.Context, rec *counterfoil.Record, c counterfoil.Creation) (counterfoil.Created, error) {
	sent := rec.Clone()
	out, err := ask(l, ctx, "Create", true, func(s counterfoil.Store) (created, error) {
		r := sent.Clone()
		got, err := s.Create(context.Background(), r, c)
		return created{got, r.ID, r.AbsoluteEnd, r.Born, r.Revision}, err
	})
	if err == nil {
		rec.Born, rec.Revision = out.born, out.revision
	}
	return out.Created, err
}

func (l *link) Load(ctx context.Context, id counterfoil.ID) (*counterfoil.Record, error) {
	return ask(l, ctx, "Load", false, func(s counterfoil.Store) (*counterfoil.Record, error) {
		return s.Load(context.Background(), id)
	})
}

func (l *link) Update(ctx context.Context, rec *counterfoil.Record, changed *counterfoil.Entry) error {
	sent := rec.Clone()
	var entry *counterfoil.Entry
	if changed != nil {
		e := *changed
		entry = &e
	}
	revision, err := ask(l, ctx, "Update", true, func(s counterfoil.Store) (updated, error) {
		r := sent.Clone()
		tell := entry
		if l.w.db.broken.untold {
			tell = nil
		}
		err := s.Update(context.Background(), r, tell)
		return updated{r.ID, r.Revision, entry}, err
	})
	if err == nil {
		rec.Revision = revision.revision
	}
	return err
}

type updated struct {
	id       counterfoil.ID
	revision uint64
	entry    *counterfoil.Entry
}

func (l *link) Touch(ctx context.Context, batch []counterfoil.Touch) error {
	_, err := ask(l, ctx, "Touch", true, func(s counterfoil.Store) ([]counterfoil.Touch, error) {
		return batch, s.Touch(context.Background(), batch)
	})
	return err
}

func (l *link) Revoke(ctx context.Context, e counterfoil.Entry) (counterfoil.Revoked, error) {
	out, err := ask(l, ctx, "Revoke", true, func(s counterfoil.Store) (revoked, error) {
		done, err := s.Revoke(context.Background(), e)
		return revoked{done, e.Kind, e.Reason}, err
	})
	return out.Revoked, err
}

func (l *link) Log(ctx context.Context, since uint64, max int) (counterfoil.Page, error) {
	return ask(l, ctx, "Log", false, func(s counterfoil.Store) (counterfoil.Page, error) {
		p, err := s.Log(context.Background(), since, max)
		p.Incarnation = l.w.db.log
		return p, err
	})
}

// polled is a page and the log that it is of.
type polled struct {
	counterfoil.Page
	asked counterfoil.Poll
}

func (l *link) Poll(ctx context.Context, p counterfoil.Poll) (counterfoil.Page, error) {
	out, err := ask(l, ctx, "Poll", true, func(s counterfoil.Store) (polled, error) {
		page, err := s.Poll(context.Background(), p)
		page.Incarnation = l.w.db.log
		if l.w.plan.clock {
			page.Now = l.w.began.Add(l.w.now() + l.w.db.ahead)
		}
		if d := l.w.db.broken.uncommitted; d > 0 {
			page = l.w.db.committed(page, p.Since, l.w.now()-d)
		}
		return polled{page, p}, err
	})
	return out.Page, err
}

func (l *link) Meta(ctx context.Context, key string) ([]byte, error) {
	return ask(l, ctx, "Meta", false, func(s counterfoil.Store) ([]byte, error) { return s.Meta(context.Background(), key) })
}

func (l *link) SwapMeta(ctx context.Context, key string, old, new []byte) error {
	_, err := ask(l, ctx, "SwapMeta", true, func(s counterfoil.Store) (any, error) {
		return nil, s.SwapMeta(context.Background(), key, old, new)
	})
	return err
}

func (l *link) Reap(ctx context.Context, r counterfoil.Reap) (counterfoil.Reaped, error) {
	return ask(l, ctx, "Reap", true, func(s counterfoil.Store) (counterfoil.Reaped, error) {
		return s.Reap(context.Background(), r)
	})
}

func (l *link) Nodes(ctx context.Context) ([]counterfoil.Node, error) {
	return ask(l, ctx, "Nodes", false, func(s counterfoil.Store) ([]counterfoil.Node, error) { return s.Nodes(context.Background()) })
}

func (l *link) Fence(ctx context.Context, node string) error {
	_, err := ask(l, ctx, "Fence", true, func(s counterfoil.Store) (any, error) {
		return nil, s.Fence(context.Background(), node)
	})
	return err
}
