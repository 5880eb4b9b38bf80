package postgres

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5"
)

// migrations returns the steps from each schema version to the next. A step that was released is
// never changed; what changes is a further step.
func migrations() []string { return []string{schema1} }

// Absent IDs and hashes are NULL, times are milliseconds since 1970, unsigned numbers are stored as
// the signed ones of the same bits.
const schema1 = `
CREATE TABLE cf_log_head (
	one         boolean PRIMARY KEY DEFAULT true CHECK (one),
	seq         bigint  NOT NULL,
	floor       bigint  NOT NULL, -- entries at or below are trimmed
	incarnation text    NOT NULL
) WITH (fillfactor = 10); -- one row, written by every change: room for its versions

CREATE TABLE cf_session (
	id             bytea    PRIMARY KEY,
	version        smallint NOT NULL,
	kind           smallint NOT NULL,
	subject        bytea,
	actor          bytea,
	parent         bytea,
	root           bytea,
	epoch          bigint   NOT NULL,
	born           bigint   NOT NULL,
	revision       bigint   NOT NULL,
	created        bigint   NOT NULL,
	seen           bigint   NOT NULL,
	idle_end       bigint   NOT NULL,
	absolute_end   bigint   NOT NULL,
	identity_key   bigint   NOT NULL,
	values_key     bigint   NOT NULL,
	verifier_key   bigint   NOT NULL,
	selector_key   bigint   NOT NULL,
	identity_count bigint   NOT NULL,
	values_count   bigint   NOT NULL,
	sealed         bytea, -- the identity part
	vals           bytea,
	due            bigint   NOT NULL -- when to look whether it has ended: at its end or before
) WITH (fillfactor = 85); -- room for a touch on the row's own page: no index is written then
CREATE INDEX cf_session_subject ON cf_session (subject, born) WHERE subject IS NOT NULL;
CREATE INDEX cf_session_actor   ON cf_session (actor, born)   WHERE actor   IS NOT NULL;
CREATE INDEX cf_session_parent  ON cf_session (parent)        WHERE parent  IS NOT NULL;
CREATE INDEX cf_session_root    ON cf_session (root)          WHERE root    IS NOT NULL;
CREATE INDEX cf_session_due     ON cf_session (due);

CREATE TABLE cf_log (
	seq        bigint   PRIMARY KEY,
	version    smallint NOT NULL,
	kind       smallint NOT NULL,
	op         bytea,
	session    bytea,
	subject    bytea,
	actor      bytea,
	parent     bytea,
	root       bytea,
	spared     bytea, -- IDs, one behind the other
	epoch      bigint   NOT NULL,
	revision   bigint   NOT NULL,
	reason     text     NOT NULL,
	time       bigint   NOT NULL,
	detail_key bigint   NOT NULL,
	detail     bytea
);
CREATE INDEX cf_log_wide ON cf_log (seq) WHERE kind IN (4, 5);

CREATE TABLE cf_op ( -- what was answered to a change, for when it is asked for again; goes with its log entry
	op      bytea  PRIMARY KEY,
	seq     bigint NOT NULL,
	session bytea,
	number  bigint NOT NULL, -- the new revision, or how many were ended
	ended   bytea            -- IDs, one behind the other
);

CREATE TABLE cf_reader (
	name text   PRIMARY KEY,
	seq  bigint NOT NULL
);

CREATE TABLE cf_node (
	name   text        PRIMARY KEY,
	beat   bigint      NOT NULL,
	acked  bigint      NOT NULL,
	fenced boolean     NOT NULL DEFAULT false,
	seen   timestamptz NOT NULL DEFAULT now() -- for removing what is long gone
) WITH (fillfactor = 50);

CREATE TABLE cf_meta (
	key   text  PRIMARY KEY,
	value bytea NOT NULL
);

CREATE TABLE cf_account (
	name     text    COLLATE "C" PRIMARY KEY,
	operator boolean NOT NULL,
	disabled boolean NOT NULL,
	password text    NOT NULL,
	epoch    bigint  NOT NULL,
	created  text    NOT NULL, -- RFC 3339
	changed  text    NOT NULL,
	revision bigint  NOT NULL
);

CREATE TABLE cf_attempt (
	row  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	key  bytea  NOT NULL,
	at   bigint NOT NULL, -- nanoseconds since 1970
	ends bigint NOT NULL
);
CREATE INDEX cf_attempt_key  ON cf_attempt (key, at);
CREATE INDEX cf_attempt_ends ON cf_attempt (ends);

CREATE TABLE cf_link (
	hash    bytea  PRIMARY KEY,
	purpose text   NOT NULL,
	subject text   NOT NULL,
	expires bigint NOT NULL -- nanoseconds since 1970
);
CREATE INDEX cf_link_subject ON cf_link (purpose, subject);
CREATE INDEX cf_link_expires ON cf_link (expires);
`

// migrate brings the tables to the version that has all steps, in one transaction, while no other
// node does. Where they are up to date no right to make tables is needed.
func (s *Store) migrate(ctx context.Context, steps []string, random io.Reader) error {
	return s.write(ctx, []lock{lockOf("schema", nil)}, func(t *tx) error {
		var made bool
		if err := t.QueryRow(ctx, "SELECT to_regclass('cf_schema') IS NOT NULL").Scan(&made); err != nil {
			return err
		}
		version := 0
		if made {
			if err := t.QueryRow(ctx, "SELECT version FROM cf_schema").Scan(&version); err != nil {
				return err
			}
		}
		switch {
		case version > len(steps):
			return fmt.Errorf("%w (their version is %d, this program knows %d)", ErrNewer, version, len(steps))
		case version == len(steps):
			return nil
		}
		if version == 0 {
			incarnation := make([]byte, 16)
			if _, err := io.ReadFull(random, incarnation); err != nil {
				return err
			}
			defer t.last.Queue("INSERT INTO cf_log_head (seq, floor, incarnation) VALUES (0, 0, $1)", base64.RawURLEncoding.EncodeToString(incarnation))
			if _, err := t.Exec(ctx, "CREATE TABLE cf_schema (version integer NOT NULL); INSERT INTO cf_schema VALUES (0)", pgx.QueryExecModeSimpleProtocol); err != nil {
				return err
			}
		}
		for _, step := range steps[version:] {
			if _, err := t.Exec(ctx, step, pgx.QueryExecModeSimpleProtocol); err != nil {
				return err
			}
		}
		t.last.Queue("UPDATE cf_schema SET version = $1", len(steps))
		return nil
	})
}
