package audit

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode"
	"unicode/utf8"
)

// Version of the lines that this package writes.
const Version = 1

// MaxLine is the length that no line reaches, in bytes.
const MaxLine = 16 << 10

// Kinds of lines that are about the file itself; all others are a counterfoil.EventKind.
const (
	KindBegin   = "begin"   // first line of a chain
	KindRecover = "recover" // first line of a chain after a crash, or after the file was changed by others
	KindDropped = "dropped" // Count refusals found no room
	KindGap     = "gap"     // the store's log had lost the entries LostFrom to LostTo
	KindStore   = "store"   // the store's log is not the one it was: a backup was restored, or it is new
)

// Line is one line of the file. A field that says nothing is not written.
type Line struct {
	Version int       `json:"v"`
	Chain   string    `json:"chain"`
	Number  uint64    `json:"n"` // the line's number in the file, from 1
	Node    string    `json:"node"`
	Time    time.Time `json:"time"`
	Kind    string    `json:"kind"`
	Reason  string    `json:"reason,omitempty"`
	Seq     uint64    `json:"seq,omitempty"` // position in the store's log

	Session     string   `json:"session,omitempty"`
	SessionKind string   `json:"session_kind,omitempty"`
	Subject     string   `json:"subject,omitempty"`
	Actor       string   `json:"actor,omitempty"`
	IP          string   `json:"ip,omitempty"`
	Label       string   `json:"label,omitempty"`
	Methods     []string `json:"methods,omitempty"`
	Level       int      `json:"level,omitempty"`
	Count       int      `json:"count,omitempty"`

	Request string `json:"request,omitempty"` // the store's request to its storage that wrote the entry, in hex

	Except []string `json:"except,omitempty"` // ended-many: sessions that it spared

	// Unreadable: the entry's detail did not open, its key is gone; SubjectHash is all that is known
	// of the subject. An ended-many has it in any case: a restored backup is compared by it.
	Unreadable  bool   `json:"unreadable,omitempty"`
	SubjectHash string `json:"subject_hash,omitempty"`

	After     string `json:"after,omitempty"`      // begin, recover: SHA-256 of the last good line before, in hex
	Torn      int64  `json:"torn,omitempty"`       // recover: bytes that a crash left after that line
	TornLines uint64 `json:"torn_lines,omitempty"` // recover: as how many lines they stand in the file
	TornSum   string `json:"torn_sum,omitempty"`   // recover: their SHA-256, in hex
	Missing   uint64 `json:"missing,omitempty"`    // recover: the store knows a last line of this number that the file does not have

	Log string `json:"log,omitempty"` // begin, recover, store: incarnation of the store's log that Seq counts in from here on

	Requests string `json:"requests,omitempty"` // begin, recover: how the IDs of this process' requests to the storage begin

	LostFrom uint64 `json:"lost_from,omitempty"` // gap: first position lost
	LostTo   uint64 `json:"lost_to,omitempty"`   // gap: last position lost

	MAC string `json:"mac,omitempty"` // 32 bytes in base64url, always last
}

const (
	macBefore = `,"mac":"`
	macAfter  = `"}`
	macText   = 43
	macPart   = len(macBefore) + macText + len(macAfter)
)

// body returns the line's bytes up to its MAC: printable, without a line break, whatever the fields
// hold.
func (l *Line) body() ([]byte, error) {
	l.MAC = ""
	raw, err := json.Marshal(l)
	if err != nil {
		return nil, fmt.Errorf("audit: a line does not encode: %w", err)
	}
	raw = escape(raw[:len(raw)-1])
	if len(raw)+macPart > MaxLine {
		return nil, errors.New("audit: a line is too long")
	}
	return raw, nil
}

// seal adds the MAC to a body and ends the line.
func seal(body []byte, sum [32]byte) []byte {
	body = append(body, macBefore...)
	body = base64.RawURLEncoding.AppendEncode(body, sum[:])
	return append(body, macAfter+"\n"...)
}

// escape writes what is not printable as \u: JSON leaves DEL, the C1 controls and marks that turn
// the direction of text as they are, and terminals obey them.
func escape(raw []byte) []byte {
	clean := true
	for _, r := range string(raw) {
		clean = clean && unicode.IsPrint(r)
	}
	if clean {
		return raw
	}
	out := make([]byte, 0, len(raw)+16)
	for _, r := range string(raw) {
		switch {
		case unicode.IsPrint(r):
			out = utf8.AppendRune(out, r)
		case r > 0xffff:
			r -= 0x10000
			out = fmt.Appendf(out, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}

// ParseLine reads one line without its line break. It checks the form, not the MAC: [Verify] does.
func ParseLine(text []byte) (Line, error) {
	l, _, _, err := parse(text)
	return l, err
}

var errForm = errors.New("audit: not a line of an audit file")

// parse also returns the bytes that the MAC covers, and the MAC.
func parse(text []byte) (l Line, body []byte, sum [32]byte, err error) {
	at := len(text) - macPart
	if at < 1 || len(text) > MaxLine || !utf8.Valid(text) ||
		!bytes.HasPrefix(text[at:], []byte(macBefore)) || !bytes.HasSuffix(text, []byte(macAfter)) {
		return Line{}, nil, sum, errForm
	}
	coded := text[at+len(macBefore) : len(text)-len(macAfter)]
	if _, err := base64.RawURLEncoding.Strict().Decode(sum[:], coded); err != nil {
		return Line{}, nil, sum, errForm
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil || d.InputOffset() != int64(len(text)) {
		return Line{}, nil, sum, errForm
	}
	if _, err := d.Token(); err != io.EOF {
		return Line{}, nil, sum, errForm
	}
	if _, ok := parseChainID(l.Chain); !ok || l.Version != Version || l.Number == 0 || l.Kind == "" {
		return Line{}, nil, sum, errForm
	}
	return l, text[:at], sum, nil
}

// opens reports whether the line is the first of a chain.
func (l *Line) opens() bool { return l.Kind == KindBegin || l.Kind == KindRecover }

// lineTime is t as lines show it; a year that RFC 3339 cannot write becomes the zero time.
func lineTime(t time.Time) time.Time {
	t = t.UTC().Truncate(time.Millisecond)
	if t.Year() < 1 || t.Year() > 9999 {
		return time.Time{}
	}
	return t
}

// clip bounds a text that came from outside to at most max bytes.
func clip(s string, max int) string {
	if len(s) <= max {
		return s
	}
	s = s[:max]
	for len(s) > 0 {
		if r, n := utf8.DecodeLastRuneInString(s); r != utf8.RuneError || n != 1 {
			break
		}
		s = s[:len(s)-1]
	}
	return s
}
