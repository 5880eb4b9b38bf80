package sqlite

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store/internal/sample"
)

// opAt names an operation as a manager does: it begins with the time in ms as 6 bytes.
func opAt(at time.Time) counterfoil.OpID {
	op := sample.Op()
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(at.UnixMilli()))
	copy(op[:], ms[2:])
	return op
}

// appends writes one entry, and then fails if it is to.
func appends(op counterfoil.OpID, fails error) *request {
	return &request{durable: true, do: func(db *tx) error {
		if _, err := appendEntry(db, counterfoil.Entry{Kind: counterfoil.EntryEndedSubject, Op: op, Subject: sample.Subject(), Time: sample.Noon()}); err != nil {
			return err
		}
		return fails
	}}
}

// at looks an operation up in a transaction of its own.
func at(t *testing.T, w *writer, op counterfoil.OpID) (seq uint64) {
	t.Helper()
	r := &request{do: func(db *tx) (err error) {
		seq, err = db.position(op)
		return err
	}}
	if err := errors.Join(w.commit([]*request{r}), r.err); err != nil {
		t.Fatal(err)
	}
	return seq
}

// What was rolled back is not taken for done: neither when a request of several is refused, nor when a
// request alone is, nor when nothing of a transaction comes to be.
func TestTailOfWhatIs(t *testing.T) {
	w := testWriter(t)
	no := errors.New("no")
	a, b, c := sample.Op(), sample.Op(), sample.Op()
	refused := appends(b, no)
	if err := w.commit([]*request{appends(a, nil), refused, appends(c, nil)}); err != nil || !errors.Is(refused.err, no) {
		t.Fatal(err, refused.err)
	}
	if got := [3]uint64{at(t, w, a), at(t, w, b), at(t, w, c)}; got != [3]uint64{1, 0, 2} {
		t.Errorf("the operations are at %v, want 1, nowhere and 2", got)
	}
	if err := w.commit([]*request{appends(b, no)}); !errors.Is(err, no) || at(t, w, b) != 0 {
		t.Errorf("alone: at %d, %v", at(t, w, b), err)
	}
	if err := w.db.script("PRAGMA foreign_keys = ON; CREATE TABLE late (i INTEGER REFERENCES n (i) DEFERRABLE INITIALLY DEFERRED)"); err != nil {
		t.Fatal(err)
	}
	fails := &request{do: func(db *tx) error { // the commit, as on a bad disk
		_, err := db.exec("INSERT INTO late VALUES (7)")
		return err
	}}
	if err := w.commit([]*request{appends(b, nil), fails}); err == nil || at(t, w, b) != 0 {
		t.Errorf("a transaction that failed: at %d, %v", at(t, w, b), err)
	}
	if err := w.commit([]*request{appends(b, nil)}); err != nil || at(t, w, b) != 3 || w.db.log.wide != 3 || w.db.log.head != 3 {
		t.Errorf("after all that: at %d of %d, %v", at(t, w, b), w.db.log.head, err)
	}
}

