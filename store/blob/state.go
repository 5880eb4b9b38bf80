package blob

import (
	"bytes"
	"container/heap"
	"fmt"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/account"
)

// Kinds of changes. The letters are part of the stored format.
const (
	kindRecord  = 'r' // session ID -> record
	kindTouch   = 't' // session ID -> seen and idle end
	kindWipe    = 'w' // removes all records
	kindEntry   = 'e' // position -> entry of the log
	kindFloor   = 'f' // -> entries at or below are trimmed
	kindOp      = 'o' // operation ID -> outcome
	kindMeta    = 'm' // key -> value
	kindReader  = 'a' // reader -> position it has acknowledged
	kindNode    = 'n' // node -> beat, position, fenced
	kindLog     = 'i' // -> the log's incarnation
	kindAccount = 'u' // name -> account
	kindAttempt = 'k' // key -> counted attempts
	kindLink    = 'l' // hash -> one-time link
)

// state is what the journal says up to object n. It is changed by apply alone, so that every node
// that has read the same objects has the same state. It is not safe for use by many goroutines.
type state struct {
	n    uint64
	last writeID // of object n

	records  map[counterfoil.ID]*counterfoil.Record // never changed in place
	subjects map[counterfoil.SubjectHash]ids        // whose, and who acts
	children map[counterfoil.ID]ids                 // by parent and by root
	due      dueHeap
	order    []counterfoil.ID // sorted, those that ended included
	recent   []counterfoil.ID // not yet in order

	entries     []counterfoil.Entry // from floor + 1 on
	floor       uint64
	incarnation string
	ops         map[counterfoil.OpID]*outcome

	meta    map[string][]byte
	readers map[string]uint64
	nodes   map[string]node

	accounts map[string]*account.Account
	attempts map[string]counted
	links    map[[32]byte]account.Link
	linkOf   map[linkOwner][32]byte
}

type ids map[counterfoil.ID]struct{}

func newState() *state {
	return &state{
		records: map[counterfoil.ID]*counterfoil.Record{}, subjects: map[counterfoil.SubjectHash]ids{}, children: map[counterfoil.ID]ids{},
		ops: map[counterfoil.OpID]*outcome{}, meta: map[string][]byte{}, readers: map[string]uint64{}, nodes: map[string]node{},
		accounts: map[string]*account.Account{}, attempts: map[string]counted{}, links: map[[32]byte]account.Link{}, linkOf: map[linkOwner][32]byte{},
	}
}

func (s *state) head() uint64 { return s.floor + uint64(len(s.entries)) }

// entry returns the entry at a position that is kept.
func (s *state) entry(seq uint64) *counterfoil.Entry { return &s.entries[seq-s.floor-1] }

// apply makes a change and returns how to take it back. ErrDamaged; then nothing has changed.
func (s *state) apply(c change) (undo func(), err error) {
	switch c.kind {
	case kindRecord, kindTouch:
		if len(c.key) != 16 {
			return nil, fmt.Errorf("%w (a session's ID)", ErrDamaged)
		}
		return s.applyRecord(counterfoil.ID(c.key), c)
	case kindWipe:
		return s.wipe(), nil
	case kindEntry:
		d := decoder{rest: c.key}
		seq := d.number()
		if err := d.over("a position"); err != nil {
			return nil, err
		}
		if seq != s.head()+1 {
			return nil, fmt.Errorf("%w (entry %d of the log follows %d)", ErrDamaged, seq, s.head())
		}
		e, err := decodeEntry(seq, c.value)
		if err != nil {
			return nil, err
		}
		s.entries = append(s.entries, e)
		return func() { s.entries = s.entries[:len(s.entries)-1] }, nil
	case kindFloor:
		d := decoder{rest: c.value}
		floor := d.number()
		if err := d.over("the floor of the log"); err != nil {
			return nil, err
		}
		return s.trim(floor)
	case kindOp:
		if len(c.key) != 16 {
			return nil, fmt.Errorf("%w (an operation's ID)", ErrDamaged)
		}
		o, err := decodeOutcome(c.value)
		if err != nil {
			return nil, err
		}
		return assign(s.ops, counterfoil.OpID(c.key), o), nil
	case kindMeta:
		if c.value == nil {
			return discard(s.meta, string(c.key)), nil
		}
		return assign(s.meta, string(c.key), bytes.Clone(c.value)), nil
	case kindReader:
		if c.value == nil {
			return discard(s.readers, string(c.key)), nil
		}
		d := decoder{rest: c.value}
		seq := d.number()
		if err := d.over("a reader"); err != nil {
			return nil, err
		}
		return assign(s.readers, string(c.key), seq), nil
	case kindNode:
		if c.value == nil {
			return discard(s.nodes, string(c.key)), nil
		}
		n, err := decodeNode(c.value)
		if err != nil {
			return nil, err
		}
		return assign(s.nodes, string(c.key), n), nil
	case kindLog:
		old := s.incarnation
		s.incarnation = string(c.value)
		return func() { s.incarnation = old }, nil
	case kindAccount, kindAttempt, kindLink:
		return s.applyAccount(c)
	}
	return nil, fmt.Errorf("%w (a change of kind %q)", ErrNewer, c.kind)
}

