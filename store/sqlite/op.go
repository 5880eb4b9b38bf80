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

// recall returns what op was answered with when it was done, nil if it was not.
func recall(db *conn, op counterfoil.OpID) (*answered, error) {
	if op == (counterfoil.OpID{}) {
		return nil, nil
	}
	var seq, number int64
	var session, ended []byte
	err := db.row("SELECT seq, session, number, ended FROM op WHERE op = ?", op[:]).Scan(&seq, &session, &number, &ended)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &answered{uint64(seq), sqlrow.FromBlob[counterfoil.ID](session), uint64(number), sqlrow.SplitIDs(ended)}, nil
}

// remember keeps the answer to op for as long as the log reaches back to it.
func remember(db *conn, op counterfoil.OpID, a answered) error {
	if op == (counterfoil.OpID{}) {
		return nil
	}
	_, err := db.exec("INSERT INTO op (op, seq, session, number, ended) VALUES (?,?,?,?,?)",
		op[:], int64(a.seq), blob(a.session), int64(a.number), sqlrow.JoinIDs(a.ended))
	return err
}
