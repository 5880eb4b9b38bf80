package audit

import "io"

// Position is a place in a store's log.
type Position struct {
	Log string // its incarnation
	Seq uint64
}

// After verifies a file as [Verify] does and calls f, in order, for every line that follows what the
// store did at a position: all that happened since then, in that log and in those that came after it.
// whole is false if the file does not tell all of that: it does not know the position, has a gap after
// it, or goes on there under a key that is gone. What f was told counts only if whole is true and the
// Report has nothing Broken. An error means that r could not be read to its end.
func After(r io.Reader, key *[32]byte, last []byte, at Position, f func(Line)) (rep Report, whole bool, err error) {
	w := follower{at: at, f: f}
	rep, err = verify(r, key, last, w.line)
	return rep, w.after && !w.hole && rep.Broken == 0 && err == nil, err
}

// follower looks for a position and passes on what comes after it.
type follower struct {
	at    Position
	f     func(Line)
	log   string // of which the lines are
	after bool   // the position is behind us
	hole  bool   // something after it is missing
}

func (w *follower) line(l Line, ours bool) {
	if l.Log != "" {
		w.log = l.Log
	}
	switch {
	case w.after && (!ours || l.Kind == KindGap):
		w.hole = true
	case w.after:
		w.f(l)
	case !ours || w.log != w.at.Log:
	case l.Seq == w.at.Seq+1: // the first after it, at the beginning of what is exported
		w.after = true
		w.f(l)
	default:
		w.after = l.Seq == w.at.Seq && (l.Seq != 0 || l.Log != "") || l.Kind == KindGap && l.LostTo == w.at.Seq
	}
}
