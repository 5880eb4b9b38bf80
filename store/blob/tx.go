package blob

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil"
)

// tx collects the changes of calls that are to be committed together. They are in the state at once,
// so that each call sees what those before it did, and are taken back if the commit fails.
type tx struct {
	s       *state
	id      counterfoil.RequestID // of the request that is to commit them
	changes []change
	undo    []func()
	size    int
	fault   error // a change that the state refused: a mistake of this package
}

func (t *tx) set(kind byte, key, value []byte) {
	c := change{kind, key, value}
	undo, err := t.s.apply(c)
	if err != nil {
		t.fault = err
		return
	}
	t.changes, t.undo = append(t.changes, c), append(t.undo, undo)
	t.size += c.size()
}

// back takes back all changes but the first n.
func (t *tx) back(n int) {
	for i := len(t.undo) - 1; i >= n; i-- {
		t.undo[i]()
		t.size -= t.changes[i].size()
	}
	t.changes, t.undo = t.changes[:n], t.undo[:n]
}

// append adds an entry to the log and returns its position.
func (t *tx) append(e counterfoil.Entry) uint64 {
	e.Version, e.Request = counterfoil.EntryVersion, t.id
	seq := t.s.head() + 1
	t.set(kindEntry, binary.AppendUvarint(nil, seq), encodeEntry(&e))
	return seq
}

func (t *tx) put(r *counterfoil.Record) { t.set(kindRecord, r.ID[:], encodeRecord(r)) }

// remember keeps what an operation did for as long as its entry is in the log.
func (t *tx) remember(op counterfoil.OpID, o outcome) {
	if op != (counterfoil.OpID{}) {
		t.set(kindOp, op[:], o.encode())
	}
}

// first returns what the first call with an operation ID did, nil if there was none.
func (t *tx) first(op counterfoil.OpID, kind counterfoil.EntryKind) *outcome {
	if o := t.s.ops[op]; o != nil && o.kind == kind {
		return o
	}
	return nil
}

// ending ends records for one reason and counts them.
type ending struct {
	t     *tx
	time  time.Time
	ended []counterfoil.ID
	count int
}

func (x *ending) note(id counterfoil.ID) {
	if x.count++; len(x.ended) < counterfoil.MaxEndedListed {
		x.ended = append(x.ended, id)
	}
}

// end removes r, if it is still there, and then its descendants. Those that by covers (nil: none)
// need no entry of their own.
func (x *ending) end(r *counterfoil.Record, why counterfoil.Reason, by *counterfoil.Entry) {
	if x.t.s.records[r.ID] == nil {
		return
	}
	x.t.set(kindRecord, r.ID[:], nil)
	if by == nil || !by.Ends(r) {
		x.t.append(about(r, counterfoil.Entry{Kind: counterfoil.EntryEnded, Reason: why, Time: x.time}))
	}
	x.note(r.ID)
	for _, id := range sorted(x.t.s.children[r.ID]) {
		if child := x.t.s.records[id]; child != nil {
			x.end(child, counterfoil.ReasonParent, by)
		}
	}
}

// about returns e with the clear fields of the session it is about.
func about(r *counterfoil.Record, e counterfoil.Entry) counterfoil.Entry {
	e.Session, e.Subject, e.Actor, e.Parent, e.Root = r.ID, r.Subject, r.Actor, r.Parent, r.Root
	return e
}

func sorted(set ids) []counterfoil.ID {
	out := make([]counterfoil.ID, 0, len(set))
	for id := range set {
		out = append(out, id)
	}
	slices.SortFunc(out, compareIDs)
	return out
}

func compareIDs(a, b counterfoil.ID) int { return slices.Compare(a[:], b[:]) }
