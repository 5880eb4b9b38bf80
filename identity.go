package counterfoil

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/counterfoil/counterfoil/keyring"
	"golang.org/x/crypto/cryptobyte"
)

// who is what a session tells of its subject: part of the sealed identity, and the sealed detail of
// log entries.
type who struct {
	kind           Kind
	subject, actor string
	methods        []string
	level          uint8
	proved         int64 // ms
	ip, label      string
}

// identity is the sealed half of a record that opens with the keyring alone. Its copies of clear
// fields are what the manager judges by.
type identity struct {
	who
	about        string // who, as pack writes it
	realm        string
	persistent   bool
	parent, root ID
	epoch        uint64
	created      int64 // ms
	absolute     int64 // ms
	gen          generations
	seed         [16]byte
	verifierKey  keyring.KeyID

	// Sealed state of features that this version carries but does not read: a pending and a settled
	// raise, the last mint of a grant, the binding to a client's key.
	pending, raised, mint, binding []byte
}

const identityVersion = 1

var errEncoding = errors.New("counterfoil: sealed content has an unknown form; a newer version may have written it")

// appendString writes s with its length in front, which fit has looked at.
func appendString(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

// fit reports whether each of the strings has a length that can be written.
func fit(strings ...string) bool {
	for _, s := range strings {
		if len(s) > math.MaxUint16 {
			return false
		}
	}
	return true
}

func readString(in *cryptobyte.String, out *string) bool {
	var s cryptobyte.String
	if !in.ReadUint16LengthPrefixed(&s) {
		return false
	}
	*out = string(s)
	return true
}

// pack writes w behind the version of its form: a log entry's detail, and how an identity begins.
func (w *who) pack() (string, error) {
	if !fit(w.subject, w.actor, w.ip, w.label) || !fit(w.methods...) || len(w.methods) > math.MaxUint8 {
		return "", errEncoding
	}
	var room [256]byte
	b := append(room[:0], identityVersion, uint8(w.kind))
	b = appendString(b, w.subject)
	b = appendString(b, w.actor)
	b = append(b, uint8(len(w.methods)))
	for _, m := range w.methods {
		b = appendString(b, m)
	}
	b = append(b, w.level)
	b = binary.BigEndian.AppendUint64(b, uint64(w.proved))
	b = appendString(b, w.ip)
	return string(appendString(b, w.label)), nil
}

func (w *who) read(in *cryptobyte.String) bool {
	var kind, n uint8
	var proved uint64
	if !in.ReadUint8(&kind) || !readString(in, &w.subject) || !readString(in, &w.actor) || !in.ReadUint8(&n) {
		return false
	}
	w.kind = Kind(kind)
	if n > 0 {
		w.methods = make([]string, n)
	}
	for i := range w.methods {
		if !readString(in, &w.methods[i]) {
			return false
		}
	}
	ok := in.ReadUint8(&w.level) && in.ReadUint64(&proved) && readString(in, &w.ip) && readString(in, &w.label)
	w.proved = int64(proved)
	return ok
}

func decodeWho(data []byte) (w who, err error) {
	in := cryptobyte.String(data)
	var version uint8
	if !in.ReadUint8(&version) || version != identityVersion || !w.read(&in) || !in.Empty() {
		return who{}, errEncoding
	}
	return w, nil
}

func (i *identity) append(b []byte) ([]byte, error) {
	if !fit(i.realm) {
		return nil, errEncoding
	}
	b = appendString(append(b, i.about...), i.realm)
	b = append(b, flag(i.persistent)|flag(i.gen.settled)<<1)
	b = append(append(b, i.parent[:]...), i.root[:]...)
	for _, n := range [...]uint64{i.epoch, uint64(i.created), uint64(i.absolute)} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	for _, n := range [...]uint32{i.gen.cur, i.gen.prev, i.gen.top} {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	b = binary.BigEndian.AppendUint64(b, uint64(i.gen.curSince))
	b = append(b, i.seed[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(i.verifierKey))
	for _, part := range [...][]byte{i.pending, i.raised, i.mint, i.binding} {
		if len(part) > math.MaxUint16 {
			return nil, errEncoding
		}
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(part))), part...)
	}
	return b, nil
}

func decodeIdentity(data []byte) (*identity, error) {
	in := cryptobyte.String(data)
	i := new(identity)
	var version, flags uint8
	var created, absolute, since uint64
	var kid uint32
	ok := in.ReadUint8(&version) && version == identityVersion && i.who.read(&in)
	i.about = string(data[:len(data)-len(in)])
	ok = ok && readString(&in, &i.realm) && in.ReadUint8(&flags) &&
		in.CopyBytes(i.parent[:]) && in.CopyBytes(i.root[:]) &&
		in.ReadUint64(&i.epoch) && in.ReadUint64(&created) && in.ReadUint64(&absolute) &&
		in.ReadUint32(&i.gen.cur) && in.ReadUint32(&i.gen.prev) && in.ReadUint32(&i.gen.top) &&
		in.ReadUint64(&since) && in.CopyBytes(i.seed[:]) && in.ReadUint32(&kid)
	for _, part := range []*[]byte{&i.pending, &i.raised, &i.mint, &i.binding} {
		var s cryptobyte.String
		ok = ok && in.ReadUint16LengthPrefixed(&s)
		if len(s) > 0 {
			*part = append([]byte(nil), s...)
		}
	}
	if !ok || !in.Empty() || flags > 3 || i.gen.cur == 0 {
		return nil, errEncoding
	}
	i.persistent, i.gen.settled = flags&1 != 0, flags&2 != 0
	i.created, i.absolute, i.gen.curSince = int64(created), int64(absolute), int64(since)
	i.verifierKey = keyring.KeyID(kid)
	return i, nil
}

