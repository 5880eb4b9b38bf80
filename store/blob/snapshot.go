package blob

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"

	"github.com/counterfoil/counterfoil"
)

// A snapshot is the whole state after one object of the journal, in parts, and a list of them. It
// replaces all of the journal up to there.
type manifest struct {
	n     uint64
	last  writeID
	id    writeID // names the parts
	parts uint64
}

// partSize is about how big a part is.
const partSize = 8 << 20

func (m *manifest) part(i uint64) string {
	return fmt.Sprintf("%s-%s-%06d", numbered(partDir, m.n), hex.EncodeToString(m.id[:]), i)
}

func (m *manifest) encode() []byte {
	out := binary.AppendUvarint([]byte(snapshotMark), m.n)
	out = append(append(out, m.last[:]...), m.id[:]...)
	return seal(binary.AppendUvarint(out, m.parts))
}

func decodeManifest(data []byte) (*manifest, error) {
	d, err := unseal(data, snapshotMark)
	if err != nil {
		return nil, err
	}
	m := &manifest{n: d.number()}
	copy(m.last[:], d.take(16))
	copy(m.id[:], d.take(16))
	m.parts = d.small(1 << 20)
	return m, d.over("a snapshot")
}

// frozen is the state as it was at one moment. What never changes it shares with the state.
type frozen struct {
	n       uint64
	last    writeID
	small   []change
	entries []counterfoil.Entry
	records []*counterfoil.Record
}

// freeze takes about a microsecond for ten records.
func (s *state) freeze() *frozen {
	f := &frozen{n: s.n, last: s.last, entries: s.entries, records: make([]*counterfoil.Record, 0, len(s.records))}
	for _, r := range s.records {
		f.records = append(f.records, r)
	}
	set := func(kind byte, key, value []byte) { f.small = append(f.small, change{kind, key, value}) }
	set(kindLog, nil, []byte(s.incarnation))
	set(kindFloor, nil, binary.AppendUvarint(nil, s.floor))
	for id, o := range s.ops {
		set(kindOp, bytes.Clone(id[:]), o.encode())
	}
	for key, value := range s.meta {
		set(kindMeta, []byte(key), value)
	}
	for name, seq := range s.readers {
		set(kindReader, []byte(name), binary.AppendUvarint(nil, seq))
	}
	for name, n := range s.nodes {
		set(kindNode, []byte(name), n.encode())
	}
	f.small = append(f.small, s.accountChanges()...)
	return f
}

// changes yields what makes the state from an empty one, in an order that works.
func (f *frozen) changes(yield func(change) bool) {
	for _, c := range f.small {
		if !yield(c) {
			return
		}
	}
	for i := range f.entries {
		if !yield(change{kindEntry, binary.AppendUvarint(nil, f.entries[i].Seq), encodeEntry(&f.entries[i])}) {
			return
		}
	}
	for _, r := range f.records {
		if !yield(change{kindRecord, r.ID[:], encodeRecord(r)}) {
			return
		}
	}
}

// write puts the snapshot into a bucket, the list last. errTaken: there is one of that place.
func (f *frozen) write(ctx context.Context, b bucket) error {
	m := manifest{n: f.n, last: f.last}
	rand.Read(m.id[:])
	part := []byte(snapshotMark)
	flush := func() error {
		err := b.create(ctx, m.part(m.parts), seal(part))
		if errors.Is(err, errTaken) { // by ourselves: the name is random, and an answer was lost
			err = nil
		}
		m.parts, part = m.parts+1, []byte(snapshotMark)
		return err
	}
	for c := range f.changes {
		if len(part) > len(snapshotMark) && len(part)+c.size() > partSize {
			if err := flush(); err != nil {
				return err
			}
		}
		part = appendChange(part, c)
	}
	if err := flush(); err != nil {
		return err
	}
	return b.create(ctx, numbered(snapshotDir, f.n), m.encode())
}

// readSnapshot returns the state of the snapshot at n.
func readSnapshot(ctx context.Context, b bucket, n uint64) (*state, error) {
	data, err := b.get(ctx, numbered(snapshotDir, n))
	if err != nil {
		return nil, err
	}
	m, err := decodeManifest(data)
	if err != nil {
		return nil, err
	}
	if m.n != n {
		return nil, fmt.Errorf("%w (snapshot %d says that it is %d)", ErrDamaged, n, m.n)
	}
	st := newState()
	err = inOrder(int(m.parts), func(i int) ([]byte, error) { return b.get(ctx, m.part(uint64(i))) }, func(_ int, data []byte) error {
		d, err := unseal(data, snapshotMark)
		if err != nil {
			return err
		}
		changes, err := d.changes()
		if err != nil {
			return err
		}
		return st.make(changes)
	})
	if errors.Is(err, errAbsent) {
		err = fmt.Errorf("%w (a part of snapshot %d is missing)", ErrDamaged, n)
	}
	st.n, st.last = m.n, m.last
	return st, err
}

