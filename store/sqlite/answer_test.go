package sqlite

import (
	"crypto/rand"
	"path/filepath"
	"slices"
	"testing"

	"github.com/counterfoil/counterfoil"
)

// A file of the first schema keeps what it answered, and its sessions are due when they end.
func TestSecondSchema(t *testing.T) {
	c := raw(t, filepath.Join(t.TempDir(), "sessions.db"))
	if err := migrate(c, migrations()[:1], rand.Reader); err != nil {
		t.Fatal(err)
	}
	a, b := counterfoil.ID{1}, counterfoil.ID{2}
	both := append(a[:], b[:]...)
	was := []struct {
		kind    counterfoil.EntryKind
		seq     int // of the entry
		session []byte
		answer  answered // its seq is that of the last entry
		ended   []byte
	}{
		{counterfoil.EntryCreated, 1, a[:], answered{seq: 1, session: a, number: 1}, nil},
		{counterfoil.EntryCreated, 2, b[:], answered{seq: 2, session: b, number: 1, ended: []counterfoil.ID{a}}, a[:]},
		{counterfoil.EntryChanged, 3, a[:], answered{seq: 3, session: a, number: 7}, nil},
		{counterfoil.EntryEnded, 4, a[:], answered{seq: 4, session: a, number: 1, ended: []counterfoil.ID{a}}, a[:]},
		{counterfoil.EntryEnded, 5, a[:], answered{seq: 6, session: a, number: 2, ended: []counterfoil.ID{a, b}}, both},
		{counterfoil.EntryEndedSubject, 7, nil, answered{seq: 7, number: 1, ended: []counterfoil.ID{b}}, b[:]},
		{counterfoil.EntryEndedAll, 8, nil, answered{seq: 8, number: 0}, nil},
	}
	for _, w := range was {
		op := counterfoil.OpID{byte(w.seq)}
		revision := 0
		if w.kind == counterfoil.EntryChanged {
			revision = 7
		}
		if _, err := c.exec("INSERT INTO log (seq, version, kind, op, session, epoch, revision, reason, time, detail_key) VALUES (?, 1, ?, ?, ?, 0, ?, '', 0, 0)",
			w.seq, uint8(w.kind), op[:], null(w.session), revision); err != nil {
			t.Fatal(err)
		}
		if _, err := c.exec("INSERT INTO op (op, seq, session, number, ended) VALUES (?,?,?,?,?)",
			op[:], int64(w.answer.seq), null(w.session), int64(w.answer.number), null(w.ended)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.script("INSERT INTO session VALUES (9, x'09', 1,1, NULL,NULL,NULL,NULL, 0,9,1, 0,0, 70,60, 1,1,1,1, 1,1, x'00', NULL)"); err != nil {
		t.Fatal(err)
	}
	if err := migrate(c, migrations(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	db := &tx{conn: c}
	if err := db.log.read(c); err != nil {
		t.Fatal(err)
	}
	for _, w := range was {
		got, err := recall(db, counterfoil.OpID{byte(w.seq)})
		if err != nil || got == nil {
			t.Errorf("entry %d: %v, %v", w.seq, got, err)
			continue
		}
		ended := slices.Equal(got.ended, w.answer.ended)
		number := got.number == w.answer.number || w.kind == counterfoil.EntryCreated // nobody asks for that
		if got.seq != w.answer.seq || got.session != w.answer.session || !number || !ended {
			t.Errorf("entry %d: %+v, want %+v", w.seq, *got, w.answer)
		}
	}
	if got, err := recall(db, counterfoil.OpID{99}); got != nil || err != nil {
		t.Errorf("an unknown op: %v, %v", got, err)
	}
	if n := number(t, c, "SELECT count(*) FROM answer"); n != 4 {
		t.Errorf("%d answers are kept, want those 4 that do not follow from their entries", n)
	}
	if due := number(t, c, "SELECT due FROM session"); due != 60 {
		t.Errorf("due at %d, want the earlier end", due)
	}
}

// null is NULL for nothing.
func null(b []byte) any {
	if b == nil {
		return nil
	}
	return b
}
