package sqlite

import (
	"encoding/base64"
	"fmt"
	"io"
)

// applicationID marks our files in SQLite's header ("cfs1").
const applicationID = 0x63667331

// migrations returns the steps from each schema version to the next. A step that was released is
// never changed; what changes is a further step.
func migrations() []string { return []string{schema1, schema2, schema3} }

// Sessions have a rowid: rows of several hundred bytes under random keys would spread writes over
// the whole file otherwise. What is small, or found by its key alone, does without.
//
// Absent IDs and hashes are NULL, times are milliseconds since 1970, unsigned numbers are stored as
// the signed ones of the same bits.
const schema1 = `
CREATE TABLE state (
	one         INTEGER PRIMARY KEY CHECK (one = 1),
	incarnation TEXT    NOT NULL,
	floor       INTEGER NOT NULL -- log entries at or below are trimmed
) STRICT;

CREATE TABLE session (
	row            INTEGER PRIMARY KEY,
	id             BLOB    NOT NULL UNIQUE,
	version        INTEGER NOT NULL,
	kind           INTEGER NOT NULL,
	subject        BLOB,
	actor          BLOB,
	parent         BLOB,
	root           BLOB,
	epoch          INTEGER NOT NULL,
	born           INTEGER NOT NULL,
	revision       INTEGER NOT NULL,
	created        INTEGER NOT NULL,
	seen           INTEGER NOT NULL,
	idle_end       INTEGER NOT NULL,
	absolute_end   INTEGER NOT NULL,
	identity_key   INTEGER NOT NULL,
	values_key     INTEGER NOT NULL,
	verifier_key   INTEGER NOT NULL,
	selector_key   INTEGER NOT NULL,
	identity_count INTEGER NOT NULL,
	values_count   INTEGER NOT NULL,
	sealed         BLOB, -- the identity part
	vals           BLOB
) STRICT;
CREATE INDEX session_subject ON session (subject) WHERE subject IS NOT NULL;
CREATE INDEX session_actor   ON session (actor)   WHERE actor   IS NOT NULL;
CREATE INDEX session_parent  ON session (parent)  WHERE parent  IS NOT NULL;
CREATE INDEX session_root    ON session (root)    WHERE root    IS NOT NULL;
CREATE INDEX session_end     ON session (min(idle_end, absolute_end));

CREATE TABLE log (
	seq        INTEGER PRIMARY KEY,
	version    INTEGER NOT NULL,
	kind       INTEGER NOT NULL,
	op         BLOB,
	session    BLOB,
	subject    BLOB,
	actor      BLOB,
	parent     BLOB,
	root       BLOB,
	spared     BLOB, -- IDs, one behind the other
	epoch      INTEGER NOT NULL,
	revision   INTEGER NOT NULL,
	reason     TEXT    NOT NULL,
	time       INTEGER NOT NULL,
	detail_key INTEGER NOT NULL,
	detail     BLOB
) STRICT;
CREATE INDEX log_wide ON log (seq) WHERE kind IN (4, 5);

CREATE TABLE op ( -- what was answered to a change, for when it is asked for again; goes with its log entry
	op      BLOB PRIMARY KEY,
	seq     INTEGER NOT NULL,
	session BLOB,
	number  INTEGER NOT NULL, -- the new revision, or how many were ended
	ended   BLOB              -- IDs, one behind the other
) STRICT, WITHOUT ROWID;

CREATE TABLE reader (
	name TEXT PRIMARY KEY,
	seq  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE meta (
	key   TEXT PRIMARY KEY,
	value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE account (
	name     TEXT PRIMARY KEY,
	operator INTEGER NOT NULL,
	disabled INTEGER NOT NULL,
	password TEXT    NOT NULL,
	epoch    INTEGER NOT NULL,
	created  TEXT    NOT NULL, -- RFC 3339
	changed  TEXT    NOT NULL,
	revision INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE attempt (
	row  INTEGER PRIMARY KEY,
	key  TEXT    NOT NULL,
	at   INTEGER NOT NULL, -- nanoseconds since 1970
	ends INTEGER NOT NULL
) STRICT;
CREATE INDEX attempt_key  ON attempt (key, at);
CREATE INDEX attempt_ends ON attempt (ends);

CREATE TABLE link (
	hash    BLOB PRIMARY KEY,
	purpose TEXT    NOT NULL,
	subject TEXT    NOT NULL,
	expires INTEGER NOT NULL -- nanoseconds since 1970
) STRICT, WITHOUT ROWID;
CREATE INDEX link_subject ON link (purpose, subject);
CREATE INDEX link_expires ON link (expires);
`

