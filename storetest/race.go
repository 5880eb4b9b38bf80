package storetest

import (
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/counterfoil/counterfoil"
)

func raceProofs() []proof {
	return []proof{
		{"Race/confirm-confirm", "if its revision is rec.Revision, and adds one to rec.Revision and the stored one.", confirmAgainstConfirm},
		{"Race/lost-updates", "Another revision: ErrConflict.", noLostUpdates},
		{"Race/sign-out-in-flight", "When Revoke returns no Load finds what it ended, no Update of it succeeds", signOutAgainstRequests},
		{"Race/touch-revoke", "It lowers nothing, inserts nothing", touchAgainstRevoke},
		{"Race/touch-reap", "Reap ends at most r.Max records with IdleEnd or AbsoluteEnd at or before r.Before", touchAgainstReap},
		{"Race/password-sign-in", "if it is not 0 and an ended-subject or ended-all entry from that position on covers rec", passwordAgainstSignIn},
		{"Race/everything-create", "ends every record that e covers", everythingAgainstCreate},
		{"Race/cache-fill", "they see every change acknowledged before they began, whichever node made it.", cacheFillAgainstEnd},
		{"Race/same-op", "The same e.Op again, if its entry was appended, changes nothing and returns the first result.", sameOpAtOnce},
		{"Race/sign-ins", "Create inserts rec", signInsAtOnce},
		{"Race/children", "if rec.Parent is set and no such record exists", childAgainstParent},
	}
}

// rounds is how often a race is run.
const rounds = 40

func confirmAgainstConfirm(f *fixture) {
	for range rounds / 4 {
		r := f.signIn(newSubject())
		head := f.head()
		var won atomic.Int32
		together(8, func(i int) {
			mine := r.Clone()
			mine.Identity = []byte{byte(i)}
			switch err := f.s.Update(f.ctx, mine, changedEntry()); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, counterfoil.ErrConflict):
				f.Errorf("confirm %d: %v", i, err)
			}
		})
		f.same("confirmed", won.Load(), int32(1))
		f.same("the stored revision", f.load(r.ID).Revision, uint64(2))
		f.same("entries", len(f.after(head)), 1)
	}
}

// PD9: 2 writers, 100 updates each.
func noLostUpdates(f *fixture) {
	r := f.signIn(newSubject(), func(r *counterfoil.Record) { r.Values = []byte{0, 0} })
	together(2, func(i int) {
		for done := 0; done < 100; {
			mine, err := f.s.Load(f.ctx, r.ID)
			if err != nil {
				f.Error(err)
				return
			}
			mine.Values[i]++
			switch err := f.s.Update(f.ctx, mine, nil); {
			case err == nil:
				done++
			case !errors.Is(err, counterfoil.ErrConflict):
				f.Error(err)
				return
			}
		}
	})
	got := f.load(r.ID)
	f.same("values", got.Values, []byte{100, 100})
	f.same("revision", got.Revision, uint64(201))
}

func signOutAgainstRequests(f *fixture) {
	for range rounds {
		r := f.signIn(newSubject())
		var out atomic.Bool
		together(3, func(i int) {
			if i == 0 {
				if _, err := f.s.Revoke(f.ctx, ended(r.ID)); err != nil {
					f.Error(err)
				}
				out.Store(true)
				return
			}
			mine, entry := r.Clone(), (*counterfoil.Entry)(nil)
			for range 1000 {
				if i == 1 {
					entry = changedEntry()
				}
				was := out.Load()
				err := f.s.Update(f.ctx, mine, entry)
				switch {
				case was && !errors.Is(err, counterfoil.ErrNotFound):
					f.Errorf("a save after sign-out was acknowledged says %v", err)
					return
				case errors.Is(err, counterfoil.ErrNotFound):
					return
				case errors.Is(err, counterfoil.ErrConflict):
					fresh, err := f.s.Load(f.ctx, r.ID)
					if errors.Is(err, counterfoil.ErrNotFound) {
						return
					}
					if err != nil {
						f.Error(err)
						return
					}
					mine = fresh
				case err != nil:
					f.Error(err)
					return
				}
			}
		})
		f.gone(r)
		f.same("list", len(f.list(r.Subject)), 0)
		var last counterfoil.EntryKind
		for _, e := range f.after(r.Born - 1) {
			if e.Session == r.ID {
				last = e.Kind
			}
		}
		f.same("the session's last entry", last, counterfoil.EntryEnded)
	}
}

