package sqlite

import (
	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/store/internal/sqlrow"
)

// blob returns 16 bytes, or nil, which a nil slice is not to the driver.
func blob[T sqlrow.Bytes16](v T) any {
	if b := sqlrow.Blob(v); b != nil {
		return b
	}
	return nil
}

// sealed scans a column so that empty stays apart from NULL: nil is "none", as in a Record.
type sealed []byte

func (s *sealed) Scan(src any) error {
	b, ok := src.([]byte)
	if *s = b; ok && b == nil {
		*s = []byte{}
	}
	return nil
}

const recordColumns = "id, version, kind, subject, actor, parent, root, epoch, born, revision, " +
	"created, seen, idle_end, absolute_end, identity_key, values_key, verifier_key, selector_key, " +
	"identity_count, values_count, sealed, vals"

// insertSession is followed by VALUES, in the order of sessionValues.
const (
	insertSession = "INSERT INTO session (kind, version, id, subject, actor, parent, root, epoch, born, revision, " +
		"created, seen, idle_end, absolute_end, identity_key, values_key, verifier_key, selector_key, " +
		"identity_count, values_count, sealed, vals, row, op, reason, time, detail_key, detail) "
	otherMarks = "?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?"
)

// sessionValues are a new record at its created entry's position, and what that entry says besides.
func sessionValues(seq uint64, r *counterfoil.Record, e counterfoil.Entry) []any {
	return []any{
		uint8(r.Kind), r.Version, r.ID[:], blob(r.Subject), blob(r.Actor), blob(r.Parent), blob(r.Root),
		int64(r.Epoch), int64(seq), 1,
		r.Created.UnixMilli(), r.Seen.UnixMilli(), r.IdleEnd.UnixMilli(), r.AbsoluteEnd.UnixMilli(),
		uint32(r.IdentityKey), uint32(r.ValuesKey), uint32(r.VerifierKey), uint32(r.SelectorKey),
		int64(r.IdentityCount), int64(r.ValuesCount), r.Identity, r.Values,
		int64(seq), blob(e.Op), string(e.Reason), e.Time.UnixMilli(), uint32(e.DetailKey), e.Detail,
	}
}

// scanRecord reads recordColumns, and what the caller selected behind them.
func scanRecord(row scanner, more ...any) (*counterfoil.Record, error) {
	var (
		r                                      counterfoil.Record
		id, subject, actor, parent, root       []byte
		kind                                   uint8
		epoch, born, revision                  int64
		created, seen, idle, absolute          int64
		identityKey, valuesKey, verKey, selKey uint32
		identityCount, valuesCount             int64
	)
	err := row.Scan(append([]any{
		&id, &r.Version, &kind, &subject, &actor, &parent, &root, &epoch, &born, &revision,
		&created, &seen, &idle, &absolute, &identityKey, &valuesKey, &verKey, &selKey,
		&identityCount, &valuesCount, (*sealed)(&r.Identity), (*sealed)(&r.Values),
	}, more...)...)
	if err != nil {
		return nil, err
	}
	r.ID, r.Kind = sqlrow.FromBlob[counterfoil.ID](id), counterfoil.Kind(kind)
	r.Subject, r.Actor = sqlrow.FromBlob[counterfoil.SubjectHash](subject), sqlrow.FromBlob[counterfoil.SubjectHash](actor)
	r.Parent, r.Root = sqlrow.FromBlob[counterfoil.ID](parent), sqlrow.FromBlob[counterfoil.ID](root)
	r.Epoch, r.Born, r.Revision = uint64(epoch), uint64(born), uint64(revision)
	r.Created, r.Seen = sqlrow.Time(created), sqlrow.Time(seen)
	r.IdleEnd, r.AbsoluteEnd = sqlrow.Time(idle), sqlrow.Time(absolute)
	r.IdentityKey, r.ValuesKey = keyring.KeyID(identityKey), keyring.KeyID(valuesKey)
	r.VerifierKey, r.SelectorKey = keyring.KeyID(verKey), keyring.KeyID(selKey)
	r.IdentityCount, r.ValuesCount = uint64(identityCount), uint64(valuesCount)
	return &r, nil
}

const entryColumns = "version, kind, op, session, subject, actor, parent, root, spared, epoch, revision, " +
	"reason, time, detail_key, detail"

func scanEntry(row scanner) (e counterfoil.Entry, err error) {
	var (
		kind                                              uint8
		op, session, subject, actor, parent, root, spared []byte
		seq, epoch, revision, at                          int64
		reason                                            string
		detailKey                                         uint32
	)
	err = row.Scan(&seq, &e.Version, &kind, &op, &session, &subject, &actor, &parent, &root, &spared,
		&epoch, &revision, &reason, &at, &detailKey, (*sealed)(&e.Detail))
	e.Seq, e.Kind, e.Op = uint64(seq), counterfoil.EntryKind(kind), sqlrow.FromBlob[counterfoil.OpID](op)
	e.Session, e.Parent, e.Root = sqlrow.FromBlob[counterfoil.ID](session), sqlrow.FromBlob[counterfoil.ID](parent), sqlrow.FromBlob[counterfoil.ID](root)
	e.Subject, e.Actor = sqlrow.FromBlob[counterfoil.SubjectHash](subject), sqlrow.FromBlob[counterfoil.SubjectHash](actor)
	e.Except, e.Epoch, e.Revision = sqlrow.SplitIDs(spared), uint64(epoch), uint64(revision)
	e.Reason, e.Time, e.DetailKey = counterfoil.Reason(reason), sqlrow.Time(at), keyring.KeyID(detailKey)
	return e, err
}

// of fills in whom the entry is about.
func of(e counterfoil.Entry, r *counterfoil.Record) counterfoil.Entry {
	e.Session, e.Subject, e.Actor, e.Parent, e.Root = r.ID, r.Subject, r.Actor, r.Parent, r.Root
	return e
}

// logHead is the last position of the log, FROM state.
const logHead = "max(floor, ifnull((SELECT max(seq) FROM log), 0), ifnull((SELECT max(row) FROM session), 0))"

// appendEntry writes e at the next position of the log and returns that.
func appendEntry(db *tx, e counterfoil.Entry) (uint64, error) {
	_, err := db.exec("INSERT INTO log (seq, "+entryColumns+") VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
		int64(db.log.head+1), counterfoil.EntryVersion, uint8(e.Kind), blob(e.Op), blob(e.Session), blob(e.Subject), blob(e.Actor), blob(e.Parent), blob(e.Root),
		sqlrow.JoinIDs(e.Except), int64(e.Epoch), int64(e.Revision), string(e.Reason), e.Time.UnixMilli(), uint32(e.DetailKey), e.Detail)
	if err != nil {
		return 0, err
	}
	return db.log.wrote(&e), nil
}
