package simulation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store/memory"
)

var (
	errReset = errors.New("the connection broke")
	errDown  = errors.New("the server does not answer")
)

// database is a store in which each change happens at one moment, with a journal from which a server
// that takes over is built.
type database struct {
	store     counterfoil.Store
	former    counterfoil.Store // a primary that was cut off, and answers reads as if nothing had happened
	formerLog string
	journal   []change
	log       string // the name of the log; a server that takes over writes one of another name
	terms     int
	down      bool
	ahead     time.Duration // its clock
	broken    defect

	names    map[string]string // of nodes: the log in which they first had them
	channels []*channel        // on which it says early that something has ended

	replica counterfoil.Store // has the first copied changes
	copied  int
	known   uint64                   // the log's head
	born    map[uint64]time.Duration // when what entry was committed
}

// defect is what a store may get wrong.
type defect struct {
	replica     time.Duration // records are read from a copy that is that late
	uncommitted time.Duration // some entries are seen that much later than those after them
	untold      bool          // updates are not in the log
	keepsName   bool          // a server that takes over writes a log of the same name
}

// change is one that was made, with what it takes to make it again.
type change struct {
	at time.Duration
	do func(counterfoil.Store)
}

func newDatabase(d defect) *database {
	return &database{store: memory.New(memory.Options{Shared: true}), log: "1", terms: 1, broken: d, names: map[string]string{}, born: map[uint64]time.Duration{}}
}

// replay builds a server that has the first n changes.
func (d *database) replay(n int) counterfoil.Store {
	s := memory.New(memory.Options{Shared: true})
	for _, c := range d.journal[:n] {
		c.do(s)
	}
	return s
}

// failOver puts another server in the store's place that has what was acknowledged until lost changes
// ago.
func (d *database) failOver(lost int) {
	d.journal = d.journal[:len(d.journal)-lost]
	d.former, d.formerLog = d.store, d.log
	d.replica, d.copied, d.channels = nil, 0, nil
	d.store = d.replay(len(d.journal))
	d.terms++
	if !d.broken.keepsName {
		d.log = fmt.Sprint(d.terms)
	}
}

// since counts the changes made after a true time.
func (d *database) since(t time.Duration) (n int) {
	for n < len(d.journal) && d.journal[len(d.journal)-1-n].at > t {
		n++
	}
	return n
}

func (d *database) live(id counterfoil.ID) bool {
	_, err := d.store.Load(context.Background(), id)
	return err == nil
}

// head is where the log ends.
func (d *database) head() uint64 {
	page, _ := d.store.Log(context.Background(), 0, 0)
	return page.Head
}

// late returns a store that has what was changed until a true time.
func (d *database) late(until time.Duration) counterfoil.Store {
	if d.replica == nil {
		d.replica = memory.New(memory.Options{Shared: true})
	}
	for ; d.copied < len(d.journal) && d.journal[d.copied].at <= until; d.copied++ {
		d.journal[d.copied].do(d.replica)
	}
	return d.replica
}

// note keeps when new entries of the log came.
func (d *database) note(now time.Duration) {
	if d.broken.uncommitted == 0 {
		return
	}
	page, err := d.store.Log(context.Background(), 0, 0)
	for d.known < page.Head && err == nil {
		d.known++
		d.born[d.known] = now
	}
}

// committed leaves those entries out that took their number before they were committed: every third,
// if it is younger than from.
func (d *database) committed(p counterfoil.Page, since uint64, from time.Duration) counterfoil.Page {
	var seen []counterfoil.Entry
	head := since
	for _, e := range p.Entries {
		if e.Seq%3 == 0 && d.born[e.Seq] > from {
			continue
		}
		seen, head = append(seen, e), e.Seq
	}
	if len(p.Entries) > 0 {
		p.Entries, p.Head = seen, head
	}
	return p
}