// An operation asked for again is answered from memory, from the index, after a restart, and by nobody
// once its entry is trimmed; the index grows many entries at a time.
func TestOperationsAgain(t *testing.T) {
	path, ctx := filepath.Join(t.TempDir(), "sessions.db"), context.Background()
	open := func() *Store {
		s, err := Open(ctx, path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	const all = 2*indexEvery + 50
	type change struct {
		rec *counterfoil.Record
		c   counterfoil.Creation
	}
	var done []change
	again := func(s *Store, i int) (uint64, error) {
		got, err := s.Create(ctx, done[i].rec.Clone(), done[i].c)
		return got.Seq, err
	}
	s := open()
	for i := range all {
		c := sample.SignIn()
		at := sample.Noon().Add(time.Duration(i/7) * time.Millisecond)
		if i%100 == 99 {
			at = at.Add(-time.Hour) // one that took long
		}
		c.Entry.Op, c.Entry.Time = opAt(at), at
		done = append(done, change{sample.Session(sample.Subject()), c})
		if seq, err := again(s, i); err != nil || seq != uint64(i+1) {
			t.Fatalf("change %d: at %d, %v", i, seq, err)
		}
		if indexed := s.writer.db.log.indexed; indexed != uint64(i+1)/indexEvery*indexEvery {
			t.Fatalf("after %d entries %d are indexed", i+1, indexed)
		}
	}
	for range 2 { // then after a restart
		for i := range all {
			if seq, err := again(s, i); err != nil || seq != uint64(i+1) {
				t.Fatalf("change %d again: at %d, %v", i, seq, err)
			}
		}
		if p, err := s.Log(ctx, 0, 0); err != nil || p.Head != all {
			t.Fatalf("the log ends at %d, %v", p.Head, err)
		}
		if n := len(s.writer.db.log.recent); n != all%indexEvery {
			t.Errorf("%d operations in memory, want those of the last %d entries", n, all%indexEvery)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open()
	}
	if got, err := s.Reap(ctx, counterfoil.Reap{Before: sample.Noon(), LogBefore: sample.Noon().Add(time.Hour), Max: 1}); err != nil || got.Entries != all {
		t.Fatalf("%+v, %v", got, err)
	}
	for i := range all {
		if _, err := again(s, i); !errors.Is(err, counterfoil.ErrExists) { // the session lives, its sign-in is forgotten
			t.Fatalf("change %d after the trim: %v", i, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n := number(t, raw(t, path), "SELECT count(*) FROM op"); n != 0 {
		t.Errorf("%d operations are left in the index", n)
	}
}

// A file of the second schema knows the operations that it has seen, and its log goes on.
func TestThirdSchema(t *testing.T) {
	path, ctx := filepath.Join(t.TempDir(), "sessions.db"), context.Background()
	if err := createFile(path); err != nil {
		t.Fatal(err)
	}
	c, err := connect(dsn(path))
	if err != nil {
		t.Fatal(err)
	}
	ops := []counterfoil.OpID{sample.Op(), {}, sample.Op()}
	if err := migrate(c, migrations()[:2], rand.Reader); err != nil {
		t.Fatal(err)
	}
	for i, op := range ops {
		if _, err := c.exec("INSERT INTO log (seq, version, kind, op, epoch, revision, reason, time, detail_key) VALUES (?, 1, 5, ?, 0, 0, '', 0, 0)",
			5+i, blob(op)); err != nil {
			t.Fatal(err)
		}
	}
	born := sample.Session(sample.Subject()) // by entry 6
	if err := errors.Join(c.script("UPDATE log SET kind = 1 WHERE seq = 6"), c.script("UPDATE state SET floor = 4"),
		c.script(fmt.Sprintf("INSERT INTO session VALUES (6, x'%x', 1,2, x'%x',NULL,NULL,NULL, 0,6,1, 0,0,9,9, 1,1,1,1, 1,1, x'00',NULL, NULL)", born.ID[:], born.Subject[:])),
		c.close()); err != nil {
		t.Fatal(err)
	}
	s, err := Open(ctx, path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i, op := range ops {
		want := uint64(5 + i)
		if i == 1 { // it had none
			want = 0
		}
		if seq := at(t, s.writer, op); seq != want {
			t.Errorf("the operation of entry %d is at %d", 5+i, seq)
		}
	}
	next := sample.SignIn()
	if got, err := s.Create(ctx, sample.Session(sample.Subject()), next); err != nil || got.Seq != 8 || at(t, s.writer, next.Entry.Op) != 8 {
		t.Errorf("the next entry is at %d, %v", got.Seq, err)
	}
	// Entry 7 ended everything.
	if _, err := s.Create(ctx, sample.Session(sample.Subject()), counterfoil.Creation{Entry: sample.SignIn().Entry, Since: 7}); !errors.Is(err, counterfoil.ErrSuperseded) {
		t.Errorf("a mark before an end of everything: %v", err)
	}
	if done, err := s.Revoke(ctx, sample.SignOut(born.ID)); err != nil || done.Seq != 9 || done.Count != 1 {
		t.Errorf("the end of a session of before: %+v, %v", done, err)
	}
	if p, err := s.Log(ctx, 4, 100); err != nil || !consecutive(p, 4, 9) {
		t.Errorf("the log: %+v, %v", p, err)
	}
}
