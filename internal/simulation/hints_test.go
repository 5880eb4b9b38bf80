package simulation

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil"
)

// channel is one on which the store hints to a node that something has ended: soon or late, twice, in
// any order, or not at all.
type channel struct {
	l          *link
	hint, lost func()
	over       bool // guarded by the scheduler's lock, as what follows
	arrived    uint64
}

var errNoChannel = errors.New("there is no channel")

// Hints implements counterfoil.Hinter.
func (l *link) Hints(ctx context.Context, hint, lost func()) (stop func(), err error) {
	ch := &channel{l: l, hint: hint, lost: lost}
	_, err = ask(l, ctx, "Hints", false, func(s counterfoil.Store) (any, error) {
		db := l.w.db
		switch {
		case l.w.plan.net.hints.none:
			return nil, errNoChannel
		case s == db.store: // a former primary has nothing to say
			db.channels = append(db.channels, ch)
		}
		return nil, nil
	})
	if err != nil {
		ch.stop()
		return nil, err
	}
	return ch.stop, nil
}

func (ch *channel) stop() {
	ch.l.w.mu.Lock()
	defer ch.l.w.mu.Unlock()
	ch.over = true
}

// open reports whether somebody still listens.
func (ch *channel) open() bool {
	ch.l.w.mu.Lock()
	defer ch.l.w.mu.Unlock()
	return !ch.over && !ch.l.node.dead
}

// hint tells all nodes that c may have ended something.
func (w *world) hint(c *call) {
	w.db.channels = slices.DeleteFunc(w.db.channels, func(ch *channel) bool { return !ch.open() })
	for _, ch := range w.db.channels {
		q := &w.plan.net.hints
		d := dice(w.plan.seed, c.key, uint64(ch.l.node.number), 3)
		lost, twice := d.Float64() < q.lose, d.Float64() < q.twice
		for range 2 {
			t := w.plan.net.travel(d)
			if d.Float64() < q.late {
				t += time.Duration(d.Int64N(int64(3 * w.plan.lease)))
			}
			if !lost {
				w.after(t, ch.deliver)
			}
			if !twice {
				break
			}
		}
	}
}

// deliver brings a hint to the node, if there is a way.
func (ch *channel) deliver() {
	on := ch.l.on
	switch {
	case !ch.open():
	case on.cutFrom > 0 && on.silent:
	case on.cutFrom > 0:
		ch.breaks()
	default:
		ch.tell("hint", ch.hint)
	}
}

// breaks tells the node that no more hints can come.
func (ch *channel) breaks() {
	if ch.open() {
		ch.tell("no more hints", func() { ch.stop(); ch.lost() })
	}
}

func (ch *channel) tell(what string, f func()) {
	w := ch.l.w
	ch.arrived++
	t := &task{key: 1<<58 + uint64(ch.l.node.number)<<32 + ch.arrived, on: ch.l.on, what: what}
	ch.l.on.reach(func() {
		if ch.open() && !w.direct {
			w.seen["hints"]++
			w.trace("%s is told: %s", ch.l.on, what)
			w.begin(t, f)
		}
	})
}
