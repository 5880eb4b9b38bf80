package postgres

import (
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/jackc/pgx/v5"
)

// bytes16 are the types that are stored as 16 bytes, or NULL if zero.
type bytes16 interface {
	counterfoil.ID | counterfoil.SubjectHash | counterfoil.OpID
}

func blob[T bytes16](v T) []byte {
	if v == (T{}) {
		return nil
	}
	b := [16]byte(v)
	return b[:]
}

func fromBlob[T bytes16](b []byte) (v T) {
	if len(b) == 16 {
		v = T(b)
	}
	return v
}

func joinIDs(ids []counterfoil.ID) []byte {
	var b []byte
	for _, id := range ids {
		b = append(b, id[:]...)
	}
	return b
}

func splitIDs(b []byte) (ids []counterfoil.ID) {
	for ; len(b) >= 16; b = b[16:] {
		ids = append(ids, counterfoil.ID(b[:16]))
	}
	return ids
}

func fromMilli(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

const recordColumns = "id, version, kind, subject, actor, parent, root, epoch, born, revision, " +
	"created, seen, idle_end, absolute_end, identity_key, values_key, verifier_key, selector_key, " +
	"identity_count, values_count, sealed, vals"

// insertRecord takes the record's own position from the head of the log, which the transaction has
// just moved.
const insertRecord = "INSERT INTO cf_session (" + recordColumns + ", due) " +
	"SELECT $1, $2, $3, $4, $5, $6, $7, $8, seq, 1, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, least($11::bigint, $12::bigint) FROM cf_log_head"

func recordValues(r *counterfoil.Record) []any {
	return []any{
		r.ID[:], int16(r.Version), int16(r.Kind), blob(r.Subject), blob(r.Actor), blob(r.Parent), blob(r.Root), int64(r.Epoch),
		r.Created.UnixMilli(), r.Seen.UnixMilli(), r.IdleEnd.UnixMilli(), r.AbsoluteEnd.UnixMilli(),
		int64(r.IdentityKey), int64(r.ValuesKey), int64(r.VerifierKey), int64(r.SelectorKey),
		int64(r.IdentityCount), int64(r.ValuesCount), r.Identity, r.Values,
	}
}

func scanRecord(row pgx.Row) (*counterfoil.Record, error) {
	var (
		r                                      counterfoil.Record
		id, subject, actor, parent, root       []byte
		version, kind                          int16
		epoch, born, revision                  int64
		created, seen, idle, absolute          int64
		identityKey, valuesKey, verKey, selKey int64
		identityCount, valuesCount             int64
	)
	err := row.Scan(
		&id, &version, &kind, &subject, &actor, &parent, &root, &epoch, &born, &revision,
		&created, &seen, &idle, &absolute, &identityKey, &valuesKey, &verKey, &selKey,
		&identityCount, &valuesCount, &r.Identity, &r.Values)
	if err != nil {
		return nil, err
	}
	r.ID, r.Version, r.Kind = fromBlob[counterfoil.ID](id), uint8(version), counterfoil.Kind(kind)
	r.Subject, r.Actor = fromBlob[counterfoil.SubjectHash](subject), fromBlob[counterfoil.SubjectHash](actor)
	r.Parent, r.Root = fromBlob[counterfoil.ID](parent), fromBlob[counterfoil.ID](root)
	r.Epoch, r.Born, r.Revision = uint64(epoch), uint64(born), uint64(revision)
	r.Created, r.Seen = fromMilli(created), fromMilli(seen)
	r.IdleEnd, r.AbsoluteEnd = fromMilli(idle), fromMilli(absolute)
	r.IdentityKey, r.ValuesKey = keyring.KeyID(identityKey), keyring.KeyID(valuesKey)
	r.VerifierKey, r.SelectorKey = keyring.KeyID(verKey), keyring.KeyID(selKey)
	r.IdentityCount, r.ValuesCount = uint64(identityCount), uint64(valuesCount)
	return &r, nil
}

const entryColumns = "version, kind, op, session, subject, actor, parent, root, spared, epoch, revision, " +
	"reason, time, detail_key, detail"

// scanEntry reads what the caller selected before, then seq and entryColumns, which are NULL
// together if there was none: then the entry has no Seq.
func scanEntry(row pgx.Row, before ...any) (e counterfoil.Entry, err error) {
	var (
		version, kind                                     *int16
		op, session, subject, actor, parent, root, spared []byte
		seq, epoch, revision, at, detailKey               *int64
		reason                                            *string
	)
	err = row.Scan(append(before, &seq, &version, &kind, &op, &session, &subject, &actor, &parent, &root, &spared,
		&epoch, &revision, &reason, &at, &detailKey, &e.Detail)...)
	if err != nil || seq == nil {
		return counterfoil.Entry{}, err
	}
	e.Seq, e.Version, e.Kind, e.Op = uint64(*seq), uint8(*version), counterfoil.EntryKind(*kind), fromBlob[counterfoil.OpID](op)
	e.Session, e.Parent, e.Root = fromBlob[counterfoil.ID](session), fromBlob[counterfoil.ID](parent), fromBlob[counterfoil.ID](root)
	e.Subject, e.Actor = fromBlob[counterfoil.SubjectHash](subject), fromBlob[counterfoil.SubjectHash](actor)
	e.Except, e.Epoch, e.Revision = splitIDs(spared), uint64(*epoch), uint64(*revision)
	e.Reason, e.Time, e.DetailKey = counterfoil.Reason(*reason), fromMilli(*at), keyring.KeyID(*detailKey)
	return e, nil
}

// of fills in whom the entry is about.
func of(e counterfoil.Entry, r *counterfoil.Record) counterfoil.Entry {
	e.Session, e.Subject, e.Actor, e.Parent, e.Root = r.ID, r.Subject, r.Actor, r.Parent, r.Root
	return e
}
