package audit

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/counterfoil/counterfoil"
)

// round exports everything up to the store's present head, and what was recorded.
func (x *Exporter) round(ctx context.Context) error {
	if x.state.file == nil {
		if err := x.attach(ctx); err != nil {
			return err
		}
	}
	var target uint64 // the head when the round began: a busy store must not keep it from ending
	for done := false; ; {
		if err := x.save(ctx); err != nil || done {
			return err
		}
		head, again, err := x.page(ctx)
		if err != nil {
			return err
		}
		if target == 0 || again {
			target = head
		}
		done = !again && x.state.tail.Seq >= target
	}
}

// page writes one page of the store's log, and what was recorded, to the file. again: the position
// was moved, no entry was read.
func (x *Exporter) page(ctx context.Context) (head uint64, again bool, err error) {
	page, err := x.cfg.Store.Log(ctx, x.state.tail.Seq, pageSize)
	gap := errors.Is(err, counterfoil.ErrGap)
	if err != nil && !gap {
		return 0, false, fmt.Errorf("audit: reading the store's log: %w", err)
	}
	events, dropped := x.wait.take()
	err = x.addRecorded(events, dropped)
	if err == nil {
		switch was := x.state.tail.Incarnation; {
		case page.Incarnation != "" && was != "" && was != page.Incarnation:
			again, err = true, x.restart(ctx, "incarnation", page)
		case gap:
			again, err = true, x.gap(ctx, page)
		default:
			err = x.addEntries(page)
			x.state.read = true
		}
	}
	if err == nil {
		if page.Incarnation != "" {
			x.state.tail.Incarnation = page.Incarnation
		}
		err = x.write()
	}
	if err != nil {
		x.wait.back(events, dropped)
		x.detach()
	}
	return page.Head, again, err
}

func (x *Exporter) addRecorded(events []counterfoil.Event, dropped int) error {
	for _, ev := range events {
		if err := x.add(eventLine(ev)); err != nil {
			return err
		}
	}
	if dropped == 0 {
		return nil
	}
	return x.add(Line{Kind: KindDropped, Time: x.now(), Count: dropped})
}

func (x *Exporter) addEntries(page counterfoil.Page) error {
	if len(page.Entries) == 0 && page.Head > x.state.tail.Seq {
		return errors.New("audit: the store's log says it has more and returns nothing")
	}
	for _, e := range page.Entries {
		if err := x.add(x.entryLine(e)); err != nil {
			return err
		}
		x.state.tail.Seq = e.Seq
	}
	return nil
}

// gap says what the store no longer has and goes on behind it.
func (x *Exporter) gap(ctx context.Context, page counterfoil.Page) error {
	since := x.state.tail.Seq
	if since > page.Head {
		return x.restart(ctx, "shorter", page)
	}
	to := page.Head
	if page.Floor > since {
		to = page.Floor
	}
	if to == since {
		return errors.New("audit: the store's log says that it has lost entries and has lost none")
	}
	x.state.tail.Seq = to
	x.cfg.Logger.Error("audit: the store's log has lost entries that were not exported", "from", since+1, "to", to)
	return x.add(Line{Kind: KindGap, Time: x.now(), LostFrom: since + 1, LostTo: to})
}

// restart goes on in a log that is not the one it was: from what the store itself says was exported
// of it, so that rather a line repeats than that one is missing.
func (x *Exporter) restart(ctx context.Context, why string, page counterfoil.Page) error {
	acked, err := x.cfg.Store.Acknowledged(ctx, named(Reader, x.cfg.Name))
	if err != nil {
		return fmt.Errorf("audit: the position in the store's log: %w", err)
	}
	x.state.acked = acked
	x.state.tail.Seq = min(acked, page.Head)
	if page.Incarnation != "" {
		x.state.log = page.Incarnation
	}
	x.cfg.Logger.Warn("audit: the store's log is not the one it was", "why", why, "since", x.state.tail.Seq)
	return x.add(Line{Kind: KindStore, Reason: why, Log: clip(x.state.log, 128), Time: x.now()})
}

// entryLine turns an entry of the store's log into a line.
func (x *Exporter) entryLine(e counterfoil.Entry) Line {
	ev, readable := x.cfg.Describe(e)
	l := eventLine(ev)
	l.Seq, l.Request, l.Unreadable = e.Seq, e.Request.String(), !readable
	if l.Kind == "" {
		l.Kind = fmt.Sprintf("entry-%d", e.Kind)
	}
	if l.Reason == "" {
		l.Reason = clip(string(e.Reason), 64)
	}
	if ev.Time.IsZero() {
		l.Time = lineTime(e.Time)
	}
	if l.Session == "" && !e.Session.IsZero() {
		l.Session = e.Session.String()
	}
	for _, id := range e.Except {
		l.Except = append(l.Except, id.String())
	}
	if (l.Subject == "" || e.Kind == counterfoil.EntryEndedSubject) && e.Subject != (counterfoil.SubjectHash{}) {
		l.SubjectHash = hex.EncodeToString(e.Subject[:])
	}
	return l
}

// eventLine bounds everything that came from outside.
func eventLine(ev counterfoil.Event) Line {
	s := ev.Session
	l := Line{
		Time: lineTime(ev.Time), Kind: clip(string(ev.Kind), 64), Reason: clip(string(ev.Reason), 64),
		Subject: clip(s.Subject, 255), Actor: clip(s.Actor, 255), IP: clip(s.IP, 64), Label: clip(s.Label, 64),
		Level: s.Level, Count: ev.Count,
	}
	if !s.ID.IsZero() {
		l.Session = s.ID.String()
	}
	if s.Kind != 0 {
		l.SessionKind = s.Kind.String()
	}
	for _, m := range s.Methods[:min(len(s.Methods), 8)] {
		l.Methods = append(l.Methods, clip(m, 32))
	}
	return l
}