func (s *state) applyRecord(id counterfoil.ID, c change) (func(), error) {
	old := s.records[id]
	var r *counterfoil.Record
	switch {
	case c.kind == kindTouch:
		d := decoder{rest: c.value}
		seen, idle := d.time(), d.time()
		if err := d.over("a touch"); err != nil {
			return nil, err
		}
		if old == nil {
			return func() {}, nil
		}
		touched := *old
		touched.Seen, touched.IdleEnd = seen, idle
		r = &touched
	case c.value != nil:
		var err error
		if r, err = decodeRecord(id, c.value); err != nil {
			return nil, err
		}
	}
	s.place(id, old, r)
	return func() { s.place(id, r, old) }, nil
}

// place puts r where old was; nil stands for none.
func (s *state) place(id counterfoil.ID, old, r *counterfoil.Record) {
	switch {
	case r == nil && old == nil:
		return
	case r == nil:
		delete(s.records, id)
		s.unlink(old)
		return
	case old == nil:
		s.link(r)
		s.recent = append(s.recent, id)
		heap.Push(&s.due, dueAt(r))
	}
	s.records[id] = r
}

func (s *state) link(r *counterfoil.Record) {
	for _, subject := range [...]counterfoil.SubjectHash{r.Subject, r.Actor} {
		add(s.subjects, subject, r.ID)
	}
	for _, id := range [...]counterfoil.ID{r.Parent, r.Root} {
		add(s.children, id, r.ID)
	}
}

func (s *state) unlink(r *counterfoil.Record) {
	for _, subject := range [...]counterfoil.SubjectHash{r.Subject, r.Actor} {
		remove(s.subjects, subject, r.ID)
	}
	for _, id := range [...]counterfoil.ID{r.Parent, r.Root} {
		remove(s.children, id, r.ID)
	}
}

func add[K comparable](m map[K]ids, k K, id counterfoil.ID) {
	var zero K
	if k == zero {
		return
	}
	if m[k] == nil {
		m[k] = ids{}
	}
	m[k][id] = struct{}{}
}

func remove[K comparable](m map[K]ids, k K, id counterfoil.ID) {
	delete(m[k], id)
	if len(m[k]) == 0 {
		delete(m, k)
	}
}

// wipe removes all records at once.
func (s *state) wipe() (undo func()) {
	records, subjects, children, due := s.records, s.subjects, s.children, s.due
	s.records, s.subjects, s.children, s.due = map[counterfoil.ID]*counterfoil.Record{}, map[counterfoil.SubjectHash]ids{}, map[counterfoil.ID]ids{}, nil
	return func() { s.records, s.subjects, s.children, s.due = records, subjects, children, due }
}

// trim forgets the entries up to floor, and the operations that they bear.
func (s *state) trim(floor uint64) (func(), error) {
	if floor < s.floor || floor > s.head() {
		if len(s.entries) == 0 && s.n == 0 { // a snapshot of a log that was trimmed to its head
			was := s.floor
			s.floor = floor
			return func() { s.floor = was }, nil
		}
		return nil, fmt.Errorf("%w (the log is trimmed to %d, its head is %d)", ErrDamaged, floor, s.head())
	}
	was, entries := s.floor, s.entries
	forgotten := map[counterfoil.OpID]*outcome{}
	for _, e := range entries[:floor-was] {
		if o := s.ops[e.Op]; o != nil && o.seq == e.Seq {
			forgotten[e.Op] = o
			delete(s.ops, e.Op)
		}
	}
	s.floor, s.entries = floor, slices.Clone(entries[floor-was:])
	return func() {
		s.floor, s.entries = was, entries
		for op, o := range forgotten {
			s.ops[op] = o
		}
	}, nil
}

// assign and discard change a map and say how to take it back.
func assign[K comparable, V any](m map[K]V, k K, v V) (undo func()) {
	old, had := m[k]
	m[k] = v
	return func() {
		if had {
			m[k] = old
		} else {
			delete(m, k)
		}
	}
}

func discard[K comparable, V any](m map[K]V, k K) (undo func()) {
	old, had := m[k]
	delete(m, k)
	return func() {
		if had {
			m[k] = old
		}
	}
}

// dueHeap orders records by when they are to be looked at: never later than their end. An item may
// outlive its record or be too early; whoever takes it looks.
type dueHeap []dueItem

type dueItem struct {
	at time.Time
	id counterfoil.ID
}

func dueAt(r *counterfoil.Record) dueItem { return dueItem{end(r), r.ID} }

// end is the earlier of the two ends.
func end(r *counterfoil.Record) time.Time {
	if r.IdleEnd.Before(r.AbsoluteEnd) {
		return r.IdleEnd
	}
	return r.AbsoluteEnd
}

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h dueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push and Pop are container/heap's.
func (h *dueHeap) Push(x any) { *h = append(*h, x.(dueItem)) }

// Pop removes the last item.
func (h *dueHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}
