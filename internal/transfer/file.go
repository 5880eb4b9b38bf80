package transfer

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/account"
)

// A backup is a line of text, then frames: a letter, four bytes of length and so many bytes. First the
// head, then records, accounts and ends in any order, last the foot: JSON, and behind it the SHA-256 of
// everything before those bytes and a MAC of that under the audit's root.
const magic = "counterfoil backup 1\n"

const (
	frameHead    = 'H'
	frameRecord  = 'R'
	frameAccount = 'A'
	frameEnd     = 'E'
	frameFoot    = 'Z'

	maxFrame = 2*maxPart + 4096
	sumsSize = 2 * sha256.Size
)

// Head is what a backup says of the store that it was made of.
type Head struct {
	Made        time.Time `json:"made"`
	StoreID     []byte    `json:"store_id"`
	SessionTime []byte    `json:"session_time,omitempty"`
	KeyCheck    []byte    `json:"key_check,omitempty"` // of the key that its records open with
}

// Foot is what is known when all is written.
type Foot struct {
	Log      string `json:"log"` // incarnation of the store's log
	Seq      uint64 `json:"seq"` // what ended up to here is not in the backup
	Records  int    `json:"records"`
	Accounts int    `json:"accounts"`
	Ends     int    `json:"ends"`
}

// ending is an end that came while the backup was written: it covers records that are in it.
type ending struct {
	Kind    counterfoil.EntryKind   `json:"kind"`
	Seq     uint64                  `json:"seq"`
	Session counterfoil.ID          `json:"session"`
	Subject counterfoil.SubjectHash `json:"subject"`
	Except  []counterfoil.ID        `json:"except,omitempty"`
	Epoch   uint64                  `json:"epoch,omitempty"`
}

// ErrBackup says that a file is no backup, or no whole one, or was changed.
var ErrBackup = errors.New("this is no whole backup")

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrBackup, fmt.Sprintf(format, args...))
}

// writer writes frames and sums them up.
type writer struct {
	out  *bufio.Writer
	sum  hash.Hash
	foot Foot
}

func newWriter(w io.Writer) (*writer, error) {
	sum := sha256.New()
	out := &writer{out: bufio.NewWriterSize(w, 64<<10), sum: sum}
	return out, out.bytes([]byte(magic))
}

func (w *writer) bytes(b []byte) error {
	w.sum.Write(b)
	_, err := w.out.Write(b)
	return err
}

func (w *writer) frame(kind byte, body []byte) error {
	if len(body) > maxFrame {
		return fmt.Errorf("a part of %d bytes is more than a backup holds", len(body))
	}
	if err := w.bytes(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)))); err != nil {
		return err
	}
	return w.bytes(body)
}

func (w *writer) json(kind byte, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return w.frame(kind, body)
}

// close writes the foot under key.
func (w *writer) close(key *[32]byte) error {
	body, err := json.Marshal(w.foot)
	if err != nil {
		return err
	}
	if err := w.bytes(binary.BigEndian.AppendUint32([]byte{frameFoot}, uint32(len(body)+sumsSize))); err != nil {
		return err
	}
	if err := w.bytes(body); err != nil {
		return err
	}
	sum := w.sum.Sum(nil)
	if _, err := w.out.Write(append(sum, macOf(key, sum)...)); err != nil {
		return err
	}
	return w.out.Flush()
}

// macOf authenticates a backup. The audit's root makes it through a key of its own.
func macOf(root *[32]byte, sum []byte) []byte {
	derive := hmac.New(sha256.New, root[:])
	derive.Write([]byte("counterfoil backup 1"))
	h := hmac.New(sha256.New, derive.Sum(nil))
	h.Write(sum)
	return h.Sum(nil)
}

// parts are what a backup holds, as it is read. A nil function passes its part over.
type parts struct {
	head    func(Head) error
	record  func(*counterfoil.Record) error
	account func(*account.Account) error
	ending  func(ending) error
}

