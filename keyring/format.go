package keyring

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
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
)

// Parse reads the text of a key file that is not wrapped, or one key line with or without a newline at
// its end, into a ring in memory. Errors: [ErrNotKey], [ErrCut], [ErrDamaged], [ErrWeak],
// [ErrVersion], [ErrWrapped].
func Parse(data []byte) (*Ring, error) {
	s, err := parse(data, nil)
	if err != nil {
		return nil, err
	}
	r := &Ring{source: Source{Kind: SourceMemory}}
	r.now.Store(s)
	return r, nil
}

// Marshal writes the ring as a key file that is not wrapped. The text is a secret. [ErrNoKey]: the
// ring is empty.
func (r *Ring) Marshal() ([]byte, error) {
	s := r.snapshot()
	if len(s.usable) == 0 {
		return nil, ErrNoKey
	}
	r.change.Lock() // so that no key loses its bytes meanwhile
	defer r.change.Unlock()
	return r.snapshot().encode(nil, r.random)
}

// head is the beginning of a key file; wrap says how what follows is wrapped.
func head(wrap string) string { return fileName + fileVersion + "\nwrap " + wrap + "\n" }

// framed is a whole key file: the body between a head and the checksum.
func framed(wrap, body string) string {
	text := head(wrap) + body
	return fmt.Sprintf("%ssum %x\n", text, sha256.Sum256([]byte(text)))
}

// body writes what a key file is about: roots and keys, a line each.
func (s *snapshot) body() string {
	var b strings.Builder
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
	return b.String()
}

// encode writes the key file, wrapped by w; nil: not wrapped. A text that could not be read back is
// not written.
func (s *snapshot) encode(w Wrapper, random io.Reader) ([]byte, error) {
	text := framed(noWrap, s.body())
	if _, err := parse([]byte(text), nil); err != nil {
		return nil, fmt.Errorf("keyring: these keys could not be read back, nothing was changed; is the clock right? %w", err)
	}
	if w != nil {
		var err error
		if text, err = s.wrapped(w, random); err != nil {
			return nil, err
		}
	}
	if len(text) > fileLimit {
		return nil, errors.New("keyring: too many keys for one file, nothing was changed: retire those that nothing uses any more")
	}
	return []byte(text), nil
}

// parse reads a key file that w has wrapped; nil: one that is not, or one key line.
func parse(data []byte, w Wrapper) (*snapshot, error) {
	text := string(data)
	if !strings.HasPrefix(text, fileName) {
		if text != "" && strings.HasPrefix(fileName, text) {
			return nil, fmt.Errorf("its first line is not whole: %w", ErrCut)
		}
		if w != nil {
			return nil, ErrNotWrapped
		}
		k, err := ParseKey(strings.TrimSuffix(text, "\n"))
		if err != nil {
			return nil, err
		}
		return singleSnapshot(k), nil
	}
	lines, err := checkFrame(text)
	if err != nil {
		return nil, err
	}
	if len(lines) == 0 {
		return nil, fmt.Errorf("lines are missing: %w", ErrDamaged)
	}
	wrap, ok := strings.CutPrefix(lines[0], "wrap ")
	switch {
	case !ok:
		return nil, ErrWrapped
	case wrap != noWrap:
		return unwrapped(text, wrap, lines[1:], w)
	case w != nil:
		return nil, ErrNotWrapped
	}
	s, err := parseBody(lines[1:])
	if err != nil {
		return nil, err
	}
	if framed(noWrap, s.body()) != text {
		return nil, errForm
	}
	return s, nil
}

// errForm: one text for one content. Whatever else would be read is not what a program has written.
var errForm = fmt.Errorf("not in the one form that is written: %w", ErrDamaged)

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

// parseBody reads the lines of roots and keys, which begin at line 3 of a file.
func parseBody(lines []string) (*snapshot, error) {
	if len(lines) < 3 {
		return nil, fmt.Errorf("lines are missing: %w", ErrDamaged)
	}
	var roots [2]Key
	for i, name := range []string{"root index ", "root audit "} {
		line, ok := strings.CutPrefix(lines[i], name)
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
	for i, line := range lines[2:] {
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
