package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"iter"

	"github.com/counterfoil/counterfoil/account"
	"github.com/counterfoil/counterfoil/store/internal/sqlrow"
)

// accounts is the account store in the same file and behind the same writer.
type accounts struct{ *Store }

// Add implements account.Store.
func (s accounts) Add(ctx context.Context, a *account.Account, onlyFirst bool) error {
	n := *a
	err := s.write(ctx, true, func(db *tx) error {
		var exists, any bool
		if err := db.row("SELECT EXISTS (SELECT 1 FROM account WHERE name = ?), EXISTS (SELECT 1 FROM account)", n.Name).Scan(&exists, &any); err != nil {
			return err
		}
		switch {
		case any && onlyFirst:
			return account.ErrNotFirst
		case exists:
			return account.ErrExists
		}
		_, err := db.exec("INSERT INTO account ("+sqlrow.AccountColumns+") VALUES (?,?,?,?,?,?,?,1)",
			n.Name, n.Operator, n.Disabled, n.Password, int64(n.Epoch), sqlrow.Stamp(n.Created), sqlrow.Stamp(n.Changed))
		return err
	})
	if err == nil {
		a.Revision = 1
	}
	return err
}

// Get implements account.Store.
func (s accounts) Get(ctx context.Context, name string) (a *account.Account, err error) {
	err = s.read(ctx, func(db *conn) (err error) {
		a, err = sqlrow.Account(db.row("SELECT "+sqlrow.AccountColumns+" FROM account WHERE name = ?", name))
		return err
	})
	if errors.Is(err, sql.ErrNoRows) {
		err = account.ErrNotFound
	}
	return a, err
}

// Update implements account.Store.
func (s accounts) Update(ctx context.Context, a *account.Account) error {
	n := *a
	err := s.write(ctx, true, func(db *tx) error {
		updated, err := db.exec("UPDATE account SET operator = ?, disabled = ?, password = ?, epoch = ?, created = ?, changed = ?, revision = revision + 1 "+
			"WHERE name = ? AND revision = ?",
			n.Operator, n.Disabled, n.Password, int64(n.Epoch), sqlrow.Stamp(n.Created), sqlrow.Stamp(n.Changed), n.Name, int64(n.Revision))
		if err != nil || updated == 1 {
			return err
		}
		var exists bool
		if err := db.row("SELECT EXISTS (SELECT 1 FROM account WHERE name = ?)", n.Name).Scan(&exists); err != nil {
			return err
		} else if exists {
			return account.ErrConflict
		}
		return account.ErrNotFound
	})
	if err == nil {
		a.Revision = n.Revision + 1
	}
	return err
}

// All implements account.Store.
func (s accounts) All(ctx context.Context) iter.Seq2[*account.Account, error] {
	return paged(ctx, s, sqlrow.AccountAfter, "SELECT "+sqlrow.AccountColumns+" FROM account WHERE name > ? ORDER BY name LIMIT ?", "")
}
