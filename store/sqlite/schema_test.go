package sqlite

import (
	"context"
	"crypto/rand"
	"errors"
	"path/filepath"
	"testing"
	"testing/iotest"
)

// raw opens a connection of the test's own to a file that no Store has open.
func raw(t *testing.T, path string) *conn {
	t.Helper()
	if err := createFile(path); err != nil {
		t.Fatal(err)
	}
	c, err := connect(dsn(path))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return c
}

func number(t *testing.T, c *conn, query string) (n int) {
	t.Helper()
	if err := c.row(query).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

func TestMigrate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sessions.db")
	c := raw(t, path)
	if err := migrate(c, migrations(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	if err := c.script("INSERT INTO meta VALUES ('kept', x'01')"); err != nil {
		t.Fatal(err)
	}
	next := append(migrations(), "CREATE TABLE second (a INTEGER) STRICT;", "INSERT INTO second VALUES (7);")

	// A step that fails half-way leaves the version before it, with nothing of itself.
	broken := append(next[:len(next):len(next)], "CREATE TABLE third (a INTEGER) STRICT; INSERT INTO nowhere VALUES (1);")
	if err := migrate(c, broken, rand.Reader); err == nil {
		t.Fatal("a step that cannot work did")
	}
	if v := number(t, c, "PRAGMA user_version"); v != len(next) {
		t.Errorf("version %d, want %d", v, len(next))
	}
	if n := number(t, c, "SELECT count(*) FROM sqlite_schema WHERE name = 'third'"); n != 0 {
		t.Error("half a step stayed")
	}
	if err := migrate(c, next, rand.Reader); err != nil { // again: nothing to do
		t.Fatal(err)
	}
	if a := number(t, c, "SELECT a FROM second"); a != 7 {
		t.Errorf("a is %d", a)
	}
	if n := number(t, c, "SELECT count(*) FROM meta WHERE key = 'kept'"); n != 1 {
		t.Error("what was there is gone")
	}
	if err := migrate(c, migrations(), rand.Reader); !errors.Is(err, ErrNewer) {
		t.Errorf("the older program got %v, want ErrNewer", err)
	}
}

func TestOpenNewer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sessions.db")
	s, err := Open(context.Background(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := raw(t, path).script("PRAGMA user_version = 99"); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the first refusal must give the lock back
		if _, err := Open(context.Background(), path, Options{}); !errors.Is(err, ErrNewer) {
			t.Errorf("got %v, want ErrNewer", err)
		}
	}
}

func TestOpenForeign(t *testing.T) {
	for name, script := range map[string]string{
		"tables":         "CREATE TABLE theirs (a)",
		"version":        "PRAGMA user_version = 1",
		"application ID": "PRAGMA application_id = 1",
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "sessions.db")
			if err := raw(t, path).script(script); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(context.Background(), path, Options{}); !errors.Is(err, ErrForeign) {
				t.Errorf("got %v, want ErrForeign", err)
			}
		})
	}
}

func TestOpenWithoutRandomness(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sessions.db")
	dry := errors.New("dry")
	if _, err := Open(context.Background(), path, Options{Random: iotest.ErrReader(dry)}); !errors.Is(err, dry) {
		t.Fatalf("got %v, want the reader's error", err)
	}
	s, err := Open(context.Background(), path, Options{}) // nothing half-made is in the way
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// The indexes are used: no query of a hot path looks at all rows.
func TestPlans(t *testing.T) {
	c := raw(t, filepath.Join(t.TempDir(), "sessions.db"))
	if err := migrate(c, migrations(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	for query, args := range map[string]int{
		"SELECT sealed FROM session WHERE id = ?":                                                          1,
		"SELECT id FROM session WHERE subject = ?1 AND row > ?2 ORDER BY row LIMIT ?3":                     3,
		"SELECT id FROM session WHERE actor = ?1 AND subject IS NOT ?1 AND row > ?2 ORDER BY row LIMIT ?3": 3,
		"SELECT row FROM session WHERE subject = ?1 OR actor = ?1":                                         1,
		"SELECT row FROM session WHERE parent = ?1 OR root = ?1":                                           1,
		"SELECT id FROM session WHERE due <= ? ORDER BY due LIMIT ?":                                       2,
		"SELECT seq FROM op WHERE op = ?":                                                                  1,
		"SELECT op, seq FROM entry WHERE seq > ? AND op IS NOT NULL":                                       1,
		"DELETE FROM op WHERE op IN (SELECT op FROM entry WHERE seq > ? AND seq <= ?)":                     2,
		"SELECT kind FROM entry WHERE seq = ?":                                                             1,
		"SELECT seq, detail FROM entry WHERE seq > ? ORDER BY seq LIMIT ?":                                 2,
		keepCreated + "session = ? AND seq > ?":                                                            2,
		"SELECT seq FROM log WHERE kind IN (4, 5) AND seq >= ?":                                            1,
		"SELECT at FROM attempt WHERE key = ? AND at > ? ORDER BY at DESC LIMIT 1 OFFSET ?":                3,
	} {
		err := c.each(func(row scanner) error {
			var id, parent, unused int
			var detail string
			err := row.Scan(&id, &parent, &unused, &detail)
			if len(detail) >= 4 && detail[:4] == "SCAN" || detail == "USE TEMP B-TREE FOR ORDER BY" {
				t.Errorf("%s: %s", query, detail)
			}
			return err
		}, "EXPLAIN QUERY PLAN "+query, make([]any, args)...)
		if err != nil {
			t.Errorf("%s: %v", query, err)
		}
	}
}

// The durable transaction syncs, the other one does not pay for it.
func TestSynchronous(t *testing.T) {
	c := raw(t, filepath.Join(t.TempDir(), "sessions.db"))
	if err := setUp(c); err != nil {
		t.Fatal(err)
	}
	if err := migrate(c, migrations(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	w := newWriter(c, make(chan struct{}))
	for _, durable := range []bool{true, false, false, true, false, true} {
		var mode int
		r := &request{durable: durable, do: func(db *tx) error { return db.row("PRAGMA synchronous").Scan(&mode) }}
		if err := errors.Join(w.commit([]*request{r}), r.err); err != nil {
			t.Fatal(err)
		}
		want := map[bool]int{true: 2, false: 1}[durable] // FULL, NORMAL
		if mode != want {
			t.Errorf("durable %v: synchronous is %d, want %d", durable, mode, want)
		}
		plain := &request{do: func(*tx) error { return nil }}
		hard := &request{durable: true, do: r.do}
		if err := w.commit([]*request{plain, hard}); err != nil || mode != 2 {
			t.Errorf("a mixed batch: synchronous is %d, %v", mode, err)
		}
	}
}

// What the driver brings has the fix for SQLite's WAL-reset bug.
func TestVersion(t *testing.T) {
	c := raw(t, filepath.Join(t.TempDir(), "sessions.db"))
	if err := setUp(c); err != nil {
		t.Fatal(err)
	}
	var version string
	if err := c.row("SELECT sqlite_version()").Scan(&version); err != nil {
		t.Fatal(err)
	}
	if version < "3.51.3" || len(version) < 6 {
		t.Errorf("SQLite %s; 3.51.3 is the first without the WAL-reset bug", version)
	}
}