// A sign-in writes no more than it must: each index is a page of its own that goes through the log.
//
// What a change was answered follows from its log entry mostly, so that an index on the entries' op
// finds it; only the other answers are kept.
//
// due is a time up to which a session need not be looked at for having ended; it is at or before both
// ends. A session has none until the first sweep after its sign-in gives it one, and a touch leaves it
// alone: a sweep that comes too early moves it on. From here on a session's row is the position of its
// created entry, so that those without have the highest.
const schema2 = `
CREATE TABLE answer ( -- to the change of that log entry, when it is asked for again; goes with the entry
	seq    INTEGER PRIMARY KEY,
	last   INTEGER NOT NULL, -- the position of its last entry
	number INTEGER NOT NULL, -- how many were ended
	ended  BLOB              -- IDs, one behind the other
) STRICT;
INSERT INTO answer SELECT log.seq, op.seq, op.number, op.ended FROM log JOIN op USING (op)
	WHERE log.kind IN (4, 5) OR log.kind = 3 AND op.number <> 1 OR log.kind = 1 AND op.ended IS NOT NULL;
DROP TABLE op;
CREATE UNIQUE INDEX log_op ON log (op) WHERE op IS NOT NULL;
ALTER TABLE session ADD COLUMN due INTEGER;
DROP INDEX session_end;
UPDATE session SET due = min(idle_end, absolute_end);
CREATE INDEX session_due ON session (due) WHERE due IS NOT NULL;
`

// A sign-in writes one row: what the log says of it stands in the session's, whose number is the entry's
// position, until the session ends; then it goes into the log's own table. Entries made before have
// always stood there.
//
// An operation's index is another page that each change would write. It is a table instead, into which
// the operations of many entries go together.
const schema3 = `
ALTER TABLE session ADD COLUMN op         BLOB;
ALTER TABLE session ADD COLUMN reason     TEXT; -- NULL: the created entry is in the log's table
ALTER TABLE session ADD COLUMN time       INTEGER;
ALTER TABLE session ADD COLUMN detail_key INTEGER;
ALTER TABLE session ADD COLUMN detail     BLOB;
CREATE VIEW created AS
	SELECT row AS seq, CAST (1 AS INTEGER) AS version, CAST (1 AS INTEGER) AS kind, op, id AS session,
		subject, actor, parent, root, CAST (NULL AS BLOB) AS spared, CAST (0 AS INTEGER) AS epoch,
		CAST (0 AS INTEGER) AS revision, reason, time, detail_key, detail FROM session WHERE reason IS NOT NULL;
CREATE VIEW entry AS SELECT * FROM log UNION ALL SELECT * FROM created;

CREATE TABLE op ( -- where the entry of a change is; goes with it
	op  BLOB PRIMARY KEY,
	seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO op SELECT op, seq FROM log WHERE op IS NOT NULL;
DROP INDEX log_op;
ALTER TABLE state ADD COLUMN indexed INTEGER NOT NULL DEFAULT 0; -- op has the entries up to here
UPDATE state SET indexed = ifnull((SELECT max(seq) FROM log), floor);
`

// migrate brings the file to the version that has all steps, each in a transaction of its own. A
// file without tables becomes ours.
func migrate(c *conn, steps []string, random io.Reader) error {
	var version, application, tables int
	for query, to := range map[string]*int{
		"PRAGMA user_version":                &version,
		"PRAGMA application_id":              &application,
		"SELECT count(*) FROM sqlite_schema": &tables,
	} {
		if err := c.row(query).Scan(to); err != nil {
			return classify(err)
		}
	}
	switch {
	case application != applicationID && (tables > 0 || version > 0 || application != 0):
		return ErrForeign
	case version > len(steps):
		return fmt.Errorf("%w (its schema is %d, this program knows %d)", ErrNewer, version, len(steps))
	}
	for ; version < len(steps); version++ {
		step := "BEGIN IMMEDIATE;" + steps[version]
		if version == 0 {
			incarnation := make([]byte, 16)
			if _, err := io.ReadFull(random, incarnation); err != nil {
				return err
			}
			step += fmt.Sprintf("INSERT INTO state VALUES (1, '%s', 0);PRAGMA application_id = %d;",
				base64.RawURLEncoding.EncodeToString(incarnation), applicationID)
		}
		if err := c.script(step + fmt.Sprintf("PRAGMA user_version = %d;COMMIT", version+1)); err != nil {
			_ = c.script("ROLLBACK") // fails if SQLite has done so by itself
			return fmt.Errorf("bringing the schema from %d to %d: %w", version, version+1, classify(err))
		}
	}
	return nil
}
