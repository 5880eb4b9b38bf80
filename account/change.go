package account

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/counterfoil/counterfoil"
)

// SetPassword gives an account a new password and ends its sessions, those of clients included (R14):
// first the credential is written under its next epoch, then the sessions of lower epochs are ended.
// A sign-in that proved the old password meanwhile is refused by the manager, or ended. Both steps are
// repeated until their outcome is known or ctx ends; the session that asked for the change ends too
// and is to be replaced by a new one of the account's new epoch. Other nodes refuse the old sessions
// within their leases; wait with the Revocation until they all do.
//
// [ErrNotFound], *[PasswordError]. With any other error the change may have happened.
func (s *Service) SetPassword(ctx context.Context, m *counterfoil.Manager, name, password string) (*Account, counterfoil.Revocation, error) {
	return s.setPassword(ctx, m, name, password, func(*Account) bool { return true })
}

// ChangePassword is SetPassword for somebody who proved the present password: proved is what
// [Service.Verify] returned. [ErrWrong] if the account got another password or was disabled since: of
// two changes by the same password the later is refused, so that none undoes an operator's.
func (s *Service) ChangePassword(ctx context.Context, m *counterfoil.Manager, proved *Account, password string) (*Account, counterfoil.Revocation, error) {
	return s.setPassword(ctx, m, proved.Name, password, func(a *Account) bool { return a.Epoch == proved.Epoch && !a.Disabled })
}

// setPassword sets the password of an account that will do at the moment of the change.
func (s *Service) setPassword(ctx context.Context, m *counterfoil.Manager, name, password string, will func(*Account) bool) (*Account, counterfoil.Revocation, error) {
	name, hash, err := s.credential(ctx, name, password)
	if err != nil {
		return nil, counterfoil.Revocation{}, err
	}
	var refused bool
	a, err := s.change(ctx, name, func(a *Account) bool {
		if a.Password == hash { // an earlier try did it; only its answer was lost
			return false
		}
		if refused = !will(a); refused {
			return false
		}
		a.Password, a.Epoch, a.Changed = hash, a.Epoch+1, s.now()
		return true
	})
	if err == nil && refused {
		err = ErrWrong
	}
	if err != nil {
		return nil, counterfoil.Revocation{}, err
	}
	rv, err := s.end(ctx, m, counterfoil.AllOf(a.Name).Before(a.Epoch), counterfoil.ReasonPasswordChanged)
	return a, rv, err
}

// SetDisabled disables an account, which ends its sessions and refuses its sign-ins as if the password
// were wrong, or enables it again. The Revocation is as that of SetPassword, and zero for who was
// enabled. [ErrNotFound]. With any other error the change may have happened.
func (s *Service) SetDisabled(ctx context.Context, m *counterfoil.Manager, name string, disabled bool) (*Account, counterfoil.Revocation, error) {
	name, err := NormalizeName(name)
	if err != nil {
		return nil, counterfoil.Revocation{}, ErrNotFound
	}
	a, err := s.change(ctx, name, func(a *Account) bool {
		changed := a.Disabled != disabled
		a.Disabled = disabled
		return changed
	})
	if err != nil || !disabled {
		return a, counterfoil.Revocation{}, err
	}
	rv, err := s.end(ctx, m, counterfoil.AllOf(a.Name), counterfoil.ReasonDisabled)
	return a, rv, err
}

// change applies f to the account until a write is known to have happened or f has nothing to do.
func (s *Service) change(ctx context.Context, name string, f func(*Account) bool) (*Account, error) {
	var changed *Account
	err := s.insist(ctx, func() error {
		a, err := s.store.Get(ctx, name)
		if err != nil {
			return err
		}
		if f(a) {
			err = s.store.Update(ctx, a)
		}
		changed = a
		return err
	})
	return changed, err
}

func (s *Service) end(ctx context.Context, m *counterfoil.Manager, t counterfoil.Target, why counterfoil.Reason) (rv counterfoil.Revocation, err error) {
	err = s.insist(ctx, func() (err error) {
		rv, err = m.Revoke(ctx, t, why)
		return err
	})
	return rv, err
}

// insist repeats op, ever more slowly, until it succeeds, says that there is no such account, or ctx
// ends. op must be repeatable.
func (s *Service) insist(ctx context.Context, op func() error) error {
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		err := op()
		if err == nil || errors.Is(err, ErrNotFound) {
			return err
		}
		if errors.Is(err, ErrConflict) {
			pause = 5 * time.Millisecond
		}
		again := make(chan struct{})
		stop := s.clock.AfterFunc(pause, func() { close(again) })
		select {
		case <-again:
		case <-ctx.Done():
			stop()
			return fmt.Errorf("account: outcome unknown: %w", errors.Join(ctx.Err(), err))
		}
	}
}
