package transfer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/account"
	"github.com/counterfoil/counterfoil/audit"
)

// RestoreJob says what to bring back. From, To, Key and Clock are required.
type RestoreJob struct {
	From     io.ReadSeeker
	To       Side
	Key      *[32]byte // the ring's AuditKey
	KeyCheck []byte    // of the present key; the backup's sessions need the one that they were made with
	Audit    io.Reader // what happened since the backup; nil: nothing is known of it, and every session ends
	Tail     []byte    // what the store keeps of the audit's last line, nil: nothing
	Replace  bool      // end what lives in the store now
	Foreign  bool      // believe a backup that our key does not vouch for; every session of it ends
	Clock    counterfoil.Clock
	Progress Progress
	Carried  map[string][]byte // further small values to set
	Silence  time.Duration     // as in [CopyJob]
}

// Restored is what a restore did.
type Restored struct {
	Made     time.Time `json:"made"` // the backup
	Sessions int       `json:"sessions"`
	Ended    int       `json:"ended"` // in the backup, and not brought back because they have ended since
	Why      string    `json:"why,omitempty"`
	Accounts int       `json:"accounts"`
	Kept     int       `json:"kept"`     // accounts that the store had already, with a password no older
	Locked   []string  `json:"locked"`   // users whose password was changed since: they have none now
	Disabled []string  `json:"disabled"` // users who were disabled since
	Until    time.Time `json:"until"`    // the audit's last line: what ended later it does not know
}

// Errors of a restore. Match them with errors.Is.
var (
	ErrNotEmpty    = errors.New("the store is not empty")
	ErrAuditBroken = errors.New("the audit is broken")
)

// Restore brings a backup back into an empty store, or into the one that it was made of, and gives the
// log a new incarnation, so that a node which was cut off meanwhile drops what it has and says so.
// Nothing that ever ended comes back: ends since the backup are taken from the audit, and from the
// store's own log if that still has them; if the audit does not tell all since then, every session
// ends. Until Restore returns nothing starts on the store; killed, it is to be called again.
//
// [ErrBackup], [ErrBusy], [ErrNotEmpty] without Replace, [ErrAuditBroken].
func Restore(ctx context.Context, j RestoreJob) (Restored, error) {
	r := &restoration{RestoreJob: j, ends: newEnds()}
	foot, sum, authentic, err := parse(j.From, j.Key, parts{
		head: func(h Head) error { r.head = h; return nil },
		ending: func(e ending) error {
			r.ends.add(counterfoil.Entry{Kind: e.Kind, Seq: e.Seq, Session: e.Session, Subject: e.Subject, Except: e.Except, Epoch: e.Epoch})
			return nil
		},
	})
	if err != nil {
		return Restored{}, err
	}
	r.foot = foot
	r.done = Restored{Made: r.head.Made, Locked: []string{}, Disabled: []string{}}
	if !authentic && !j.Foreign {
		return Restored{}, damaged("our key does not vouch for it: it was made with another key, or somebody changed it. Bring back the key file too; " +
			"if that is lost and you trust the file, say --foreign: accounts come back, sessions do not")
	}
	if !authentic || string(r.head.KeyCheck) != string(j.KeyCheck) {
		r.everything("the backup was made with another key, and nothing but that opens its sessions")
	}
	if err := r.begin(ctx, fmt.Sprintf("%x", sum)); err != nil {
		return Restored{}, err
	}
	if err := r.identity(ctx); err != nil {
		return Restored{}, err
	}
	if _, err := EndAll(ctx, j.To.Sessions, j.Clock, counterfoil.ReasonRestored); err != nil {
		return Restored{}, err
	}
	if err := r.accounts(ctx); err != nil {
		return Restored{}, err
	}
	if err := r.sessions(ctx); err != nil {
		return Restored{}, err
	}
	if err := j.To.Sessions.Renew(ctx); err != nil {
		return Restored{}, err
	}
	return r.done, mark{}.set(ctx, j.To.Sessions, r.mark)
}

