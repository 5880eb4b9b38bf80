package postgres

import (
	"context"
	"errors"
	"iter"

	"github.com/counterfoil/counterfoil/account"
	"github.com/counterfoil/counterfoil/store/internal/sqlrow"
	"github.com/jackc/pgx/v5"
)

// accounts is the account store in the same database.
type accounts struct{ *Store }

// Add implements account.Store.
func (s accounts) Add(ctx context.Context, a *account.Account, onlyFirst bool) error {
	err := s.write(ctx, []lock{lockOf("accounts", nil)}, func(t *tx) error {
		var exists, any bool
		if err := t.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM cf_account WHERE name = $1), EXISTS (SELECT 1 FROM cf_account)", a.Name).Scan(&exists, &any); err != nil {
			return err
		}
		switch {
		case any && onlyFirst:
			return account.ErrNotFirst
		case exists:
			return account.ErrExists
		}
		t.last.Queue("INSERT INTO cf_account ("+sqlrow.AccountColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, 1)",
			a.Name, a.Operator, a.Disabled, a.Password, int64(a.Epoch), sqlrow.Stamp(a.Created), sqlrow.Stamp(a.Changed))
		return nil
	})
	if err == nil {
		a.Revision = 1
	}
	return err
}

// Get implements account.Store.
func (s accounts) Get(ctx context.Context, name string) (a *account.Account, err error) {
	err = s.read(ctx, func(c *pgx.Conn) (err error) {
		a, err = sqlrow.Account(c.QueryRow(ctx, "SELECT "+sqlrow.AccountColumns+" FROM cf_account WHERE name = $1", name))
		if errors.Is(err, pgx.ErrNoRows) {
			err = account.ErrNotFound
		}
		return err
	})
	return a, err
}

// Update implements account.Store.
func (s accounts) Update(ctx context.Context, a *account.Account) error {
	err := s.write(ctx, nil, func(t *tx) error {
		tag, err := t.Exec(ctx, "UPDATE cf_account SET operator = $1, disabled = $2, password = $3, epoch = $4, created = $5, changed = $6, revision = revision + 1 "+
			"WHERE name = $7 AND revision = $8",
			a.Operator, a.Disabled, a.Password, int64(a.Epoch), sqlrow.Stamp(a.Created), sqlrow.Stamp(a.Changed), a.Name, int64(a.Revision))
		if err != nil || tag.RowsAffected() == 1 {
			return err
		}
		var exists bool
		if err := t.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM cf_account WHERE name = $1)", a.Name).Scan(&exists); err != nil {
			return err
		} else if exists {
			return account.ErrConflict
		}
		return account.ErrNotFound
	})
	if err == nil {
		a.Revision++
	}
	return err
}

// All implements account.Store.
func (s accounts) All(ctx context.Context) iter.Seq2[*account.Account, error] {
	return paged(ctx, s, sqlrow.AccountAfter, "SELECT "+sqlrow.AccountColumns+" FROM cf_account WHERE name > $1 ORDER BY name LIMIT $2", "")
}
