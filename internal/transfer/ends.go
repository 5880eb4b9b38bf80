package transfer

import (
	"encoding/hex"
	"maps"
	"slices"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
)

// ends is what ended after a moment, in the order of the steps in which it is told.
type ends struct {
	all      bool // nothing lives
	step     int
	sessions map[counterfoil.ID]int // when the session ended last
	back     map[counterfoil.ID]int // when a copy or an earlier restore brought it back: what came before was judged then
	wide     []wideEnd
	locked   map[string]bool // users whose password was changed
	disabled map[string]bool
}

// wideEnd ends sessions of a subject, or all.
type wideEnd struct {
	step  int
	entry counterfoil.Entry
}

func newEnds() *ends {
	return &ends{
		sessions: map[counterfoil.ID]int{}, back: map[counterfoil.ID]int{}, locked: map[string]bool{}, disabled: map[string]bool{},
	}
}

// add notes an end. One about sessions that were there at a position covers none that was born later;
// its Seq is 0 if all that it is compared with was there.
func (n *ends) add(e counterfoil.Entry) {
	n.step++
	if e.Kind == counterfoil.EntryEnded {
		n.sessions[e.Session] = n.step
	} else {
		n.wide = append(n.wide, wideEnd{n.step, e})
	}
}

// line notes what a line of the audit tells. One that cannot be understood ends everything: rather too
// much than too little.
func (n *ends) line(l audit.Line) {
	id, err := counterfoil.ParseID(l.Session)
	hash, hashErr := hex.DecodeString(l.SubjectHash)
	e := counterfoil.Entry{Kind: counterfoil.EntryEndedAll}
	switch counterfoil.EventKind(l.Kind) {
	case counterfoil.EventCreated, counterfoil.EventSignedIn:
		if why := counterfoil.Reason(l.Reason); err == nil && (why == counterfoil.ReasonRestored || why == counterfoil.ReasonCopied) {
			n.step++
			n.back[id] = n.step
		}
		return
	case counterfoil.EventEnded:
		if err == nil {
			e.Kind, e.Session = counterfoil.EntryEnded, id
		}
	case counterfoil.EventEndedMany:
		if hashErr == nil && len(hash) == len(e.Subject) {
			e.Kind, e.Subject = counterfoil.EntryEndedSubject, counterfoil.SubjectHash(hash)
		}
		for _, text := range l.Except {
			if id, err := counterfoil.ParseID(text); err == nil {
				e.Except = append(e.Except, id)
			}
		}
		switch counterfoil.Reason(l.Reason) {
		case counterfoil.ReasonPasswordChanged:
			n.locked[l.Subject] = true
		case counterfoil.ReasonDisabled:
			n.disabled[l.Subject] = true
		}
	case counterfoil.EventEndedAll:
	default:
		return
	}
	n.add(e)
}

// follow adds what came after.
func (n *ends) follow(later *ends) {
	for id, step := range later.sessions {
		n.sessions[id] = n.step + step
	}
	for id, step := range later.back {
		n.back[id] = n.step + step
	}
	for _, w := range later.wide {
		n.wide = append(n.wide, wideEnd{n.step + w.step, w.entry})
	}
	maps.Copy(n.locked, later.locked)
	maps.Copy(n.disabled, later.disabled)
	n.step += later.step
}

// cover reports whether the session of r ended.
func (n *ends) cover(r *counterfoil.Record) bool {
	if n.all {
		return true
	}
	back := n.back[r.ID]
	for _, id := range []counterfoil.ID{r.ID, r.Parent, r.Root} {
		if !id.IsZero() && n.sessions[id] > back {
			return true
		}
	}
	return slices.ContainsFunc(n.wide, func(w wideEnd) bool {
		return w.step > back && (w.entry.Seq == 0 || r.Born < w.entry.Seq) && w.entry.Ends(r)
	})
}
