package sqlite

import (
	"bytes"
	"database/sql"
	"errors"
	"maps"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store/internal/sqlrow"
)

// tx is the connection that writes, in a transaction, with what it knows of the log.
type tx struct {
	*conn
	log tail
}

// tail is the end of the log, known without asking the file, to which nobody else writes. When a
// rollback takes something of it back it is read anew.
//
// An entry whose operation went into an index at once would write a page more for that alone. So the
// operations go there many at a time; those that do not stand there yet stand here.
type tail struct {
	known       bool
	changes     uint64 // counts what changed here, for who may have to take it back
	head, floor uint64
	wide        uint64 // position of the last entry that ended somebody's sessions or all, 0: none
	indexed     uint64 // the index has the operations of the entries up to here
	greatest    counterfoil.OpID
	recent      map[counterfoil.OpID]uint64 // positions of those behind it
}

// indexEvery is after how many entries their operations go into the index.
const indexEvery = 256

// read learns the end of the log from the file, if it is not known.
func (t *tail) read(db *conn) error {
	if t.known {
		return nil
	}
	var head, floor, wide, indexed int64
	var greatest []byte
	err := db.row("SELECT "+logHead+", floor, ifnull((SELECT max(seq) FROM log INDEXED BY log_wide WHERE kind IN (4, 5)), 0), indexed, (SELECT max(op) FROM op) FROM state").
		Scan(&head, &floor, &wide, &indexed, &greatest)
	if err != nil {
		return err
	}
	recent := make(map[counterfoil.OpID]uint64, indexEvery)
	err = db.each(func(row scanner) error {
		var op []byte
		var seq int64
		err := row.Scan(&op, &seq)
		recent[sqlrow.FromBlob[counterfoil.OpID](op)] = uint64(seq)
		return err
	}, "SELECT op, seq FROM entry WHERE seq > ? AND op IS NOT NULL", max(indexed, floor))
	if err != nil {
		return err
	}
	*t = tail{
		known: true, changes: t.changes, head: uint64(head), floor: uint64(floor), wide: uint64(wide),
		indexed: uint64(indexed), greatest: sqlrow.FromBlob[counterfoil.OpID](greatest), recent: recent,
	}
	return nil
}

// undone says that what changed since then was rolled back.
func (t *tail) undone(since uint64) {
	if t.changes != since {
		t.known = false
	}
}

// wrote takes note of the entry behind the head, and returns its position.
func (t *tail) wrote(e *counterfoil.Entry) uint64 {
	t.changes++
	t.head++
	if e.Kind == counterfoil.EntryEndedSubject || e.Kind == counterfoil.EntryEndedAll {
		t.wide = t.head
	}
	if e.Op != (counterfoil.OpID{}) {
		t.recent[e.Op] = t.head
	}
	return t.head
}

// trimmed takes note that the entries up to floor are gone.
func (t *tail) trimmed(floor uint64) {
	t.changes++
	t.floor = floor
	maps.DeleteFunc(t.recent, func(_ counterfoil.OpID, seq uint64) bool { return seq <= floor })
}

// position returns where in the log the entry of an operation is, 0 if it is nowhere. New ones, which
// come after all that are indexed, cost no question.
func (db *tx) position(op counterfoil.OpID) (uint64, error) {
	if seq, ok := db.log.recent[op]; ok {
		return seq, nil
	}
	if op == (counterfoil.OpID{}) || bytes.Compare(op[:], db.log.greatest[:]) > 0 {
		return 0, nil
	}
	var seq int64
	err := db.row("SELECT seq FROM op WHERE op = ?", op[:]).Scan(&seq)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return uint64(seq), err
}

// index moves the operations of the last entries into the index, if there are enough of them.
func (db *tx) index() error {
	t := &db.log
	if !t.known || t.head < t.indexed+indexEvery {
		return nil
	}
	if _, err := db.exec("INSERT INTO op (op, seq) SELECT op, seq FROM entry WHERE seq > ? AND op IS NOT NULL ORDER BY op", int64(max(t.indexed, t.floor))); err != nil {
		return err
	}
	if _, err := db.exec("UPDATE state SET indexed = ?", int64(t.head)); err != nil {
		return err
	}
	t.changes++
	t.indexed = t.head
	for op := range t.recent {
		if bytes.Compare(op[:], t.greatest[:]) > 0 {
			t.greatest = op
		}
	}
	clear(t.recent)
	return nil
}
