package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"

	"modernc.org/sqlite"
)

// dsn names the file in the form that keeps '?' and '%' in a path apart from parameters.
func dsn(path string) string {
	return "file://" + (&url.URL{Path: path}).EscapedPath() + "?_pragma=busy_timeout(5000)&_error_rc=1"
}

// conn is one connection with its prepared statements. One goroutine uses it at a time, and what a
// query reads is read before the next one of the same text begins.
//
// It speaks to the driver itself: database/sql would add its pool, which has nothing to do here, and
// a third to the time of a short statement. Its calls carry no context: see Store.read.
type conn struct {
	c          driverConn
	statements map[string]*statement
}

// driverConn and driverStmt are what the driver offers besides the bare minimum.
type driverConn interface {
	driver.Conn
	driver.ExecerContext
	driver.ConnPrepareContext
}

type driverStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

type statement struct {
	driverStmt
	args []driver.NamedValue // kept for the next time
	row  []driver.Value
}

// connect opens a connection to the file of a data source name.
func connect(name string) (*conn, error) {
	connector, err := sqlite.NewConnector(name)
	if err != nil {
		return nil, err
	}
	c, err := connector.Connect(context.Background())
	if err != nil {
		return nil, classify(err)
	}
	return &conn{c: c.(driverConn), statements: make(map[string]*statement)}, nil
}

func (c *conn) close() error {
	var errs []error
	for _, st := range c.statements {
		errs = append(errs, st.Close())
	}
	return errors.Join(append(errs, c.c.Close())...)
}

// statement prepares a query once, and gives it its arguments.
func (c *conn) statement(query string, args []any) (*statement, error) {
	st, ok := c.statements[query]
	if !ok {
		prepared, err := c.c.PrepareContext(context.Background(), query)
		if err != nil {
			return nil, err
		}
		st = &statement{driverStmt: prepared.(driverStmt)}
		c.statements[query] = st
	}
	st.args = st.args[:0]
	for i, arg := range args {
		v, err := value(arg)
		if err != nil {
			return nil, err
		}
		st.args = append(st.args, driver.NamedValue{Ordinal: i + 1, Value: v})
	}
	return st, nil
}

// value returns an argument as the driver wants it, the usual ones without looking into their types.
func value(arg any) (driver.Value, error) {
	switch arg := arg.(type) {
	case nil, int64, []byte, string:
		return arg, nil
	case int:
		return int64(arg), nil
	case uint8:
		return int64(arg), nil
	case uint32:
		return int64(arg), nil
	}
	return driver.DefaultParameterConverter.ConvertValue(arg)
}

// exec returns how many rows changed.
func (c *conn) exec(query string, args ...any) (int64, error) {
	st, err := c.statement(query, args)
	if err != nil {
		return 0, err
	}
	result, err := st.ExecContext(context.Background(), st.args)
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
	var found scanner = failedRow{sql.ErrNoRows}
	err := c.each(func(row scanner) error {
		found = row
		return io.EOF
	}, query, args...)
	if err != nil && err != io.EOF {
		return failedRow{err}
	}
	return found
}

// each calls f for every row, until it returns an error.
func (c *conn) each(f func(scanner) error, query string, args ...any) (err error) {
	st, err := c.statement(query, args)
	if err != nil {
		return err
	}
	rows, err := st.QueryContext(context.Background(), st.args)
	if err != nil {
		return err
	}
	defer func() {
		if e := rows.Close(); err == nil {
			err = e
		}
	}()
	if st.row == nil {
		st.row = make([]driver.Value, len(rows.Columns()))
	}
	for {
		switch err := rows.Next(st.row); {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
		if err := f(values(st.row)); err != nil {
			return err
		}
	}
}

// values is a row as the driver gives it.
type values []driver.Value

// Scan takes one destination a column.
func (v values) Scan(dest ...any) error {
	if len(dest) != len(v) {
		return fmt.Errorf("sqlite: %d columns, %d destinations", len(v), len(dest))
	}
	for i, d := range dest {
		if err := assign(d, v[i]); err != nil {
			return fmt.Errorf("sqlite: column %d: %w", i, err)
		}
	}
	return nil
}

// assign stores a column's value. NULL fits into bytes alone.
func assign(dest any, v driver.Value) error {
	switch v := v.(type) {
	case int64:
		switch d := dest.(type) {
		case *int64:
			*d = v
			return nil
		case *int:
			*d = int(v)
			return nil
		case *uint32:
			if *d = uint32(v); int64(*d) == v {
				return nil
			}
		case *uint8:
			if *d = uint8(v); int64(*d) == v {
				return nil
			}
		case *bool:
			if *d = v == 1; v == 0 || v == 1 {
				return nil
			}
		}
	case string:
		switch d := dest.(type) {
		case *string:
			*d = v
			return nil
		case *[]byte:
			*d = []byte(v)
			return nil
		}
	case []byte, nil:
		if d, ok := dest.(*[]byte); ok {
			*d, _ = v.([]byte)
			return nil
		}
	}
	if d, ok := dest.(sql.Scanner); ok {
		return d.Scan(v)
	}
	return fmt.Errorf("%T does not fit into %T; the file was changed by something else", v, dest)
}

// script runs statements that are used once.
func (c *conn) script(text string) error {
	_, err := c.c.ExecContext(context.Background(), text, nil)
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
