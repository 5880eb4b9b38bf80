package postgres

import (
	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store/internal/sqlrow"
	"github.com/jackc/pgx/v5"
)

// insertEntries takes positions of the log and puts entries there, the last of them at the head.
const insertEntries = "WITH h AS (UPDATE cf_log_head SET seq = seq + $1::bigint RETURNING seq), l AS (INSERT INTO cf_log (seq, " + entryColumns + ") " +
	"SELECT h.seq - $1::bigint + e.n, $2::smallint, e.kind, e.op, e.session, e.subject, e.actor, e.parent, e.root, e.spared, e.epoch, e.revision, e.reason, e.time, e.detail_key, e.detail " +
	"FROM h, unnest($3::smallint[], $4::bytea[], $5::bytea[], $6::bytea[], $7::bytea[], $8::bytea[], $9::bytea[], $10::bytea[], " +
	"$11::bigint[], $12::bigint[], $13::text[], $14::bigint[], $15::bigint[], $16::bytea[]) " +
	"WITH ORDINALITY AS e(kind, op, session, subject, actor, parent, root, spared, epoch, revision, reason, time, detail_key, detail, n)) SELECT seq FROM h"

// append writes the entries at the next positions of the log with the commit, and puts the new head
// into seq. It comes once in a transaction, after everything that may wait for others: from here on
// everybody waits for this one.
func (t *tx) append(entries []counterfoil.Entry, seq *uint64) {
	var (
		kinds                                                       []int16
		ops, sessions, subjects, actors, parents, roots, spared, ds [][]byte
		epochs, revisions, times, keys                              []int64
		reasons                                                     []string
	)
	for _, e := range entries {
		kinds, ops, sessions = append(kinds, int16(e.Kind)), append(ops, sqlrow.Blob(e.Op)), append(sessions, sqlrow.Blob(e.Session))
		subjects, actors = append(subjects, sqlrow.Blob(e.Subject)), append(actors, sqlrow.Blob(e.Actor))
		parents, roots = append(parents, sqlrow.Blob(e.Parent)), append(roots, sqlrow.Blob(e.Root))
		spared, ds = append(spared, sqlrow.JoinIDs(e.Except)), append(ds, e.Detail)
		epochs, revisions = append(epochs, int64(e.Epoch)), append(revisions, int64(e.Revision))
		reasons, times, keys = append(reasons, string(e.Reason)), append(times, e.Time.UnixMilli()), append(keys, int64(e.DetailKey))
	}
	t.last.Queue(insertEntries, len(entries), counterfoil.EntryVersion, kinds, ops, sessions, subjects, actors, parents, roots, spared,
		epochs, revisions, reasons, times, keys, ds).QueryRow(func(row pgx.Row) error {
		var head int64
		err := row.Scan(&head)
		*seq = uint64(head)
		return err
	})
}

// answered is what a change was answered with.
type answered struct {
	seq     uint64
	session counterfoil.ID
	number  uint64 // the new revision, or how many were ended
	ended   []counterfoil.ID
}

// lockOp makes the same change wait for itself, so that the second finds what the first was answered.
func lockOp(op counterfoil.OpID) []lock {
	if op == (counterfoil.OpID{}) {
		return nil
	}
	return []lock{lockOf("op", op[:])}
}

// recall asks what op was answered with when it was done; first is nil if it was not. Whoever asks again
// may do so because no standby had confirmed it, so the row is written anew: this commit waits for the
// standby to have both.
func recall(b *pgx.Batch, op counterfoil.OpID, first **answered) {
	if *first = nil; op == (counterfoil.OpID{}) {
		return
	}
	queueEach(b, func(row pgx.Row) error {
		var seq, number int64
		var session, ended []byte
		err := row.Scan(&seq, &session, &number, &ended)
		*first = &answered{uint64(seq), sqlrow.FromBlob[counterfoil.ID](session), uint64(number), sqlrow.SplitIDs(ended)}
		return err
	}, "UPDATE cf_op SET seq = seq WHERE op = $1 RETURNING seq, session, number, ended", op[:])
}

// remember keeps the answer to op, whose seq is the head, for as long as the log reaches back to it.
func (t *tx) remember(op counterfoil.OpID, a answered) {
	if op == (counterfoil.OpID{}) {
		return
	}
	t.last.Queue("INSERT INTO cf_op (op, seq, session, number, ended) SELECT $1, seq, $2, $3, $4 FROM cf_log_head",
		op[:], sqlrow.Blob(a.session), int64(a.number), sqlrow.JoinIDs(a.ended))
}
