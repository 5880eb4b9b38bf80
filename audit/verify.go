package audit

import (
	"fmt"
	"io"
)

// Report is what a verification found.
type Report struct {
	Lines        int    // lines read
	Unverifiable int    // good-looking lines of chains whose key is gone
	Torn         int    // beginnings of lines that crashes left; each is accounted for, nothing acknowledged is in them
	Broken       int    // number of the first line that is broken, missing, out of order or cut off; 0: none
	Why          string // what is wrong with it, "" if Broken is 0
}

// Verify reads a file and names the first line that is broken, missing, out of order or cut off. key
// is the ring's AuditKey; last is what the store keeps under [TailKey], read before the file: without
// it (nil) a cut end is not found. The memory used does not depend on the file. Lines under a key
// that is gone are counted as unverifiable, where a later chain under key vouches for their end. An
// error means that r could not be read to its end.
func Verify(r io.Reader, key *[32]byte, last []byte) (Report, error) {
	return verify(r, key, last, nil)
}

func verify(r io.Reader, key *[32]byte, last []byte, each func(Line, bool)) (Report, error) {
	want, err := parseTail(last)
	if err != nil {
		return Report{}, err
	}
	v := verification{walker: walker{root: key}, want: want, each: each}
	src := newLines(r)
	for v.Broken == 0 {
		p, err := src.next()
		if err == io.EOF {
			v.end()
			break
		}
		if err != nil {
			return v.Report, fmt.Errorf("audit: the file cannot be read: %w", err)
		}
		v.Lines++
		v.line(p)
	}
	return v.Report, nil
}

type verification struct {
	Report
	walker
	want     tail // what the store says of the last line; Number 0: nothing
	tornAt   int  // first of the torn lines not yet accounted for
	openEnd  bool // the last of them has no line break: a crash just now, or a line being written
	wantOurs bool // the line that the store knows is under key

	each func(l Line, ours bool) // nil, or gets every good line
}

func (v *verification) fault(line int, why string) {
	if v.Broken == 0 {
		v.Broken, v.Why = line, why
	}
}

func (v *verification) line(p physical) {
	at := v.Lines
	l, f := v.pass(p)
	if f.line > 0 {
		switch {
		case v.tear(p):
			if v.torn.lines == 1 {
				v.tornAt = at
			}
			v.openEnd = !p.ended
		case v.torn.lines > 0:
			v.fault(v.tornAt, damaged)
		default:
			v.fault(int(f.line), f.why)
		}
		return
	}
	if l.opens() && l.TornLines > 0 {
		v.Torn += int(l.TornLines)
	}
	if !v.ours {
		v.Unverifiable++
	}
	if v.each != nil {
		v.each(l, v.ours)
	}
	switch number := uint64(at); {
	case l.Missing > 0 && v.ours:
		v.fault(at, fmt.Sprintf("when it was written the file had lost its lines up to number %d", l.Missing))
	case number <= v.want.Number && !p.ended:
		v.fault(at, "its end is cut off")
	case number == v.want.Number:
		v.wantOurs = v.ours
		if !v.want.is(l) {
			v.fault(at, "it is not the line that the store knows under this number: the file was cut or replaced")
		}
	case number > v.want.Number && v.wantOurs && !v.ours:
		v.fault(at, "it follows the last line that the store knows, under another key")
	}
}

// end judges what only the end of the file shows.
func (v *verification) end() {
	if v.torn.lines > 0 && !(v.openEnd && uint64(v.Lines) > v.want.Number) {
		v.fault(v.tornAt, damaged)
	}
	if v.torn.lines > 0 {
		v.Torn += int(v.torn.lines)
	}
	if uint64(v.Lines) < v.want.Number {
		v.fault(v.Lines+1, fmt.Sprintf("the end is cut off: the store knows lines up to number %d", v.want.Number))
	}
}
