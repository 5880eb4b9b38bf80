package transfer

import (
	"context"
	"fmt"
	"io"

	"github.com/counterfoil/counterfoil"
)

// BackupJob says what to write. Store, To, Key and Clock are required.
type BackupJob struct {
	Store    Side
	To       io.Writer
	Key      *[32]byte // the ring's AuditKey, which authenticates the file
	KeyCheck []byte    // tells of what key the records are
	Clock    counterfoil.Clock
	Progress Progress
}

// Backup writes a store's sessions and accounts as they are at one moment, the position that the Foot
// names, while the store is used. Sessions are sealed as in the store; accounts stand there with their
// password hashes. Counters of attempts and one-time links are left out: a link that was used must not
// come back.
func Backup(ctx context.Context, j BackupJob) (Foot, error) {
	s := j.Store.Sessions
	head := Head{Made: wall(j.Clock), KeyCheck: j.KeyCheck}
	var err error
	if head.StoreID, err = s.Meta(ctx, counterfoil.MetaStoreID); err != nil {
		return Foot{}, err
	}
	if head.SessionTime, err = s.Meta(ctx, counterfoil.MetaSessionTime); err != nil {
		return Foot{}, err
	}
	before, err := now(ctx, s)
	if err != nil {
		return Foot{}, err
	}
	w, err := newWriter(j.To)
	if err != nil {
		return Foot{}, err
	}
	if err := w.json(frameHead, head); err != nil {
		return Foot{}, err
	}
	err = records(ctx, s, func(page []*counterfoil.Record) error {
		for _, r := range page {
			w.foot.Records++
			if err := w.frame(frameRecord, encodeRecord(r)); err != nil {
				return err
			}
		}
		j.Progress.tell("sessions", w.foot.Records)
		return nil
	})
	if err != nil {
		return Foot{}, err
	}
	// After the sessions: a password that is changed meanwhile is in it, and its end below.
	for a, err := range j.Store.Accounts.All(ctx) {
		if err != nil {
			return Foot{}, err
		}
		w.foot.Accounts++
		if err := w.json(frameAccount, a); err != nil {
			return Foot{}, err
		}
	}
	if err := w.ends(ctx, s, before); err != nil {
		return Foot{}, err
	}
	return w.foot, w.close(j.Key)
}

// ends writes what ended since a position, and notes where the log stands.
func (w *writer) ends(ctx context.Context, s counterfoil.Store, since position) error {
	w.foot.Log, w.foot.Seq = since.incarnation, since.head
	return entries(ctx, s, since, func(e *counterfoil.Entry) error {
		w.foot.Seq = e.Seq
		switch e.Kind {
		case counterfoil.EntryEnded, counterfoil.EntryEndedSubject, counterfoil.EntryEndedAll:
			w.foot.Ends++
			return w.json(frameEnd, ending{e.Kind, e.Seq, e.Session, e.Subject, e.Except, e.Epoch})
		}
		return nil
	})
}

// entries calls f for each entry of the log after a position.
func entries(ctx context.Context, s counterfoil.Store, since position, f func(*counterfoil.Entry) error) error {
	for {
		page, err := s.Log(ctx, since.head, pageSize)
		if err != nil {
			return err
		}
		if page.Incarnation != since.incarnation {
			return fmt.Errorf("%w: it was restored or failed over meanwhile; begin again", ErrBusy)
		}
		for i := range page.Entries {
			if err := f(&page.Entries[i]); err != nil {
				return err
			}
			since.head = page.Entries[i].Seq
		}
		if since.head >= page.Head || len(page.Entries) == 0 {
			return nil
		}
	}
}

// Inspect reads a backup to its end and says what is in it, without believing it further than that it
// is whole. authentic: it was made under the key. [ErrBackup].
func Inspect(r io.Reader, key *[32]byte) (h Head, f Foot, authentic bool, err error) {
	f, _, authentic, err = parse(r, key, parts{head: func(got Head) error { h = got; return nil }})
	return h, f, authentic, err
}
