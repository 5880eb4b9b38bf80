package postgres

import (
	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/store/internal/sqlrow"
	"github.com/jackc/pgx/v5"
)

const recordColumns = "id, version, kind, subject, actor, parent, root, epoch, born, revision, " +
	"created, seen, idle_end, absolute_end, identity_key, values_key, verifier_key, selector_key, " +
	"identity_count, values_count, sealed, vals"

// insertRecord takes the record's own position from the head of the log, which the transaction has
// just moved.
const insertRecord = "INSERT INTO cf_session (" + recordColumns + ", due) " +
	"SELECT $1, $2, $3, $4, $5, $6, $7, $8, seq, 1, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, least($11::bigint, $12::bigint) FROM cf_log_head"

func recordValues(r *counterfoil.Record) []any {
	return []any{
		r.ID[:], int16(r.Version), int16(r.Kind), sqlrow.Blob(r.Subject), sqlrow.Blob(r.Actor), sqlrow.Blob(r.Parent), sqlrow.Blob(r.Root), int64(r.Epoch),
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
	r.ID, r.Version, r.Kind = sqlrow.FromBlob[counterfoil.ID](id), uint8(version), counterfoil.Kind(kind)
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
	e.Seq, e.Version, e.Kind, e.Op = uint64(*seq), uint8(*version), counterfoil.EntryKind(*kind), sqlrow.FromBlob[counterfoil.OpID](op)
	e.Session, e.Parent, e.Root = sqlrow.FromBlob[counterfoil.ID](session), sqlrow.FromBlob[counterfoil.ID](parent), sqlrow.FromBlob[counterfoil.ID](root)
	e.Subject, e.Actor = sqlrow.FromBlob[counterfoil.SubjectHash](subject), sqlrow.FromBlob[counterfoil.SubjectHash](actor)
	e.Except, e.Epoch, e.Revision = sqlrow.SplitIDs(spared), uint64(*epoch), uint64(*revision)
	e.Reason, e.Time, e.DetailKey = counterfoil.Reason(*reason), sqlrow.Time(*at), keyring.KeyID(*detailKey)
	return e, nil
}

// of fills in whom the entry is about.
func of(e counterfoil.Entry, r *counterfoil.Record) counterfoil.Entry {
	e.Session, e.Subject, e.Actor, e.Parent, e.Root = r.ID, r.Subject, r.Actor, r.Parent, r.Root
	return e
}
