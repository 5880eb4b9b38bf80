package keyring

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
)

// The format of key files is described in the package's documentation and in docs/keys.md.
const (
	fileName    = "counterfoil-keys "
	fileVersion = "1"
	fileLimit   = 64 << 10 // bytes; some 500 keys
	noWrap      = "none"
	noValue     = "-"
	sumMark     = "\nsum "
)

var (
	// ErrVersion says that a key file has a version that this program does not know.
	ErrVersion = errors.New("of a format version that this program does not know: it was written by a newer program, or is damaged")
	// ErrWrapped says that a key file is wrapped (encrypted) in a way that this program does not know.
	ErrWrapped = errors.New("wrapped in a way that this program cannot undo")
)

// Parse reads the text of a key file, or one key line with or without a newline at its end, into a
// ring in memory. Errors: [ErrNotKey], [ErrCut], [ErrDamaged], [ErrWeak], [ErrVersion],
// [ErrWrapped].
func Parse(data []byte) (*Ring, error) {
	s, err := parse(data)
	if err != nil {
		return nil, err
	}
	r := &Ring{source: Source{Kind: SourceMemory}}
	r.now.Store(s)
	return r, nil
}

// Marshal writes the ring as a key file. The text is a secret. [ErrNoKey]: the ring is empty.
func (r *Ring) Marshal() ([]byte, error) {
	s := r.snapshot()
	if len(s.usable) == 0 {
		return nil, ErrNoKey
	}
	r.change.Lock() // so that no key loses its bytes meanwhile
	defer r.change.Unlock()
	return r.snapshot().encode()
}

func (s *snapshot) marshal() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s%s\nwrap %s\n", fileName, fileVersion, noWrap)
	fmt.Fprintf(&b, "root index %s\n", (*Key)(s.index).line(rootPrefix))
	fmt.Fprintf(&b, "root audit %s\n", (*Key)(s.audit).line(rootPrefix))
	for _, k := range s.slots {
		created, line := noValue, noValue
		if !k.created.IsZero() {
			created = k.created.Format(time.RFC3339)
		}
		if k.state != Disabled {
			line = k.bytes.Line()
		}
		fmt.Fprintf(&b, "key %s %s %s %s\n", k.id, k.state, created, line)
	}
	sum := sha256.Sum256(b.Bytes())
	fmt.Fprintf(&b, "sum %x\n", sum)
	return b.Bytes()
}

// encode is marshal for what is to be kept: a text that could not be read back is not written.
func (s *snapshot) encode() ([]byte, error) {
	data := s.marshal()
	if len(data) > fileLimit {
		return nil, errors.New("keyring: too many keys for one file, nothing was changed: retire those that nothing uses any more")
	}
	if _, err := parse(data); err != nil {
		return nil, fmt.Errorf("keyring: these keys could not be read back, nothing was changed; is the clock right? %w", err)
	}
	return data, nil
}

func parse(data []byte) (*snapshot, error) {
	text := string(data)
	if !strings.HasPrefix(text, fileName) {
		if text != "" && strings.HasPrefix(fileName, text) {
			return nil, fmt.Errorf("its first line is not whole: %w", ErrCut)
		}
		k, err := ParseKey(strings.TrimSuffix(text, "\n"))
		if err != nil {
			return nil, err
		}
		return singleSnapshot(k), nil
	}
	body, err := checkFrame(text)
	if err != nil {
		return nil, err
	}
	s, err := parseBody(body)
	if err != nil {
		return nil, err
	}
	// One text for one content: whatever else would be read is not what a program has written.
	if string(s.marshal()) != text {
		return nil, fmt.Errorf("not in the one form that is written: %w", ErrDamaged)
	}
	return s, nil
}

// checkFrame checks version and checksum and returns the lines between them.
func checkFrame(text string) ([]string, error) {
	head, _, whole := strings.Cut(text, "\n")
	if version := head[len(fileName):]; whole && version != fileVersion {
		return nil, ErrVersion
	}
	at := strings.LastIndex(text, sumMark)
	if at < 0 {
		return nil, fmt.Errorf("its last line is missing: %w", ErrCut)
	}
	summed, sum := text[:at+1], text[at+len(sumMark):]
	if len(sum) < 2*sha256.Size+1 {
		return nil, fmt.Errorf("its last line is not whole: %w", ErrCut)
	}
	want := sha256.Sum256([]byte(summed))
	if sum != hex.EncodeToString(want[:])+"\n" {
		return nil, ErrDamaged
	}
	return strings.Split(strings.TrimSuffix(summed, "\n"), "\n")[1:], nil
}

func parseBody(lines []string) (*snapshot, error) {
	if len(lines) < 4 {
		return nil, fmt.Errorf("lines are missing: %w", ErrDamaged)
	}
	if wrap, ok := strings.CutPrefix(lines[0], "wrap "); !ok || wrap != noWrap {
		return nil, ErrWrapped
	}
	var roots [2]Key
	for i, name := range []string{"root index ", "root audit "} {
		line, ok := strings.CutPrefix(lines[1+i], name)
		if !ok {
			return nil, fmt.Errorf("line %d is no root: %w", 3+i, ErrDamaged)
		}
		var err error
		if roots[i], err = parseLine(line, rootPrefix); err != nil {
			return nil, fmt.Errorf("line %d: %w", 3+i, err)
		}
	}
	var slots []slot
	seen := map[KeyID]bool{}
	primaries := 0
	for i, line := range lines[3:] {
		k, err := parseSlot(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", 5+i, err)
		}
		if seen[k.id] {
			return nil, fmt.Errorf("line %d: key %s stands twice: %w", 5+i, k.id, ErrDamaged)
		}
		seen[k.id] = true
		if k.state == Primary {
			primaries++
		}
		slots = append(slots, k)
	}
	if primaries != 1 {
		return nil, fmt.Errorf("it has %d primary keys instead of one: %w", primaries, ErrDamaged)
	}
	return newSnapshot(slots, (*[32]byte)(&roots[0]), (*[32]byte)(&roots[1])), nil
}

func parseSlot(line string) (slot, error) {
	f := strings.Split(line, " ")
	if len(f) != 5 || f[0] != "key" {
		return slot{}, fmt.Errorf("no key stands there: %w", ErrDamaged)
	}
	id, err := ParseKeyID(f[1])
	if err != nil {
		return slot{}, err
	}
	var created time.Time
	if f[3] != noValue {
		if created, err = time.Parse(time.RFC3339, f[3]); err != nil {
			return slot{}, fmt.Errorf("the time is not in RFC 3339: %w", ErrDamaged)
		}
	}
	k := slot{&key{id: id, created: created.UTC(), erased: true}, State(f[2])}
	switch k.state {
	case Disabled:
		return k, nil // that it has no bytes is checked with the form of the whole
	case Primary, Enabled:
		raw, err := ParseKey(f[4])
		if err != nil {
			return slot{}, err
		}
		k.key = newKey(raw, created) // that its ID is the one that stands there: as above
		return k, nil
	}
	return slot{}, fmt.Errorf("no such state: %w", ErrDamaged)
}
