package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
)

// dsn names the file in the form that keeps '?' and '%' in a path apart from parameters.
func dsn(path string) string {
	return "file://" + (&url.URL{Path: path}).EscapedPath() + "?_pragma=busy_timeout(5000)&_error_rc=1"
}

// conn is one connection with its prepared statements. One goroutine uses it at a time. Its calls
// carry no context: see Store.read.
type conn struct {
	c          *sql.Conn
	statements map[string]*sql.Stmt
}

func connect(db *sql.DB) (*conn, error) {
	c, err := db.Conn(context.Background())
	if err != nil {
		return nil, classify(err)
	}
	return &conn{c: c, statements: make(map[string]*sql.Stmt)}, nil
}

// close gives the connection back to a closing DB, which would not wait for it.
func (c *conn) close() error {
	var errs []error
	for _, st := range c.statements {
		errs = append(errs, st.Close())
	}
	return errors.Join(append(errs, c.c.Close())...)
}

func (c *conn) statement(query string) (*sql.Stmt, error) {
	if st, ok := c.statements[query]; ok {
		return st, nil
	}
	st, err := c.c.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, err
	}
	c.statements[query] = st
	return st, nil
}

// exec returns how many rows changed.
func (c *conn) exec(query string, args ...any) (int64, error) {
	st, err := c.statement(query)
	if err != nil {
		return 0, err
	}
	result, err := st.ExecContext(context.Background(), args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// scanner is a row, or the error that came in its place.
type scanner interface{ Scan(dest ...any) error }

type failedRow struct{ err error }

func (f failedRow) Scan(...any) error { return f.err }

// row returns the only row; its Scan gives sql.ErrNoRows if there is none.
func (c *conn) row(query string, args ...any) scanner {
	st, err := c.statement(query)
	if err != nil {
		return failedRow{err}
	}
	return st.QueryRowContext(context.Background(), args...)
}

// each calls f for every row.
func (c *conn) each(f func(scanner) error, query string, args ...any) error {
	st, err := c.statement(query)
	if err != nil {
		return err
	}
	rows, err := st.QueryContext(context.Background(), args...)
	if err != nil {
		return err
	}
	for rows.Next() {
		if err := f(rows); err != nil {
			return errors.Join(err, rows.Close())
		}
	}
	return rows.Err()
}

// script runs statements that are used once.
func (c *conn) script(text string) error {
	_, err := c.c.ExecContext(context.Background(), text)
	return err
}

// snapshot runs do so that all its reads see one state.
func (c *conn) snapshot(do func() error) error {
	if _, err := c.exec("BEGIN"); err != nil {
		return err
	}
	err := do()
	_, end := c.exec("COMMIT")
	return errors.Join(err, end)
}

// setUp makes a connection the writer's and the file one that is safe against a crash.
func setUp(c *conn) error {
	var mode string
	if err := c.row("PRAGMA journal_mode = WAL").Scan(&mode); err != nil {
		return classify(err)
	}
	if mode != "wal" {
		return fmt.Errorf("the file system cannot do write-ahead logging (journal mode is %q); put the file on a local disk", mode)
	}
	for _, pragma := range []string{
		"synchronous = FULL",
		"fullfsync = ON", // macOS: fsync alone does not reach the disk
		"temp_store = MEMORY",
		"trusted_schema = OFF",
		"cell_size_check = ON",
		"journal_size_limit = 67108864",
	} {
		if err := c.script("PRAGMA " + pragma); err != nil {
			return classify(err)
		}
	}
	return nil
}
