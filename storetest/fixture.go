package storetest

import (
	"context"
	"crypto/rand"
	"errors"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
)

// fixture is a test's store and what tests do with it.
type fixture struct {
	*testing.T
	options
	ctx context.Context
	s   counterfoil.Store
}

func newFixture(t *testing.T, s counterfoil.Store, o options) *fixture {
	f := &fixture{T: t, options: o, ctx: t.Context(), s: s}
	t.Cleanup(func() { f.s.Close() })
	return f
}

// start is the time of every test; stores have no clock of their own in the contract.
func start() time.Time { return time.UnixMilli(1_800_000_000_123).UTC() }

func random16() (b [16]byte) {
	rand.Read(b[:])
	return b
}

func newOp() counterfoil.OpID             { return random16() }
func newSubject() counterfoil.SubjectHash { return random16() }

// record returns a browser session of subject that begins at start.
func record(subject counterfoil.SubjectHash, change ...func(*counterfoil.Record)) *counterfoil.Record {
	r := &counterfoil.Record{
		Version: counterfoil.RecordVersion, ID: random16(), Kind: counterfoil.KindBrowser, Subject: subject,
		Created: start(), Seen: start(), IdleEnd: start().Add(time.Hour), AbsoluteEnd: start().Add(8 * time.Hour),
		IdentityKey: 1, VerifierKey: 1, SelectorKey: 1, IdentityCount: 1, Identity: []byte("sealed identity"),
	}
	for _, c := range change {
		c(r)
	}
	return r
}

// childOf makes a record hang on p.
func childOf(p *counterfoil.Record) func(*counterfoil.Record) {
	return func(r *counterfoil.Record) {
		r.Parent, r.Root = p.ID, p.Root
		if p.Root.IsZero() {
			r.Root = p.ID
		}
	}
}

// creation returns what goes with a plain sign-in.
func creation(change ...func(*counterfoil.Creation)) counterfoil.Creation {
	c := counterfoil.Creation{Entry: counterfoil.Entry{
		Kind: counterfoil.EntryCreated, Op: newOp(), Reason: counterfoil.ReasonSignIn, Time: start(),
	}}
	for _, f := range change {
		f(&c)
	}
	return c
}

// since says that the credential was checked after the log's head was read.
func since(head uint64) func(*counterfoil.Creation) {
	return func(c *counterfoil.Creation) { c.Since = head + 1 }
}

func limit(max int, order counterfoil.Overflow) func(*counterfoil.Creation) {
	return func(c *counterfoil.Creation) {
		c.Limit = counterfoil.Limit{Max: max, Order: order, Now: start()}
	}
}

func replaces(ids ...counterfoil.ID) func(*counterfoil.Creation) {
	return func(c *counterfoil.Creation) { c.Replaces = ids }
}

// ended returns the entry that ends one session; endedSubject and endedAll end more.
func ended(id counterfoil.ID) counterfoil.Entry {
	return counterfoil.Entry{Kind: counterfoil.EntryEnded, Op: newOp(), Session: id, Reason: counterfoil.ReasonSignOut, Time: start()}
}

func endedSubject(s counterfoil.SubjectHash) counterfoil.Entry {
	return counterfoil.Entry{Kind: counterfoil.EntryEndedSubject, Op: newOp(), Subject: s, Reason: counterfoil.ReasonRevoked, Time: start()}
}

func endedAll() counterfoil.Entry {
	return counterfoil.Entry{Kind: counterfoil.EntryEndedAll, Op: newOp(), Reason: counterfoil.ReasonRevoked, Time: start()}
}

func changedEntry() *counterfoil.Entry {
	return &counterfoil.Entry{Kind: counterfoil.EntryChanged, Op: newOp(), Reason: counterfoil.ReasonRotated, Time: start()}
}

// create must succeed.
func (f *fixture) create(r *counterfoil.Record, change ...func(*counterfoil.Creation)) counterfoil.Created {
	f.Helper()
	c, err := f.s.Create(f.ctx, r, creation(change...))
	f.ok(err)
	return c
}

// signIn creates a plain session.
func (f *fixture) signIn(subject counterfoil.SubjectHash, change ...func(*counterfoil.Record)) *counterfoil.Record {
	f.Helper()
	r := record(subject, change...)
	f.create(r)
	return r
}

func (f *fixture) load(id counterfoil.ID) *counterfoil.Record {
	f.Helper()
	r, err := f.s.Load(f.ctx, id)
	f.ok(err)
	return r
}

// lives and gone say what Load must find.
func (f *fixture) lives(rs ...*counterfoil.Record) {
	f.Helper()
	for i, r := range rs {
		if _, err := f.s.Load(f.ctx, r.ID); err != nil {
			f.Fatalf("record %d of %d: %v; it must live", i, len(rs), err)
		}
	}
}

