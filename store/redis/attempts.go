package redis

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"time"

	"github.com/counterfoil/counterfoil/account"
)

// nanos is a moment as scripts compare it: 20 digits.
func nanos(t time.Time) string { return fmt.Sprintf("%020d", max(0, t.UnixNano())) }

func (a *answer) moment(i int) time.Time { return a.instant(a.text(i)) }

func (a *answer) instant(digits string) time.Time {
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		a.fault(fmt.Errorf("%w (%w)", ErrDamaged, err))
	}
	return time.Unix(0, n).UTC()
}

// Attempt implements account.Store. A key's counter expires by itself some time after its window.
func (s accounts) Attempt(ctx context.Context, key string, now time.Time, window time.Duration, max int) (ok bool, retry time.Time, err error) {
	if max < 1 {
		return false, now.Add(window), ctx.Err()
	}
	got, err := s.call(ctx, "attempt", args{}.text(key).text(nanos(now.Add(-window))).text(nanos(now)).int(int64(max)).
		text(rand.Text()).int(window.Milliseconds()))
	if err != nil {
		return false, time.Time{}, err
	}
	if granted := got.number(1); granted == 1 && got.err == nil {
		return true, time.Time{}, nil
	}
	retry = got.moment(2).Add(window)
	if got.err != nil {
		return false, time.Time{}, got.err
	}
	return false, retry, nil
}

// Forgive implements account.Store.
func (s accounts) Forgive(ctx context.Context, key string, at time.Time) error {
	moment := ""
	if !at.IsZero() {
		moment = nanos(at)
	}
	_, err := s.call(ctx, "forgive", args{}.text(key).text(moment))
	return err
}

// PutLink implements account.Store.
func (s accounts) PutLink(ctx context.Context, l account.Link) error {
	_, err := s.call(ctx, "link_put", args{}.bytes(l.Hash[:]).text(nanos(l.Expires)).text(l.Purpose).text(l.Subject))
	return err
}

// TakeLink implements account.Store.
func (s accounts) TakeLink(ctx context.Context, hash [32]byte, now time.Time) (account.Link, error) {
	got, err := s.call(ctx, "link_take", args{}.bytes(hash[:]).text(nanos(now)))
	if err != nil {
		return account.Link{}, err
	}
	l := account.Link{Hash: hash, Expires: got.moment(1), Purpose: got.text(2), Subject: got.text(3)}
	if got.err != nil {
		return account.Link{}, got.err
	}
	return l, nil
}

// Tidy implements account.Store. Counters of attempts expire by themselves.
func (s accounts) Tidy(ctx context.Context, now time.Time) error {
	for more := true; more; {
		got, err := s.call(ctx, "link_tidy", args{}.text(nanos(now)).int(piece))
		if err != nil {
			return err
		}
		if more = got.number(1) != 0; got.err != nil {
			return got.err
		}
	}
	return nil
}

// Attempts implements account.Store.
func (s accounts) Attempts(ctx context.Context) iter.Seq2[account.Attempt, error] {
	return func(yield func(account.Attempt, error) bool) {
		for from := int64(0); ; from += piece {
			got, err := s.call(ctx, "attempt_page", args{}.int(from).int(from+piece-1))
			if err != nil {
				yield(account.Attempt{}, err)
				return
			}
			keys := got.array(1)
			for i := range keys.parts {
				one := keys.array(i)
				ends := time.UnixMilli(int64(one.number(1))).UTC()
				moments := one.array(2)
				for j := range moments.parts {
					if !yield(account.Attempt{Key: one.text(0), At: moments.moment(j), Ends: ends}, errors.Join(one.err, moments.err)) {
						return
					}
				}
			}
			if err := errors.Join(got.err, keys.err); err != nil {
				yield(account.Attempt{}, err)
				return
			}
			if len(keys.parts) < piece {
				return
			}
		}
	}
}

// Links implements account.Store.
func (s accounts) Links(ctx context.Context) iter.Seq2[account.Link, error] {
	return func(yield func(account.Link, error) bool) {
		for after, more := "-", true; more; {
			got, err := s.call(ctx, "link_page", args{}.text(after).int(piece))
			if err != nil {
				yield(account.Link{}, err)
				return
			}
			list := got.array(1)
			more = len(list.parts) == piece
			for i := range list.parts {
				one := list.array(i)
				l, member := account.Link{Purpose: one.text(1), Subject: one.text(2)}, one.text(0)
				if copy(l.Hash[:], member[min(20, len(member)):]) != len(l.Hash) {
					one.fault(fmt.Errorf("%w (a link)", ErrDamaged))
				}
				l.Expires = one.instant(member[:min(20, len(member))])
				if one.err != nil {
					yield(account.Link{}, one.err)
					return
				}
				after = "(" + member
				if !yield(l, nil) {
					return
				}
			}
			if err := errors.Join(got.err, list.err); err != nil {
				yield(account.Link{}, err)
				return
			}
		}
	}
}