func flag(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

// partData appends the associated data of a sealed part: it opens only in the store, session and turn
// it was sealed for.
func partData(b, storeID []byte, part string, name []byte, count uint64) []byte {
	b = append(append(b, RecordVersion), storeID...)
	b = append(append(b, part...), name...)
	return binary.BigEndian.AppendUint64(b, count)
}

// Room for what is usual: the associated data of a part, and of two with what is to be sealed behind.
const (
	dataRoom = 64
	sealRoom = 512
)

// room returns one that rooms takes back.
func (m *Manager) room() *[sealRoom]byte {
	if room, ok := m.rooms.Get().(*[sealRoom]byte); ok {
		return room
	}
	return new([sealRoom]byte)
}

// sealInto puts i into rec as its next identity part, and who it is into the log entry about that.
func (m *Manager) sealInto(rec *Record, e *Entry, i *identity, now instant) error {
	rec.IdentityCount++
	room := m.room()
	defer m.rooms.Put(room)
	aad := partData(room[:0], m.storeID, "identity", rec.ID[:], rec.IdentityCount)
	all, err := i.append(aad)
	if err != nil {
		return fmt.Errorf("counterfoil: identity does not fit its record: %w", err)
	}
	identity := keyring.Part{Purpose: keyring.Identity, AAD: aad, Plain: all[len(aad):]}
	rest := all[len(all):]
	aad = partData(rest, m.storeID, "detail", e.Op[:], 0)
	all = append(aad, i.about...)
	parts := [...]keyring.Part{identity, {Purpose: keyring.Detail, AAD: aad, Plain: all[len(aad):]}}
	kid, err := m.keys.SealAll(now.time(), parts[:])
	rec.IdentityKey, rec.Identity, rec.VerifierKey = kid, parts[0].Sealed, i.verifierKey
	e.DetailKey, e.Detail = kid, parts[1].Sealed
	return err
}

// errUnreadable means that a record's sealed part does not open: its key is gone or it was changed.
var errUnreadable = errors.New("counterfoil: the record does not open; its key is gone, or it was tampered with")

// openIdentity returns what rec's seal proves, and refuses a record whose clear fields say otherwise.
func (m *Manager) openIdentity(rec *Record) (*identity, error) {
	if rec.Version != RecordVersion {
		return nil, fmt.Errorf("%w: record version %d", errUnreadable, rec.Version)
	}
	aad := partData(make([]byte, 0, dataRoom), m.storeID, "identity", rec.ID[:], rec.IdentityCount)
	plain, err := m.open(rec.IdentityKey, keyring.Identity, aad, rec.Identity)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	i, err := decodeIdentity(plain)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	if i.kind != rec.Kind || i.parent != rec.Parent || i.root != rec.Root || i.epoch != rec.Epoch ||
		i.created != rec.Created.UnixMilli() || i.absolute != rec.AbsoluteEnd.UnixMilli() ||
		m.subjectHash(i.subject) != rec.Subject || m.subjectHash(i.actor) != rec.Actor {
		return nil, fmt.Errorf("%w: clear and sealed fields differ", errUnreadable)
	}
	return i, nil
}

// detail seals for a log entry who it is about, as pack writes it.
func (m *Manager) detail(e *Entry, about string, now instant) (err error) {
	aad := partData(make([]byte, 0, 2*dataRoom), m.storeID, "detail", e.Op[:], 0)
	both := append(aad, about...)
	e.DetailKey, e.Detail, err = m.keys.Seal(keyring.Detail, now.time(), aad, both[len(aad):])
	return err
}

func (m *Manager) openDetail(e *Entry) (who, error) {
	aad := partData(make([]byte, 0, dataRoom), m.storeID, "detail", e.Op[:], 0)
	plain, err := m.open(e.DetailKey, keyring.Detail, aad, e.Detail)
	if err != nil {
		return who{}, err
	}
	return decodeWho(plain)
}

// open undoes a seal of this node's, or of another's under a key that this one has yet to read.
func (m *Manager) open(kid keyring.KeyID, p keyring.Purpose, aad, sealed []byte) ([]byte, error) {
	plain, err := m.keys.Open(kid, p, aad, sealed)
	if errors.Is(err, keyring.ErrNoKey) {
		m.learnKeys()
		plain, err = m.keys.Open(kid, p, aad, sealed)
	}
	return plain, err
}

func msTime(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