// restoration is a restore under way.
type restoration struct {
	RestoreJob
	head Head
	foot Foot
	mark mark
	ends *ends
	done Restored
}

// begin judges whether the backup may go into the store, learns what ended since, and marks the store.
func (r *restoration) begin(ctx context.Context, id string) error {
	s := r.To.Sessions
	old, err := readMark(ctx, s)
	if err != nil {
		return err
	}
	if old.State != "" && old.State != restoring {
		return Usable(ctx, s)
	}
	if old.State == "" {
		empty, err := r.To.empty(ctx)
		if err != nil {
			return err
		}
		storeID, err := s.Meta(ctx, counterfoil.MetaStoreID)
		switch {
		case err != nil:
			return err
		case !empty && string(storeID) != string(r.head.StoreID):
			return fmt.Errorf("%w, and the backup is of another: restore it into an empty one", ErrNotEmpty)
		case !empty && !r.Replace:
			return fmt.Errorf("%w: a restore ends every session that lives in it now, and brings those of the backup back", ErrNotEmpty)
		}
	}
	r.mark = mark{restoring, id, r.head.Made.Format(time.RFC3339)}
	if err := r.mark.set(ctx, s, old); errors.Is(err, counterfoil.ErrConflict) {
		return fmt.Errorf("%w: somebody else restores into it", ErrBusy)
	} else if err != nil {
		return err
	}
	err = Quiet(ctx, r.To, r.Clock, r.Silence, r.Progress)
	if err == nil {
		err = r.since(ctx)
	}
	if err != nil && old.State == "" {
		err = errors.Join(err, mark{}.set(ctx, s, r.mark)) // as it was
	}
	return err
}

// everything says that no session comes back, and why.
func (r *restoration) everything(why string) {
	r.ends.all = true
	if r.done.Why == "" {
		r.done.Why = why
	}
}

// since learns what ended since the backup.
func (r *restoration) since(ctx context.Context) error {
	if r.Audit == nil {
		r.everything("no audit tells what ended since the backup")
		return nil
	}
	told := newEnds()
	report, whole, err := audit.After(r.Audit, r.Key, r.Tail, audit.Position{Log: r.foot.Log, Seq: r.foot.Seq}, func(l audit.Line) {
		told.line(l)
		if l.Time.After(r.done.Until) {
			r.done.Until = l.Time
		}
	})
	switch {
	case err != nil:
		return err
	case report.Broken > 0:
		return fmt.Errorf("%w at line %d: %s", ErrAuditBroken, report.Broken, report.Why)
	case !whole:
		r.everything("the audit does not tell all that happened since the backup")
	default:
		r.ends.follow(told)
	}
	return r.log(ctx)
}

// log learns what ended since the backup from the store's own log, if that is still the same one: the
// last ends may not have reached the audit. Those of a restore that was broken off are none.
func (r *restoration) log(ctx context.Context) error {
	page, err := r.To.Sessions.Log(ctx, 0, 0)
	if err != nil && !errors.Is(err, counterfoil.ErrGap) {
		return err
	}
	if page.Incarnation != r.foot.Log || page.Floor > r.foot.Seq || page.Head < r.foot.Seq {
		return nil
	}
	return entries(ctx, r.To.Sessions, position{page.Incarnation, r.foot.Seq}, func(e *counterfoil.Entry) error {
		switch e.Kind {
		case counterfoil.EntryEnded, counterfoil.EntryEndedSubject:
			r.ends.add(*e)
		case counterfoil.EntryEndedAll:
			if e.Reason != counterfoil.ReasonRestored {
				r.ends.add(*e)
			}
		}
		return nil
	})
}

