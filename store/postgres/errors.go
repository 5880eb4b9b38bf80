package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/account"
	"github.com/jackc/pgx/v5/pgconn"
)

// What the store says besides the sentinels of its contract. Match them with errors.Is.
var (
	ErrNewer = errors.New("postgres: the tables were made by a newer version of this program; run that version")
	// ErrWarned: the server committed but warned, as when waiting for its standby was broken off: the
	// change may be lost in a fail-over, so that its outcome is unknown.
	ErrWarned = errors.New("postgres: the server warned at the commit, so that it may not hold; look at its log and its standby")
)

// classify adds what to do to the errors that somebody can do something about.
func classify(err error) error {
	if err == nil || known(err) {
		return err
	}
	var p *pgconn.PgError
	if !errors.As(err, &p) {
		return wrap(err)
	}
	switch p.Code {
	case "28P01", "28000":
		return fmt.Errorf("postgres: the server refuses this user; check name, password and pg_hba.conf: %w", err)
	case "3D000":
		return fmt.Errorf("postgres: there is no such database; make it with createdb: %w", err)
	case "42501":
		return fmt.Errorf("postgres: the user lacks a right; docs/postgres.md lists those that are needed: %w", err)
	case "25006":
		return fmt.Errorf("postgres: this server takes no writes; name the primary: %w", err)
	case "53100":
		return fmt.Errorf("postgres: the server's disk is full; make room: %w", err)
	case "53300":
		return fmt.Errorf("postgres: the server has no connection left; raise max_connections or lower pool_max_conns: %w", err)
	case "55P03":
		return fmt.Errorf("postgres: another change held its lock for too long; look for transactions that hang: %w", err)
	}
	return wrap(err)
}

// unreached is an error of Open that another try may not meet: the server does not answer, or not yet.
type unreached struct{ error }

func (e unreached) Unwrap() error        { return e.error }
func (e unreached) Is(target error) bool { return target == counterfoil.ErrUnavailable }

// whether puts what a server that is merely not ready says under counterfoil.ErrUnavailable.
func whether(err error) error {
	var p *pgconn.PgError
	if err == nil || known(err) || errors.As(err, &p) && p.Code != "25006" && p.Code != "53300" && p.Code[:2] != "57" {
		return err
	}
	return unreached{err}
}

// known reports whether err is an answer and not a failure.
func known(err error) bool {
	for _, e := range []error{
		counterfoil.ErrNotFound, counterfoil.ErrConflict, counterfoil.ErrExists, counterfoil.ErrGap, counterfoil.ErrFenced,
		counterfoil.ErrNoParent, counterfoil.ErrSuperseded, counterfoil.ErrLimit,
		account.ErrNotFound, account.ErrExists, account.ErrConflict, account.ErrNotFirst, ErrNewer, ErrWarned,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// again reports whether the server undid a transaction so that it may be run anew: it could not be
// put in order with others, it met one head on, another was first to insert the same key, or another kept
// its lock for long, as on a machine that stood still.
func again(err error) bool {
	var p *pgconn.PgError
	return errors.As(err, &p) && (p.Code == "40001" || p.Code == "40P01" || p.Code == "23505" || p.Code == "55P03")
}

// lost reports whether the connection failed, and not the statement or the caller's patience.
func lost(ctx context.Context, err error) bool {
	if err == nil || ctx.Err() != nil || known(err) {
		return false
	}
	var p *pgconn.PgError
	if errors.As(err, &p) {
		return p.Code == "57P01" || p.Code == "57P02" || p.Code == "57P03" // the server stops or starts
	}
	return true
}
