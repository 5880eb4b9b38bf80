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
func recall(db *tx, op counterfoil.OpID) (*answered, error) {
	at, err := db.position(op)
	if at == 0 || err != nil {
		return nil, err
	}
	seq := int64(at)
	var revision int64
	var kind uint8
	var session []byte
	if err := db.row("SELECT kind, session, revision FROM entry WHERE seq = ?", seq).Scan(&kind, &session, &revision); err != nil {
		return nil, err
	}
	a := &answered{seq: at, session: sqlrow.FromBlob[counterfoil.ID](session), number: uint64(revision)}
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
func remember(db *tx, op counterfoil.OpID, a answered) error {
	seq, err := db.position(op)
	if seq == 0 || err != nil {
		return err
	}
	_, err = db.exec("INSERT INTO answer (seq, last, number, ended) VALUES (?, ?, ?, ?)", int64(seq), int64(a.seq), int64(a.number), sqlrow.JoinIDs(a.ended))
	return err
}