// identity sets what belongs to the store as a whole.
func (r *restoration) identity(ctx context.Context) error {
	values := maps.Clone(r.Carried)
	if values == nil {
		values = map[string][]byte{}
	}
	if r.head.StoreID != nil {
		values[counterfoil.MetaStoreID] = r.head.StoreID
	}
	have, err := r.To.Sessions.Meta(ctx, counterfoil.MetaSessionTime)
	if err != nil {
		return err
	}
	if len(r.head.SessionTime) == 8 && (len(have) != 8 || binary.BigEndian.Uint64(have) < binary.BigEndian.Uint64(r.head.SessionTime)) {
		values[counterfoil.MetaSessionTime] = r.head.SessionTime
	}
	for key, value := range values {
		if err := SetMeta(ctx, r.To.Sessions, key, value); err != nil {
			return err
		}
	}
	return nil
}

// accounts brings accounts back; a password that was changed since stays changed, and who was disabled
// stays so.
func (r *restoration) accounts(ctx context.Context) error {
	_, _, _, err := r.again(parts{account: func(a *account.Account) error {
		have, err := r.To.Accounts.Get(ctx, a.Name)
		switch {
		case err == nil && have.Epoch >= a.Epoch:
			r.done.Kept++
			if have.Password == "" && r.ends.locked[a.Name] { // by a restore that was broken off
				r.done.Locked = append(r.done.Locked, a.Name)
			}
			return nil
		case err != nil && !errors.Is(err, account.ErrNotFound):
			return err
		}
		if r.ends.locked[a.Name] {
			a.Password, a.Epoch = "", a.Epoch+1
			r.done.Locked = append(r.done.Locked, a.Name)
		}
		if r.ends.disabled[a.Name] && !a.Disabled {
			a.Disabled = true
			r.done.Disabled = append(r.done.Disabled, a.Name)
		}
		r.done.Accounts++
		r.Progress.tell("accounts", r.done.Accounts)
		return putAccount(ctx, r.To.Accounts, a)
	}})
	return err
}

// again reads the backup once more from its start.
func (r *restoration) again(p parts) (Foot, []byte, bool, error) {
	if _, err := r.From.Seek(0, io.SeekStart); err != nil {
		return Foot{}, nil, false, err
	}
	return parse(r.From, r.Key, p)
}

// sessions brings back those that have not ended. What hangs on another session comes after it: each
// round brings those whose parent is there.
func (r *restoration) sessions(ctx context.Context) error {
	waiting := map[counterfoil.ID]bool{} // of the last round
	for round := 0; round == 0 || len(waiting) > 0; round++ {
		next := map[counterfoil.ID]bool{}
		var page []*counterfoil.Record
		flush := func() error {
			results := make([]error, len(page))
			err := together(indexes(page), func(i int) error {
				results[i] = create(ctx, r.To.Sessions, r.Clock, page[i], counterfoil.ReasonRestored)
				if errors.Is(results[i], counterfoil.ErrNoParent) || errors.Is(results[i], counterfoil.ErrExists) {
					return nil
				}
				return results[i]
			})
			for i, result := range results {
				switch {
				case errors.Is(result, counterfoil.ErrNoParent):
					next[page[i].ID] = true
				case result == nil:
					r.done.Sessions++
				}
			}
			page = page[:0]
			r.Progress.tell("sessions", r.done.Sessions)
			return err
		}
		_, _, _, err := r.again(parts{record: func(rec *counterfoil.Record) error {
			switch {
			case round > 0 && !waiting[rec.ID]:
				return nil
			case r.ends.cover(rec):
				r.done.Ended++
				return nil
			}
			if page = append(page, rec); len(page) < pageSize {
				return nil
			}
			return flush()
		}})
		if err == nil {
			err = flush()
		}
		if err != nil {
			return err
		}
		if round > 0 && len(next) == len(waiting) { // what they hang on is over
			r.done.Ended += len(next)
			return nil
		}
		waiting = next
	}
	return nil
}

// indexes returns the numbers of all.
func indexes[T any](all []T) []int {
	list := make([]int, len(all))
	for i := range list {
		list[i] = i
	}
	return list
}
