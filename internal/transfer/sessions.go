package transfer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil"
)

// depth bounds how far a line of parents is followed.
const depth = 8

// sessions copies every record of the old store.
func (c *copying) sessions(ctx context.Context) error {
	var done, orphans atomic.Int64
	err := records(ctx, c.From.Sessions, func(page []*counterfoil.Record) error {
		err := together(page, func(r *counterfoil.Record) error {
			copied, err := c.put(ctx, r, depth)
			if err != nil {
				return err
			}
			if copied {
				done.Add(1)
			} else {
				orphans.Add(1)
			}
			return nil
		})
		c.Progress.tell("sessions", int(done.Load()))
		return err
	})
	c.done.Sessions, c.done.Orphans = int(done.Load()), int(orphans.Load())
	return err
}

// together calls f for all of a page, several at once, and returns the first error.
func together[T any](page []T, f func(T) error) error {
	var group sync.WaitGroup
	var next atomic.Int64
	errs := make([]error, workers)
	for w := range workers {
		group.Go(func() {
			for i := next.Add(1); i <= int64(len(page)) && errs[w] == nil; i = next.Add(1) {
				errs[w] = f(page[i-1])
			}
		})
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// put makes the new store hold r, and before it what it hangs on. It reports false if that is over.
func (c *copying) put(ctx context.Context, r *counterfoil.Record, depth int) (bool, error) {
	err := create(ctx, c.To.Sessions, c.Clock, r, counterfoil.ReasonCopied)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, counterfoil.ErrExists):
		return true, c.level(ctx, r)
	case !errors.Is(err, counterfoil.ErrNoParent):
		return false, fmt.Errorf("%s: %w", c.To.Name, err)
	case depth == 0:
		return false, nil
	}
	parent, err := c.From.Sessions.Load(ctx, r.Parent)
	if errors.Is(err, counterfoil.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("%s: %w", c.From.Name, err)
	}
	if !parent.Live(wall(c.Clock)) {
		return false, nil
	}
	if there, err := c.put(ctx, parent, depth-1); err != nil || !there {
		return false, err
	}
	return c.put(ctx, r, 0)
}

func wall(c counterfoil.Clock) time.Time {
	now, _ := c.Now()
	return now.UTC().Truncate(time.Millisecond)
}

// create inserts a record as it is, but for what a store numbers itself.
func create(ctx context.Context, s counterfoil.Store, c counterfoil.Clock, r *counterfoil.Record, why counterfoil.Reason) error {
	_, err := s.Create(ctx, r.Clone(), counterfoil.Creation{Entry: counterfoil.Entry{
		Version: counterfoil.EntryVersion, Kind: counterfoil.EntryCreated, Reason: why, Time: wall(c),
	}})
	return err
}

// levelTries is how often a record is read again that changes while it is brought level.
const levelTries = 5

// level brings a record that the new store has already to what it is in the old one.
func (c *copying) level(ctx context.Context, r *counterfoil.Record) error {
	for range levelTries {
		have, err := c.To.Sessions.Load(ctx, r.ID)
		if err != nil {
			return fmt.Errorf("%s: %w", c.To.Name, err)
		}
		if !sameContent(have, r) {
			want := r.Clone()
			want.Revision = have.Revision
			err = c.To.Sessions.Update(ctx, want, &counterfoil.Entry{
				Version: counterfoil.EntryVersion, Kind: counterfoil.EntryChanged, Reason: counterfoil.ReasonCopied, Time: wall(c.Clock),
			})
		}
		if err == nil && (have.Seen.Before(r.Seen) || have.IdleEnd.Before(r.IdleEnd)) {
			err = c.To.Sessions.Touch(ctx, []counterfoil.Touch{{ID: r.ID, Seen: r.Seen, IdleEnd: r.IdleEnd}})
		}
		if !errors.Is(err, counterfoil.ErrConflict) {
			if err != nil {
				err = fmt.Errorf("%s: %w", c.To.Name, err)
			}
			return err
		}
	}
	return fmt.Errorf("%w: somebody changes sessions in %s while they are copied there", ErrBusy, c.To.Name)
}

// sameContent compares what an update writes.
func sameContent(a, b *counterfoil.Record) bool {
	return a.IdentityCount == b.IdentityCount && a.ValuesCount == b.ValuesCount &&
		a.IdentityKey == b.IdentityKey && a.ValuesKey == b.ValuesKey && a.VerifierKey == b.VerifierKey && a.Epoch == b.Epoch &&
		bytes.Equal(a.Identity, b.Identity) && bytes.Equal(a.Values, b.Values)
}

// ends takes out of the new store what is no longer in the old one.
func (c *copying) ends(ctx context.Context) error {
	var ended atomic.Int64
	looked := 0
	err := records(ctx, c.To.Sessions, func(page []*counterfoil.Record) error {
		err := together(page, func(r *counterfoil.Record) error {
			_, err := c.From.Sessions.Load(ctx, r.ID)
			if err == nil {
				return nil
			}
			if !errors.Is(err, counterfoil.ErrNotFound) {
				return fmt.Errorf("%s: %w", c.From.Name, err)
			}
			done, err := c.To.Sessions.Revoke(ctx, counterfoil.Entry{
				Version: counterfoil.EntryVersion, Kind: counterfoil.EntryEnded, Session: r.ID, Reason: counterfoil.ReasonRevoked, Time: wall(c.Clock),
			})
			ended.Add(int64(max(0, done.Count)))
			if err != nil {
				err = fmt.Errorf("%s: %w", c.To.Name, err)
			}
			return err
		})
		looked += len(page)
		c.Progress.tell("sessions compared", looked)
		return err
	})
	c.done.Ended += int(ended.Load())
	c.done.Sessions = max(0, looked-int(ended.Load()))
	return err
}
