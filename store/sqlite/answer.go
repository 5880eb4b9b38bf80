package sqlite

import (
	"database/sql"
	"errors"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store/internal/sqlrow"
)

// answered is what a change was answered with.
type answered struct {
	seq     uint64
	session counterfoil.ID
	number  uint64 // the new revision, or how many were ended
	ended   []counterfoil.ID
}

// recall returns what op was answered with when it was done, nil if it was not. It is known for as
// long as the log reaches back to its entry, from which it follows mostly.
func recall(db *conn, op counterfoil.OpID) (*answered, error) {
	if op == (counterfoil.OpID{}) {
		return nil, nil
	}
	var seq, revision int64
	var kind uint8
	var session []byte
	err := db.row("SELECT seq, kind, session, revision FROM log WHERE op = ?", op[:]).Scan(&seq, &kind, &session, &revision)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	a := &answered{seq: uint64(seq), session: sqlrow.FromBlob[counterfoil.ID](session), number: uint64(revision)}
	if counterfoil.EntryKind(kind) == counterfoil.EntryEnded {
		a.number, a.ended = 1, []counterfoil.ID{a.session}
	}
	var last, number int64
	var ended []byte
	switch err := db.row("SELECT last, number, ended FROM answer WHERE seq = ?", seq).Scan(&last, &number, &ended); {
	case err == nil:
		a.seq, a.number, a.ended = uint64(last), uint64(number), sqlrow.SplitIDs(ended)
	case !errors.Is(err, sql.ErrNoRows):
		return nil, err
	}
	return a, nil
}

// remember keeps an answer that does not follow from the entry of op: one that ended more than the
// session that the entry names.
func remember(db *conn, op counterfoil.OpID, a answered) error {
	if op == (counterfoil.OpID{}) {
		return nil
	}
	_, err := db.exec("INSERT INTO answer (seq, last, number, ended) SELECT seq, ?, ?, ? FROM log WHERE op = ?",
		int64(a.seq), int64(a.number), sqlrow.JoinIDs(a.ended), op[:])
	return err
}