// PD10
func touchAgainstRevoke(f *fixture) {
	for range rounds {
		r := f.signIn(newSubject())
		touches := []counterfoil.Touch{{ID: r.ID, Seen: start().Add(time.Second), IdleEnd: r.AbsoluteEnd}}
		together(2, func(i int) {
			var err error
			if i == 0 {
				_, err = f.s.Revoke(f.ctx, endedSubject(r.Subject))
			}
			for range 5 {
				err = errors.Join(err, f.s.Touch(f.ctx, touches))
			}
			if err != nil {
				f.Error(err)
			}
		})
		f.gone(r)
		f.same("list", len(f.list(r.Subject)), 0)
	}
}

// A touch that reaches a record before the reaper does saves it; one that comes later finds none.
func touchAgainstReap(f *fixture) {
	later := start().Add(time.Minute)
	for range 3 {
		rs := make([]*counterfoil.Record, 100)
		for i := range rs {
			rs[i] = f.signIn(newSubject(), ends(0, time.Hour), func(r *counterfoil.Record) {
				r.ID[0], r.ID[1] = 7, 7 // likely to be reaped in one go
			})
		}
		head := f.head()
		saved := map[*counterfoil.Record]bool{}
		reaped := 0
		halfway := make(chan struct{})
		together(2, func(i int) {
			if i == 0 {
				<-halfway
				out, err := f.s.Reap(f.ctx, counterfoil.Reap{Before: start(), Max: len(rs)})
				if err != nil {
					f.Error(err)
				}
				reaped = out.Records
				return
			}
			for n, r := range slices.Backward(rs) {
				if n == len(rs)/2 {
					close(halfway)
				}
				if err := f.s.Touch(f.ctx, []counterfoil.Touch{{ID: r.ID, Seen: start(), IdleEnd: later}}); err != nil {
					f.Error(err)
				}
				got, err := f.s.Load(f.ctx, r.ID)
				saved[r] = err == nil && got.IdleEnd.Equal(later)
			}
		})
		f.same("entries", len(f.after(head)), reaped)
		for _, r := range rs {
			if saved[r] {
				f.lives(r)
				f.revoke(ended(r.ID))
			} else {
				f.gone(r)
			}
		}
	}
}

func passwordAgainstSignIn(f *fixture) {
	for range rounds {
		subject := newSubject()
		before := f.signIn(subject, func(r *counterfoil.Record) { r.Epoch = 1 })
		mark := f.head()
		const signIns = 4
		rs, errs := make([]*counterfoil.Record, signIns), make([]error, signIns)
		together(signIns+1, func(i int) {
			if i == signIns {
				e := endedSubject(subject)
				e.Epoch = 2
				if _, err := f.s.Revoke(f.ctx, e); err != nil {
					f.Error(err)
				}
				return
			}
			// The even ones proved the old password, the odd ones the new one.
			rs[i] = record(subject, func(r *counterfoil.Record) { r.Epoch = 1 + uint64(i%2) })
			_, errs[i] = f.s.Create(f.ctx, rs[i], creation(since(mark)))
		})
		f.gone(before)
		for i, r := range rs {
			if i%2 == 1 {
				f.ok(errs[i])
				f.lives(r)
				continue
			}
			if errs[i] != nil {
				f.is(errs[i], counterfoil.ErrSuperseded)
			}
			f.gone(r)
		}
		f.sameIDs("left", f.list(subject), rs[1], rs[3])
	}
}

func everythingAgainstCreate(f *fixture) {
	for range rounds / 2 {
		mark := f.create(record(newSubject())).Seq
		const signIns = 6
		rs, errs := make([]*counterfoil.Record, signIns), make([]error, signIns)
		var end counterfoil.Revoked
		together(signIns+1, func(i int) {
			if i == signIns {
				var err error
				if end, err = f.s.Revoke(f.ctx, endedAll()); err != nil {
					f.Error(err)
				}
				return
			}
			rs[i] = record(newSubject())
			c := creation()
			if i%2 == 0 {
				c.Since = mark + 1
			}
			_, errs[i] = f.s.Create(f.ctx, rs[i], c)
		})
		for i, r := range rs {
			switch {
			case i%2 == 0 && errs[i] != nil:
				f.is(errs[i], counterfoil.ErrSuperseded)
				f.gone(r)
			case i%2 == 0:
				f.gone(r)
			default:
				f.ok(errs[i])
				if r.Born > end.Seq {
					f.lives(r)
				} else {
					f.gone(r)
				}
			}
		}
		f.revoke(endedAll())
	}
}