func (f *fixture) gone(rs ...*counterfoil.Record) {
	f.Helper()
	for i, r := range rs {
		if _, err := f.s.Load(f.ctx, r.ID); !errors.Is(err, counterfoil.ErrNotFound) {
			f.Fatalf("record %d of %d: Load says %v, not ErrNotFound", i, len(rs), err)
		}
	}
}

func (f *fixture) revoke(e counterfoil.Entry) counterfoil.Revoked {
	f.Helper()
	rv, err := f.s.Revoke(f.ctx, e)
	f.ok(err)
	return rv
}

func (f *fixture) head() uint64 {
	f.Helper()
	p, err := f.s.Log(f.ctx, 0, 0)
	f.ok(err)
	return p.Head
}

// after returns all entries after since and checks that they are dense, and that each names the
// request that wrote it exactly if the store says that its requests have IDs. These it leaves out.
func (f *fixture) after(since uint64) []counterfoil.Entry {
	f.Helper()
	var all []counterfoil.Entry
	for {
		p, err := f.s.Log(f.ctx, since, 100)
		f.ok(err)
		for i, e := range p.Entries {
			if e.Seq != since+1 {
				f.Fatalf("entry %d follows %d", e.Seq, since)
			}
			since = e.Seq
			if id, begin := e.Request.String(), f.s.Capabilities().Requests; (id == "") != (begin == "") {
				f.Fatalf("entry %d was written by request %q, and this store's begin with %q", e.Seq, id, begin)
			}
			p.Entries[i].Request = counterfoil.RequestID{}
		}
		all = append(all, p.Entries...)
		if since >= p.Head {
			return all
		}
		if len(p.Entries) == 0 {
			f.Fatalf("no entries after %d, but the head is %d", since, p.Head)
		}
	}
}

// reapAll reaps until nothing is left to do.
func (f *fixture) reapAll(r counterfoil.Reap) (sum counterfoil.Reaped) {
	f.Helper()
	for {
		out, err := f.s.Reap(f.ctx, r)
		f.ok(err)
		sum.Records += out.Records
		sum.Entries += out.Entries
		if !out.More {
			return sum
		}
	}
}

func (f *fixture) ok(err error) {
	f.Helper()
	if err != nil {
		f.Fatalf("unexpected error: %v", err)
	}
}

func (f *fixture) is(err, want error) {
	f.Helper()
	if !errors.Is(err, want) {
		f.Fatalf("error is %v; want %v", err, want)
	}
}

func (f *fixture) same(what string, got, want any) {
	f.Helper()
	if !reflect.DeepEqual(got, want) {
		f.Fatalf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

func (f *fixture) sameIDs(what string, got []counterfoil.ID, want ...*counterfoil.Record) {
	f.Helper()
	ids := make([]counterfoil.ID, len(want))
	for i, r := range want {
		ids[i] = r.ID
	}
	cmp := func(a, b counterfoil.ID) int { return slices.Compare(a[:], b[:]) }
	got = slices.Clone(got)
	slices.SortFunc(ids, cmp)
	slices.SortFunc(got, cmp)
	if !slices.Equal(got, ids) {
		f.Fatalf("%s:\n got %v\nwant %v", what, got, ids)
	}
}

// list returns what List yields, which must be without an error and without doubles.
func (f *fixture) list(subject counterfoil.SubjectHash) []counterfoil.ID {
	f.Helper()
	var ids []counterfoil.ID
	for r, err := range f.s.List(f.ctx, subject) {
		f.ok(err)
		if slices.Contains(ids, r.ID) {
			f.Fatalf("%v is listed twice", r.ID)
		}
		ids = append(ids, r.ID)
	}
	return ids
}

// together runs n calls at once and waits for them.
func together(n int, call func(i int)) {
	var wg sync.WaitGroup
	gate := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-gate
			call(i)
		})
	}
	close(gate)
	wg.Wait()
}

// outline is what an entry must say beside its position.
func outline(es []counterfoil.Entry) []string {
	out := make([]string, len(es))
	for i, e := range es {
		name := map[counterfoil.EntryKind]string{
			counterfoil.EntryCreated: "created", counterfoil.EntryChanged: "changed", counterfoil.EntryEnded: "ended",
			counterfoil.EntryEndedSubject: "ended-subject", counterfoil.EntryEndedAll: "ended-all",
		}[e.Kind]
		out[i] = name + " " + string(e.Reason)
		if !e.Session.IsZero() {
			out[i] += " " + e.Session.String()
		}
	}
	return out
}

// line is one outline, as expected.
func line(kindAndReason string, r *counterfoil.Record) string {
	return kindAndReason + " " + r.ID.String()
}
