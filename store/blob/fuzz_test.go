package blob

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/account"
)

var begin = time.UnixMilli(1_800_000_000_123).UTC()

// sample is a state in which nothing is empty.
func sample() *state {
	s := newState()
	t := &tx{s: s}
	id := counterfoil.ID{1}
	t.set(kindLog, nil, []byte("log"))
	_, _ = t.create(&counterfoil.Record{
		Version: 1, ID: id, Kind: counterfoil.KindBrowser, Subject: counterfoil.SubjectHash{2}, Actor: counterfoil.SubjectHash{3},
		Created: begin, Seen: begin, IdleEnd: begin.Add(time.Hour), AbsoluteEnd: begin.Add(time.Hour), Identity: []byte("i"), Values: []byte{},
	}, counterfoil.Creation{Entry: counterfoil.Entry{Kind: counterfoil.EntryCreated, Op: counterfoil.OpID{4}, Time: begin, Detail: []byte("d")}})
	t.revoke(counterfoil.Entry{Kind: counterfoil.EntryEndedSubject, Op: counterfoil.OpID{5}, Except: []counterfoil.ID{{6}}, Time: begin})
	t.set(kindMeta, []byte("key"), []byte("value"))
	t.set(kindReader, []byte("audit"), []byte{1})
	t.set(kindNode, []byte("node"), node{1, 2, 3}.encode())
	t.setAccount(account.Account{Name: "alice", Revision: 1})
	t.setJSON(kindAttempt, []byte("k"), counted{[]time.Time{begin}, begin})
	t.setJSON(kindLink, bytes.Repeat([]byte{7}, 32), account.Link{Purpose: "p", Expires: begin})
	if t.fault != nil {
		panic(t.fault)
	}
	s.n = 1
	return s
}

// Whatever lies in an object, reading it ends in a state or in an error that says so; and a state
// that was read and written again is the same.
func FuzzChanges(f *testing.F) {
	var all []byte
	for c := range sample().freeze().changes {
		one := appendChange(nil, c)
		f.Add(one)
		all = append(all, one...)
	}
	f.Add(all)
	f.Add([]byte{kindWipe, 0, 0})
	f.Add(appendChange(nil, change{kindTouch, make([]byte, 16), []byte{0, 0}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		b := batch{n: 1}
		d, err := unseal(seal(append(b.encode()[:4+1+32:4+1+32], data...)), journalMark)
		if err != nil {
			t.Fatal(err)
		}
		d.take(1 + 32)
		if b.changes, err = d.changes(); err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Fatalf("reading says %v", err)
			}
			return
		}
		s := newState()
		if err := s.follow(&b); err != nil {
			if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewer) {
				t.Fatalf("applying says %v", err)
			}
			if !reflect.DeepEqual(s.freeze(), newState().freeze()) {
				t.Fatal("a refused object left something behind")
			}
			return
		}
		once, twice := copyOf(t, s), copyOf(t, copyOf(t, s))
		once.due, twice.due, once.recent, twice.recent = nil, nil, nil, nil // in no order
		if !reflect.DeepEqual(once, twice) {
			t.Fatalf("read and written again\n%+v\nis\n%+v", once, twice)
		}
	})
}

// copyOf goes through a snapshot.
func copyOf(t *testing.T, s *state) *state {
	t.Helper()
	again := newState()
	var all []change
	for c := range s.freeze().changes {
		all = append(all, c)
	}
	if err := again.make(all); err != nil {
		t.Fatalf("a state that cannot be read again: %v", err)
	}
	again.n, again.last = s.n, s.last
	return again
}

// Objects that are no journal's and no snapshot's are refused in words.
func FuzzObject(f *testing.F) {
	b := batch{n: 300, prev: writeID{1}, id: writeID{2}, changes: []change{{kindMeta, []byte("k"), []byte("v")}, {kindMeta, []byte("k"), nil}}}
	f.Add(b.encode())
	f.Add((&manifest{n: 300, last: writeID{1}, id: writeID{2}, parts: 3}).encode())
	f.Add([]byte{})
	f.Add([]byte("CFJ2 and a checksum"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if b, err := decodeBatch(data); err == nil {
			if again, err := decodeBatch(b.encode()); err != nil || !reflect.DeepEqual(again, b) {
				t.Fatalf("%+v becomes %+v, %v", b, again, err)
			}
		} else if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewer) {
			t.Fatal(err)
		}
		if m, err := decodeManifest(data); err == nil {
			if again, err := decodeManifest(m.encode()); err != nil || *again != *m {
				t.Fatalf("%+v becomes %+v, %v", m, again, err)
			}
		} else if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewer) {
			t.Fatal(err)
		}
	})
}

// What stands in a change is read strictly, and written again as it was.
func FuzzValues(f *testing.F) {
	for c := range sample().freeze().changes {
		f.Add(c.value)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if r, err := decodeRecord(counterfoil.ID{1}, data); err == nil {
			if again, err := decodeRecord(r.ID, encodeRecord(r)); err != nil || !reflect.DeepEqual(again, r) {
				t.Fatalf("%+v becomes %+v, %v", r, again, err)
			}
		}
		if e, err := decodeEntry(1, data); err == nil {
			if again, err := decodeEntry(1, encodeEntry(&e)); err != nil || !reflect.DeepEqual(again, e) {
				t.Fatalf("%+v becomes %+v, %v", e, again, err)
			}
		}
		if o, err := decodeOutcome(data); err == nil {
			if again, err := decodeOutcome(o.encode()); err != nil || !reflect.DeepEqual(again, o) {
				t.Fatalf("%+v becomes %+v, %v", o, again, err)
			}
		}
		if n, err := decodeNode(data); err == nil {
			if again, err := decodeNode(n.encode()); err != nil || again != n {
				t.Fatalf("%+v becomes %+v, %v", n, again, err)
			}
		}
	})
}

// A DSN is read or refused; what is read names one place only, and no text of it is in the error.
func FuzzParseDSN(f *testing.F) {
	for _, s := range []string{
		"file:///var/lib/x", "s3://bucket/prefix?region=eu&path_style=true", "gs://bucket", "azblob://container/a/b?account=n",
		"s3://bucket/../x", "file://host/x", "s3://user:secret@bucket/x", "", "%", "s3://b?region=a&region=b",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, dsn string) {
		p, err := ParseDSN(dsn)
		if err != nil {
			if !errors.Is(err, ErrDSN) || strings.Contains(err.Error(), "secret") {
				t.Fatal(err)
			}
			return
		}
		again, err := ParseDSN(p.String())
		if err != nil || again.Scheme != p.Scheme || again.Bucket != p.Bucket || again.Path != p.Path {
			t.Fatalf("%q is %+v, which is written %q and read %+v, %v", dsn, p, p, again, err)
		}
	})
}
