package transfer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/counterfoil/counterfoil"
)

// CopyJob says what to copy. From, To and Clock are required.
type CopyJob struct {
	From, To Side
	Clock    counterfoil.Clock
	Progress Progress
	Carried  []string      // further small values that belong to the store as a whole
	Silence  time.Duration // how long a node that was not stopped must be silent; its lease at least
}

// Copied is what a copy did.
type Copied struct {
	Sessions int // in the new store
	Accounts int
	Ended    int // taken out of the new store, because they had ended in the old one meanwhile
	Orphans  int // left behind: the session they hang on is over
}

// ErrBusy says that somebody changes the store while it is to stand still.
var ErrBusy = errors.New("the store is in use")

// rounds is how often a copy begins again because the source changed under it.
const rounds = 5

// Copy brings everything that lives in one store into another, empty one: records with their marks of
// time, accounts, counters of attempts, one-time links, and the store's identity, to which every seal
// is bound. The old store is marked before the first record is read, so that nothing starts on it any
// more, and stays so. Killed at any point, the same call goes on and comes to the same end; until that
// nothing starts on the new store either. What ended in the old store is not in the new one when Copy
// returns, even if it ended while Copy ran.
//
// [ErrBusy] if somebody works on the old store.
func Copy(ctx context.Context, j CopyJob) (Copied, error) {
	c := &copying{CopyJob: j}
	begun, err := c.begin(ctx)
	if err != nil {
		return Copied{}, err
	}
	again := begun
	for range rounds {
		before, err := now(ctx, j.From.Sessions)
		if err != nil {
			return Copied{}, err
		}
		if err := c.pass(ctx, again); err != nil {
			return Copied{}, err
		}
		after, err := now(ctx, j.From.Sessions)
		if err != nil {
			return Copied{}, err
		}
		if before == after {
			return c.done, c.finish(ctx)
		}
		again = true
	}
	return Copied{}, fmt.Errorf("%w: sessions in %s began or ended all the time; stop what runs on it and run the same command again", ErrBusy, j.From.Name)
}

// copying is a copy under way.
type copying struct {
	CopyJob
	mark mark // of the source
	done Copied
}

// begin marks both stores; begun says that an earlier call did.
func (c *copying) begin(ctx context.Context) (begun bool, err error) {
	from, err := readMark(ctx, c.From.Sessions)
	if err != nil {
		return false, fmt.Errorf("%s: %w", c.From.Name, err)
	}
	to, err := readMark(ctx, c.To.Sessions)
	if err != nil {
		return false, fmt.Errorf("%s: %w", c.To.Name, err)
	}
	goesOn := to.State == arriving && to.ID == from.ID && (from.State == leaving || from.State == moved)
	switch {
	case goesOn:
		c.mark = from
		return true, nil
	case from.State != "" && from.State != leaving:
		return false, fmt.Errorf("%s: %w", c.From.Name, Usable(ctx, c.From.Sessions))
	case to.State != "":
		return false, fmt.Errorf("%s: %w", c.To.Name, Usable(ctx, c.To.Sessions))
	}
	if err := c.fit(ctx); err != nil {
		return false, err
	}
	if c.mark = from; from.State == "" {
		c.mark = mark{leaving, newID(), c.To.Name}
		if err := c.mark.set(ctx, c.From.Sessions, from); err != nil {
			return false, fmt.Errorf("%s: %w", c.From.Name, err)
		}
	}
	err = Quiet(ctx, c.From, c.Clock, c.Silence, c.Progress)
	if err == nil {
		err = mark{arriving, c.mark.ID, c.From.Name}.set(ctx, c.To.Sessions, mark{})
		if errors.Is(err, counterfoil.ErrConflict) {
			err = errors.New("--from and --to are one store, or somebody else copies into it")
		}
	}
	if err != nil && from.State == "" {
		return false, errors.Join(err, mark{}.set(ctx, c.From.Sessions, c.mark)) // as it was
	}
	return false, err
}

// fit refuses what would lose something.
func (c *copying) fit(ctx context.Context) error {
	empty, err := c.To.empty(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", c.To.Name, err)
	}
	if !empty {
		return fmt.Errorf("%s is not empty; a copy needs an empty store", c.To.Name)
	}
	if empty, err = c.From.empty(ctx); err != nil {
		return fmt.Errorf("%s: %w", c.From.Name, err)
	}
	if empty {
		return fmt.Errorf("%s holds neither sessions nor accounts: there is nothing to copy; see that it is the right one", c.From.Name)
	}
	readers, err := c.From.Sessions.Readers(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", c.From.Name, err)
	}
	at, err := now(ctx, c.From.Sessions)
	if err != nil {
		return fmt.Errorf("%s: %w", c.From.Name, err)
	}
	for name, acked := range readers {
		if acked < at.head {
			return fmt.Errorf("the last %d changes in %s are not in the audit of reader %q yet: start and stop that node once, or strike it off with `counterfoil node remove`",
				at.head-acked, c.From.Name, name)
		}
	}
	return nil
}

// identity carries over what belongs to the store as a whole.
func (c *copying) identity(ctx context.Context) error {
	keys := append([]string{counterfoil.MetaStoreID, counterfoil.MetaSessionTime}, c.Carried...)
	for _, key := range keys {
		value, err := c.From.Sessions.Meta(ctx, key)
		if err != nil {
			return fmt.Errorf("%s: %w", c.From.Name, err)
		}
		if value == nil {
			continue
		}
		if err := SetMeta(ctx, c.To.Sessions, key, value); err != nil {
			return fmt.Errorf("%s: %w", c.To.Name, err)
		}
	}
	return nil
}

// pass makes the new store hold what the old one does; again: something may be in it that the old
// one no longer has.
func (c *copying) pass(ctx context.Context, again bool) error {
	ended := c.done.Ended
	c.done = Copied{}
	if err := c.identity(ctx); err != nil {
		return err
	}
	if err := c.sessions(ctx); err != nil {
		return err
	}
	c.done.Ended = ended
	if again {
		if err := c.ends(ctx); err != nil {
			return err
		}
	}
	return c.accounts(ctx)
}

// finish hands over: first the old store is closed for good, then the new one is opened.
func (c *copying) finish(ctx context.Context) error {
	gone := mark{moved, c.mark.ID, c.To.Name}
	if c.mark != gone {
		if err := gone.set(ctx, c.From.Sessions, c.mark); err != nil {
			return fmt.Errorf("%s: %w", c.From.Name, err)
		}
	}
	here, err := readMark(ctx, c.To.Sessions)
	if err == nil {
		err = mark{}.set(ctx, c.To.Sessions, here)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c.To.Name, err)
	}
	return nil
}
