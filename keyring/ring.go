package keyring

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// State of a key.
type State string

const (
	Primary  State = "primary"  // seals and opens
	Enabled  State = "enabled"  // opens only
	Disabled State = "disabled" // does neither; kept, without its bytes, so that its ID is not used again
)

// Info is what may be shown of a key.
type Info struct {
	ID      KeyID
	State   State
	Created time.Time // UTC, whole seconds; zero if not known (a single key given from outside)
}

var (
	// ErrNoKey says that the ring has no usable key of that ID.
	ErrNoKey = errors.New("keyring: no usable key of that ID")
	// ErrSealed says that a sealed text is damaged, foreign, or sealed for another place.
	ErrSealed = errors.New("keyring: does not open: damaged, or sealed for another place")
)

// Ring holds the keys of an installation. It is safe for use by many goroutines and changes as a
// whole (rotate, revoke, reload): a reader sees the old state or the new one, never a mixture. The
// zero Ring and a nil *Ring hold no key, and every use of them fails. It prints as its fingerprint.
type Ring struct {
	now    atomic.Pointer[snapshot]
	random io.Reader // nil: crypto/rand
	source Source
	change sync.Mutex // one change at a time in this process; between processes the folder is locked
}

// snapshot is one state of a ring. It never changes.
type snapshot struct {
	slots        []slot  // oldest first
	usable       []KeyID // the primary first
	index, audit *[32]byte
	fingerprint  string
	wrapper      Wrapper // of the file; nil: it is not wrapped, or there is none
}

type slot struct {
	*key
	state State
}

// Generate makes a ring with one fresh primary key and fresh roots, in memory alone. A nil random
// means crypto/rand, which is what everything but a test should use; it also serves the nonces.
func Generate(now time.Time, random io.Reader) (*Ring, error) {
	r := &Ring{source: Source{Kind: SourceMemory}}
	if random != nil {
		r.random = &lockedReader{r: random}
	}
	var made [3]Key // the key and the two roots
	for i := range made {
		var err error
		if made[i], err = NewKey(r.random); err != nil {
			return nil, err
		}
	}
	first := slot{newKey(made[0], now), Primary}
	r.now.Store(newSnapshot([]slot{first}, (*[32]byte)(&made[1]), (*[32]byte)(&made[2])))
	return r, nil
}

// FromKey makes a ring of one key. Its roots are derived from that key, so that several processes
// that are given the same key agree. The zero Key is refused.
func FromKey(k Key) (*Ring, error) {
	if err := k.check(); err != nil {
		return nil, err
	}
	r := &Ring{source: Source{Kind: SourceMemory}}
	r.now.Store(singleSnapshot(k))
	return r, nil
}

func singleSnapshot(k Key) *snapshot {
	index, audit := expand(&k, "root index"), expand(&k, "root audit")
	return newSnapshot([]slot{{newKey(k, time.Time{}), Primary}}, index, audit)
}

// newSnapshot takes slots, oldest first, with exactly one primary.
func newSnapshot(slots []slot, index, audit *[32]byte) *snapshot {
	s := &snapshot{slots: slots, index: index, audit: audit}
	h := sha256.New()
	h.Write(expand((*Key)(index), "fingerprint")[:])
	for _, k := range slots {
		fmt.Fprintf(h, " %s %s", k.id, k.state)
		switch k.state {
		case Primary:
			s.usable = slices.Insert(s.usable, 0, k.id)
		case Enabled:
			s.usable = append(s.usable, k.id)
		}
	}
	s.fingerprint = hex.EncodeToString(h.Sum(nil)[:8])
	return s
}

var noKeys = snapshot{fingerprint: "none"}

func (r *Ring) snapshot() *snapshot {
	if r == nil {
		return &noKeys
	}
	if s := r.now.Load(); s != nil {
		return s
	}
	return &noKeys
}

// find returns the usable key of that ID.
func (s *snapshot) find(id KeyID) (*key, error) {
	for _, k := range s.slots {
		if k.id == id && k.state != Disabled {
			return k.key, nil
		}
	}
	return nil, ErrNoKey
}

func (s *snapshot) primary() KeyID {
	if len(s.usable) == 0 {
		return 0
	}
	return s.usable[0]
}

// Primary returns the ID of the key that seals; 0 if there is none.
func (r *Ring) Primary() KeyID { return r.snapshot().primary() }

// Usable returns the primary and the enabled keys, the primary first. The caller must not change it.
func (r *Ring) Usable() []KeyID { return r.snapshot().usable }

// Keys lists all keys, oldest first, the disabled ones too.
func (r *Ring) Keys() []Info {
	s := r.snapshot()
	list := make([]Info, len(s.slots))
	for i, k := range s.slots {
		list[i] = Info{ID: k.id, State: k.state, Created: k.created}
	}
	return list
}

// IndexKey is the root under the hashes of subjects; it never rotates. The caller must not change
// or print it. It is nil for a ring without keys: no key at all, rather than a weak one.
func (r *Ring) IndexKey() *[32]byte { return r.snapshot().index }

// AuditKey is the root under the audit chain; all that is said of [Ring.IndexKey] holds.
func (r *Ring) AuditKey() *[32]byte { return r.snapshot().audit }

// Fingerprint returns 16 hexadecimal digits for logs. Rings agree in it exactly if they hold the
// same keys in the same states; it tells nothing about their bytes.
func (r *Ring) Fingerprint() string { return r.snapshot().fingerprint }

// lockedReader lets many goroutines share a test's source of randomness.
type lockedReader struct {
	mu sync.Mutex
	r  io.Reader
}

func (l *lockedReader) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return io.ReadFull(l.r, p)
}

// fill fills p from random, or from crypto/rand if that is nil.
func fill(random io.Reader, p []byte) error {
	if random == nil {
		random = rand.Reader
	}
	if _, err := io.ReadFull(random, p); err != nil {
		return fmt.Errorf("keyring: the source of randomness failed, nothing was made: %w", err)
	}
	return nil
}