// load reads the newest snapshot and the journal behind it. The second number is the snapshot's place.
func load(ctx context.Context, b bucket, incarnation string) (*state, uint64, error) {
	var from uint64
	err := b.list(ctx, snapshotDir, "", func(o object) error {
		if n, ok := placed(snapshotDir, o.name); ok {
			from = n
		}
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	st := newState()
	st.incarnation = incarnation
	if from > 0 {
		if st, err = readSnapshot(ctx, b, from); err != nil {
			return nil, 0, err
		}
	}
	var places []uint64
	err = b.list(ctx, journalDir, numbered(journalDir, from), func(o object) error {
		if n, ok := placed(journalDir, o.name); ok {
			places = append(places, n)
		}
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	err = inOrder(len(places), func(i int) (*batch, error) { return readBatch(ctx, b.get, places[i]) },
		func(_ int, x *batch) error { return st.follow(x) })
	if errors.Is(err, errAbsent) {
		err = errors.New("blob: the journal was cut while it was read; try again")
	}
	return st, from, err
}

// window is how many objects are read at once.
const window = 16

// inOrder gets n things, several at once, and uses them one after the other.
func inOrder[T any](n int, get func(int) (T, error), use func(int, T) error) error {
	for from := 0; from < n; from += window {
		size := min(window, n-from)
		got, errs := make([]T, size), make([]error, size)
		var wg sync.WaitGroup
		for i := range size {
			wg.Go(func() { got[i], errs[i] = get(from + i) })
		}
		wg.Wait()
		for i := range size {
			if errs[i] != nil {
				return errs[i]
			}
			if err := use(from+i, got[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// A snapshot is due when the journal behind the last one has grown by so many objects, and by so
// many records a further one, so that big states are not written too often.
const (
	snapshotAfter   = 256
	recordsPerPlace = 16
)

// snapshotIfDue begins a snapshot and then tidies up, unless one is being written or another node
// has written one.
func (s *Store) snapshotIfDue() {
	every := uint64(snapshotAfter + len(s.state.records)/recordsPerPlace)
	if s.state.n-s.snapshotted < every || !s.writing.TryLock() {
		return
	}
	s.snapshotted = s.state.n
	f := s.state.freeze()
	s.tasks.Go(func() {
		defer s.writing.Unlock()
		s.unsaved.Store(nil)
		if err := f.save(s.context, s.bucket, f.n-every); err != nil && s.context.Err() == nil {
			s.unsaved.Store(&err) // the journal alone is enough, and the next one comes
		}
	})
}

// save writes the snapshot, unless there is one behind a place, and sweeps.
func (f *frozen) save(ctx context.Context, b bucket, after uint64) error {
	err := b.list(ctx, snapshotDir, numbered(snapshotDir, after), func(object) error { return errEnough })
	if errors.Is(err, errEnough) {
		return nil
	}
	if err == nil {
		err = f.write(ctx, b)
	}
	if errors.Is(err, errTaken) {
		return nil // by a node that was as fast
	}
	return errors.Join(err, sweep(ctx, b))
}

// Advise says what an operator should know of: that no snapshot could be written, so that the journal
// grows and a start takes long. It does no I/O.
func (s *Store) Advise(context.Context) ([]counterfoil.Advice, error) {
	if err := s.unsaved.Load(); err != nil {
		return []counterfoil.Advice{{
			Says: fmt.Sprintf("the last snapshot could not be written, or what it replaced not removed, so the journal grows: %v", *err),
			Fix:  "give the store's credentials the rights that docs/blob.md names",
		}}, nil
	}
	return nil, nil
}

// sweep removes what a snapshot has replaced that is older than the newest one by the time that the
// journal is kept, by the storage's own clock.
func sweep(ctx context.Context, b bucket) error {
	var all []object
	if err := b.list(ctx, snapshotDir, "", func(o object) error {
		all = append(all, o)
		return nil
	}); err != nil || len(all) == 0 {
		return err
	}
	newest, base := all[len(all)-1].modified, uint64(0)
	for _, o := range all {
		if n, ok := placed(snapshotDir, o.name); ok && !o.modified.After(newest.Add(-keepJournal)) {
			base = max(base, n)
		}
	}
	for _, old := range []struct {
		dir  string
		upTo uint64
	}{{snapshotDir, base}, {partDir, base}, {journalDir, base + 1}} {
		err := b.list(ctx, old.dir, "", func(o object) error {
			if len(o.name) < len(old.dir)+numberDigits {
				return nil
			}
			n, ok := placed(old.dir, o.name[:len(old.dir)+numberDigits])
			if !ok {
				return nil
			}
			if n >= old.upTo {
				return errEnough
			}
			return b.remove(ctx, o.name)
		})
		if err != nil && !errors.Is(err, errEnough) {
			return err
		}
	}
	return nil
}

var errEnough = errors.New("blob: the rest is newer")
