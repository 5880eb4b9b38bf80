package audit

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
)

// physical is one line of the file as it stands there, good or not.
type physical struct {
	text  []byte // without the line break; at most MaxLine bytes of it; valid until the next read
	size  int64  // of the whole line, without the line break
	ended bool   // the line break was there
}

// lines reads physical lines in bounded memory.
type lines struct {
	r    *bufio.Reader
	text []byte
}

func newLines(r io.Reader) *lines { return &lines{r: bufio.NewReaderSize(r, 32<<10)} }

// next returns io.EOF after the last line.
func (s *lines) next() (physical, error) {
	s.text = s.text[:0]
	var p physical
	for {
		part, err := s.r.ReadSlice('\n')
		p.ended = err == nil
		if p.ended {
			part = part[:len(part)-1]
		}
		p.size += int64(len(part))
		s.text = append(s.text, part[:min(len(part), MaxLine-len(s.text))]...)
		switch {
		case err == bufio.ErrBufferFull:
		case err == io.EOF && p.size == 0:
			return p, io.EOF
		case err == nil || err == io.EOF:
			p.text = s.text
			return p, nil
		default:
			return p, err
		}
	}
}

const damaged = "it is damaged: not a line of an audit file"

// walker follows a file line by line and judges whether each may stand where it stands.
type walker struct {
	root *[32]byte

	number  uint64   // physical lines passed
	good    [32]byte // SHA-256 of the last good line
	hasGood bool
	chain   chainID
	first   uint64 // number of the chain's first line
	ours    bool   // the chain is under root
	keys    ratchet

	torn torn // lines passed since the last good one that are no lines
}

// torn is what a crash may leave behind: the beginnings of lines.
type torn struct {
	lines uint64
	bytes int64 // line breaks between them included
	sum   hash.Hash
}

func (t *torn) add(p physical) {
	if t.sum == nil {
		t.sum = sha256.New()
	}
	if t.lines > 0 {
		t.sum.Write([]byte("\n"))
		t.bytes++
	}
	t.sum.Write(p.text)
	t.bytes += p.size
	t.lines++
}

func (t *torn) hex() string {
	if t.sum == nil {
		return ""
	}
	return hex.EncodeToString(t.sum.Sum(nil))
}

// fault is what is wrong with a line. The zero fault: nothing.
type fault struct {
	line uint64
	why  string
}

// pass takes the next physical line and says what it says. A line that may not stand here is
// reported and not passed; the fault may lie with the line before it.
func (w *walker) pass(p physical) (Line, fault) {
	at := w.number + 1
	l, body, sum, err := parse(p.text)
	if err != nil || p.size != int64(len(p.text)) {
		return Line{}, fault{at, damaged}
	}
	chain, _ := parseChainID(l.Chain)
	switch {
	case l.Number > at:
		return l, fault{at, "lines are missing before it, or it was moved: it has a higher number than its place"}
	case l.Number < at:
		return l, fault{at, "it stands twice, or was moved: it has a lower number than its place"}
	}
	next := *w
	if l.opens() {
		next.chain, next.first, next.ours, next.torn = chain, at, chain.ours(w.root), torn{}
		next.keys = newRatchet(w.root, chain)
	} else if f := w.mayFollow(chain); f.line > 0 {
		return l, f
	}
	if next.ours && !next.keys.check(body, sum) {
		return l, fault{at, "its MAC is wrong: it, or the line before it, was changed or moved"}
	}
	if l.opens() {
		if f := w.mayOpen(&l, next.ours); f.line > 0 {
			return l, f
		}
	}
	next.number, next.hasGood = at, true
	next.good = sha256.Sum256(p.text)
	*w = next
	return l, fault{}
}

// mayFollow judges the chain of a line that is not the first of one.
func (w *walker) mayFollow(chain chainID) fault {
	switch {
	case w.torn.lines > 0:
		return fault{w.number, damaged}
	case w.hasGood && chain == w.chain:
		return fault{}
	case w.hasGood && w.first == w.number && !w.ours && chain.ours(w.root):
		return fault{w.number, "it begins another chain than the line after it belongs to: it was changed"}
	}
	return fault{w.number + 1, "it belongs to another chain than the line before it"}
}

// mayOpen judges the first line of a chain: it must name what stands before it.
func (w *walker) mayOpen(l *Line, ours bool) fault {
	after := ""
	if w.hasGood {
		after = hex.EncodeToString(w.good[:])
	}
	switch {
	case l.After != after && ours && w.hasGood && w.torn.lines == 0:
		return fault{w.number, "it is not the line that the next chain begins after: it was changed, or others are missing"}
	case l.After != after:
		return fault{w.number + 1, "it does not follow the line before it: that one was changed, or lines are missing"}
	case l.Torn != w.torn.bytes || l.TornLines != w.torn.lines || l.TornSum != w.torn.hex():
		return fault{w.number + 1, "it tells of other remains of a crash than stand before it"}
	}
	return fault{}
}

// tear passes a physical line that is none. It reports false for one that has the form of a line:
// no crash leaves that, so somebody else wrote it.
func (w *walker) tear(p physical) bool {
	if _, _, _, err := parse(p.text); err == nil && p.size == int64(len(p.text)) {
		return false
	}
	w.number++
	w.torn.add(p)
	return true
}
