package redis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strconv"

	"github.com/redis/rueidis"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/account"
)

// accounts is the account store under the same prefix. An account is one field of a hash: its
// revision in 20 digits, which scripts compare, and the rest as JSON.
type accounts struct{ *Store }

func encodeAccount(a *account.Account, revision uint64) (string, error) {
	n := *a
	n.Revision = 0
	n.Created, n.Changed = n.Created.UTC(), n.Changed.UTC()
	text, err := json.Marshal(&n)
	return fmt.Sprintf("%020d%s", revision, text), err
}

func decodeAccount(text string) (*account.Account, error) {
	var a account.Account
	if len(text) < widthCount {
		return nil, fmt.Errorf("%w (an account)", ErrDamaged)
	}
	revision, err := strconv.ParseUint(text[:widthCount], 10, 64)
	if err = errors.Join(err, json.Unmarshal([]byte(text[widthCount:]), &a)); err != nil {
		return nil, fmt.Errorf("%w (an account: %w)", ErrDamaged, err)
	}
	a.Revision = revision
	return &a, nil
}

// accountErrors are the contract's words for what scripts answer.
var accountErrors = map[error]error{
	counterfoil.ErrNotFound: account.ErrNotFound,
	counterfoil.ErrExists:   account.ErrExists,
	counterfoil.ErrConflict: account.ErrConflict,
	counterfoil.ErrLimit:    account.ErrNotFirst,
}

func (s accounts) call(ctx context.Context, script string, a args) (answer, error) {
	got, err := s.Store.call(ctx, script, a)
	if known, ok := accountErrors[err]; ok {
		err = known
	}
	return got, err
}

// Add implements account.Store.
func (s accounts) Add(ctx context.Context, a *account.Account, onlyFirst bool) error {
	text, err := encodeAccount(a, 1)
	if err != nil {
		return err
	}
	if _, err := s.call(ctx, "account_add", args{}.text(a.Name).text(text).flag(onlyFirst)); err != nil {
		return err
	}
	a.Revision = 1
	return nil
}

// Get implements account.Store.
func (s accounts) Get(ctx context.Context, name string) (*account.Account, error) {
	text, err := s.field(ctx, "accounts", name).ToString()
	if rueidis.IsRedisNil(err) {
		return nil, account.ErrNotFound
	}
	if err != nil {
		return nil, plain(err)
	}
	return decodeAccount(text)
}

// Update implements account.Store.
func (s accounts) Update(ctx context.Context, a *account.Account) error {
	text, err := encodeAccount(a, a.Revision+1)
	if err != nil {
		return err
	}
	if _, err := s.call(ctx, "account_update", args{}.text(a.Name).text(fmt.Sprintf("%020d", a.Revision)).text(text)); err != nil {
		return err
	}
	a.Revision++
	return nil
}

// All implements account.Store.
func (s accounts) All(ctx context.Context) iter.Seq2[*account.Account, error] {
	return func(yield func(*account.Account, error) bool) {
		for after, more := "-", true; more; {
			got, err := s.call(ctx, "account_page", args{}.text(after).int(piece))
			if err != nil {
				yield(nil, err)
				return
			}
			list := got.array(1)
			more = len(list.parts) == piece
			for i := range list.parts {
				a, err := decodeAccount(list.text(i))
				if err != nil {
					yield(nil, err)
					return
				}
				if !yield(a, nil) {
					return
				}
				after = "(" + a.Name
			}
			if err := errors.Join(got.err, list.err); err != nil {
				yield(nil, err)
				return
			}
		}
	}
}