// parse reads a backup and returns its foot, its sum and whether that is authentic under key. Nothing
// of it may be believed before parse has returned without an error. [ErrBackup]; errors of the parts as
// they are.
func parse(r io.Reader, key *[32]byte, p parts) (foot Foot, sum []byte, authentic bool, err error) {
	in := &reader{in: bufio.NewReaderSize(r, 64<<10), sum: sha256.New()}
	first := make([]byte, len(magic))
	if err := in.full(first); err != nil || string(first) != magic {
		return foot, nil, false, damaged("it does not begin as one")
	}
	var found Foot
	for begun := false; ; {
		kind, body, sums, err := in.frame()
		if err != nil {
			return foot, nil, false, err
		}
		if begun == (kind == frameHead) {
			return foot, nil, false, damaged("its head is not where it belongs")
		}
		begun = true
		switch kind {
		case frameHead:
			err = take(body, p.head)
		case frameRecord:
			found.Records++
			var rec *counterfoil.Record
			if rec, err = decodeRecord(body); err != nil {
				err = damaged("record %d of it is malformed", found.Records)
			} else if p.record != nil {
				err = p.record(rec)
			}
		case frameAccount:
			found.Accounts++
			err = take(body, func(a account.Account) error {
				if p.account == nil {
					return nil
				}
				return p.account(&a)
			})
		case frameEnd:
			found.Ends++
			err = take(body, p.ending)
		case frameFoot:
			if err := take(body, func(f Foot) error { foot = f; return nil }); err != nil {
				return foot, nil, false, err
			}
			if found.Log, found.Seq = foot.Log, foot.Seq; found != foot {
				return foot, nil, false, damaged("it holds other parts than it says")
			}
			sum = in.sum.Sum(nil)
			if !hmac.Equal(sums[:sha256.Size], sum) {
				return foot, nil, false, damaged("its checksum is wrong")
			}
			if _, err := in.in.ReadByte(); err != io.EOF {
				return foot, nil, false, damaged("something stands behind its end")
			}
			return foot, sum, key != nil && hmac.Equal(sums[sha256.Size:], macOf(key, sum)), nil
		default:
			err = damaged("it has a part of kind %q, which this version does not know", kind)
		}
		if err != nil {
			return foot, nil, false, err
		}
	}
}

// take reads a JSON part, strictly, and hands it on.
func take[T any](body []byte, f func(T) error) error {
	var v T
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil || d.InputOffset() != int64(len(body)) {
		return damaged("a part of it is malformed")
	}
	if f == nil {
		return nil
	}
	return f(v)
}

// reader reads frames and sums them up, the two sums of the foot left out.
type reader struct {
	in   *bufio.Reader
	sum  hash.Hash
	body []byte
}

func (r *reader) full(b []byte) error {
	if _, err := io.ReadFull(r.in, b); err != nil {
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return damaged("its end is missing")
		}
		return err
	}
	r.sum.Write(b)
	return nil
}

// frame returns the next frame; its body is valid until the next call.
func (r *reader) frame() (kind byte, body, sums []byte, err error) {
	var intro [5]byte
	if err := r.full(intro[:]); err != nil {
		return 0, nil, nil, err
	}
	kind = intro[0]
	size := int(binary.BigEndian.Uint32(intro[1:]))
	if kind == frameFoot {
		size -= sumsSize
	}
	if size < 0 || size > maxFrame {
		return 0, nil, nil, damaged("a part of it is longer than any")
	}
	r.body = r.body[:0]
	for left := size; left > 0; { // by pieces: a length that lies costs nothing
		n := min(left, 64<<10)
		at := len(r.body)
		r.body = append(r.body, make([]byte, n)...)
		if err := r.full(r.body[at:]); err != nil {
			return 0, nil, nil, err
		}
		left -= n
	}
	if kind == frameFoot {
		sums = make([]byte, sumsSize)
		if _, err := io.ReadFull(r.in, sums); err != nil {
			return 0, nil, nil, damaged("its end is missing")
		}
	}
	return kind, r.body, sums, nil
}