// A node notes the head, then loads, then caches unless an entry after that head concerns the
// session. So whoever could load it must find its end after the head.
func cacheFillAgainstEnd(f *fixture) {
	for i := range 3 * rounds {
		subject := newSubject()
		r := f.signIn(subject)
		end := []counterfoil.Entry{ended(r.ID), endedSubject(subject), endedAll()}[i%3]
		var noted, endedAt uint64
		var loaded error
		var acknowledged atomic.Bool
		together(2, func(i int) {
			if i == 0 {
				rv, err := f.s.Revoke(f.ctx, end)
				if err != nil {
					f.Error(err)
				}
				endedAt = rv.Seq
				acknowledged.Store(true)
				return
			}
			for {
				was := acknowledged.Load()
				p, err := f.s.Log(f.ctx, 0, 0)
				if err != nil {
					f.Error(err)
					return
				}
				if _, loaded = f.s.Load(f.ctx, r.ID); loaded != nil {
					return
				}
				if was {
					f.Error("the session was loaded after its end was acknowledged")
					return
				}
				noted = p.Head
			}
		})
		if loaded != nil {
			f.is(loaded, counterfoil.ErrNotFound)
		}
		if noted >= endedAt {
			f.Fatalf("the session was loaded after head %d was read, but its end is at %d", noted, endedAt)
		}
	}
}

func sameOpAtOnce(f *fixture) {
	for range rounds / 4 {
		subject := newSubject()
		rec, c := record(subject), creation()
		created := make([]counterfoil.Created, 4)
		together(len(created), func(i int) {
			var err error
			if created[i], err = f.s.Create(f.ctx, rec.Clone(), c); err != nil {
				f.Error(err)
			}
		})
		head := f.head()
		e := endedSubject(subject)
		revoked := make([]counterfoil.Revoked, 4)
		together(len(revoked), func(i int) {
			var err error
			if revoked[i], err = f.s.Revoke(f.ctx, e); err != nil {
				f.Error(err)
			}
		})
		f.same("the head", f.head(), head+1)
		for i := range created {
			f.same("created", created[i], counterfoil.Created{Seq: head})
			f.same("revoked at", revoked[i].Seq, head+1)
			f.sameIDs("revoked", revoked[i].Ended, rec)
		}
	}
}

func childAgainstParent(f *fixture) {
	for range rounds {
		p := f.signIn(newSubject())
		child := record(newSubject(), childOf(p))
		together(2, func(i int) {
			if i == 0 {
				if _, err := f.s.Revoke(f.ctx, ended(p.ID)); err != nil {
					f.Error(err)
				}
			} else if _, err := f.s.Create(f.ctx, child, creation()); err != nil && !errors.Is(err, counterfoil.ErrNoParent) {
				f.Error(err)
			}
		})
		f.gone(p, child)
	}
}

// T7: nobody gets another one's session.
func signInsAtOnce(f *fixture) {
	const at, each = 32, 8
	subjects := make([]counterfoil.SubjectHash, at)
	made := make([][]*counterfoil.Record, at)
	together(at, func(i int) {
		subjects[i] = newSubject()
		for range each {
			r := record(subjects[i], func(r *counterfoil.Record) { r.Identity = append([]byte{byte(i)}, r.ID[:]...) })
			if _, err := f.s.Create(f.ctx, r, creation(limit(each, counterfoil.Deny))); err != nil {
				f.Error(err)
			}
			made[i] = append(made[i], r)
		}
	})
	born := map[uint64]bool{}
	for i, rs := range made {
		f.sameIDs("of one subject", f.list(subjects[i]), rs...)
		for _, r := range rs {
			f.same("a session", f.load(r.ID), r)
			born[r.Born] = true
		}
	}
	f.same("positions", len(born), at*each)
}
