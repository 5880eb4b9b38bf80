package transfer

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/counterfoil/counterfoil/account"
)

// accounts copies what the gateway keeps: accounts, counters of attempts and one-time links.
func (c *copying) accounts(ctx context.Context) error {
	for a, err := range c.From.Accounts.All(ctx) {
		if err != nil {
			return fmt.Errorf("%s: accounts: %w", c.From.Name, err)
		}
		if err := putAccount(ctx, c.To.Accounts, a); err != nil {
			return fmt.Errorf("%s: accounts: %w", c.To.Name, err)
		}
		c.done.Accounts++
		c.Progress.tell("accounts", c.done.Accounts)
	}
	if err := c.attempts(ctx); err != nil {
		return err
	}
	for l, err := range c.From.Accounts.Links(ctx) {
		if err != nil {
			return fmt.Errorf("%s: one-time links: %w", c.From.Name, err)
		}
		if err := c.To.Accounts.PutLink(ctx, l); err != nil {
			return fmt.Errorf("%s: one-time links: %w", c.To.Name, err)
		}
	}
	return nil
}

// putAccount makes the store hold the account as it is.
func putAccount(ctx context.Context, s account.Store, a *account.Account) error {
	for {
		own := *a
		err := s.Add(ctx, &own, false)
		if !errors.Is(err, account.ErrExists) {
			return err
		}
		have, err := s.Get(ctx, a.Name)
		if err != nil {
			return err
		}
		if own = *a; sameAccount(have, a) {
			return nil
		}
		own.Revision = have.Revision
		if err := s.Update(ctx, &own); !errors.Is(err, account.ErrConflict) {
			return err
		}
	}
}

func sameAccount(a, b *account.Account) bool {
	return a.Name == b.Name && a.Operator == b.Operator && a.Disabled == b.Disabled && a.Password == b.Password &&
		a.Epoch == b.Epoch && a.Created.Equal(b.Created) && a.Changed.Equal(b.Changed)
}

// attempts copies what still counts of the attempts, key by key, so that a second time adds nothing.
func (c *copying) attempts(ctx context.Context) error {
	at := wall(c.Clock)
	byKey := map[string][]account.Attempt{}
	for a, err := range c.From.Accounts.Attempts(ctx) {
		if err != nil {
			return fmt.Errorf("%s: attempts: %w", c.From.Name, err)
		}
		if a.Ends.After(at) {
			byKey[a.Key] = append(byKey[a.Key], a)
		}
	}
	for key, all := range byKey {
		slices.SortFunc(all, func(a, b account.Attempt) int { return a.At.Compare(b.At) })
		err := c.To.Accounts.Forgive(ctx, key, time.Time{})
		for _, a := range all {
			if err == nil {
				_, _, err = c.To.Accounts.Attempt(ctx, key, a.At, a.Ends.Sub(a.At), math.MaxInt32)
			}
		}
		if err != nil {
			return fmt.Errorf("%s: attempts: %w", c.To.Name, err)
		}
	}
	return nil
}
