package counterfoil

import (
	"context"
	"iter"
	"slices"
)

// List yields the live sessions of subject, newest first. It stops after the first error.
func (m *Manager) List(ctx context.Context, subject string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		ctx, cancel := context.WithTimeout(ctx, storeTimeout)
		defer cancel()
		var infos []Info
		for rec, err := range m.store.List(ctx, m.subjectHash(subject)) {
			if err != nil {
				yield(Info{}, m.unanswered("list", err))
				return
			}
			if info, live := m.listed(rec); live {
				infos = append(infos, info)
			}
		}
		slices.SortFunc(infos, func(a, b Info) int { return b.Created.Compare(a.Created) })
		for _, info := range infos {
			if !yield(info, nil) {
				return
			}
		}
	}
}

// All yields every live session, in no order: for operators. It stops after the first error.
func (m *Manager) All(ctx context.Context) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		const page = 500
		for after := (ID{}); ; {
			recs, err := m.store.Scan(ctx, after, page)
			if err != nil {
				yield(Info{}, m.unanswered("scan", err))
				return
			}
			for _, rec := range recs {
				after = rec.ID
				if info, live := m.listed(rec); live && !yield(info, nil) {
					return
				}
			}
			if len(recs) < page {
				return
			}
		}
	}
}

// listed returns what a list shows of rec; live is false if its time is up or it is of another realm.
func (m *Manager) listed(rec *Record) (info Info, live bool) {
	now := m.clock.now()
	i, err := m.openIdentity(rec)
	if err != nil {
		return Info{
			ID: rec.ID, Kind: rec.Kind, Created: rec.Created, Seen: rec.Seen, IdleEnd: rec.IdleEnd,
			AbsoluteEnd: rec.AbsoluteEnd, Unreadable: true,
		}, rec.Live(now.time())
	}
	m.toucher.raise(rec)
	e := m.newEntry(rec, i, 0, verifier{}, nil)
	ms := now.ms()
	return e.info(), i.realm == m.realm && ms < e.absolute && ms < e.idleEnd.Load()
}

// Describe turns a log entry into an Event, its sealed detail opened; readable is false if that
// cannot be opened any more, because its key is gone.
func (m *Manager) Describe(e Entry) (ev Event, readable bool) {
	ev = Event{Kind: eventKind(&e), Reason: e.Reason, Time: e.Time, Seq: e.Seq, Session: Info{ID: e.Session}}
	if len(e.Detail) == 0 {
		return ev, true
	}
	w, err := m.openDetail(&e)
	if err != nil {
		return ev, false
	}
	if ev.Kind == EventCreated && w.subject != "" {
		ev.Kind = EventSignedIn
	}
	s := &ev.Session
	s.Kind, s.Subject, s.Actor, s.Methods, s.Level, s.IP, s.Label = w.kind, w.subject, w.actor, w.methods, int(w.level), w.ip, w.label
	if w.proved != 0 {
		s.Proved = msTime(w.proved)
	}
	return ev, true
}

func eventKind(e *Entry) EventKind {
	switch e.Kind {
	case EntryCreated:
		return EventCreated
	case EntryChanged:
		return EventChanged
	case EntryEndedSubject:
		return EventEndedMany
	case EntryEndedAll:
		return EventEndedAll
	}
	return EventEnded
}
