package transfer_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/transfer"
	"github.com/counterfoil/counterfoil/sessiontest"
)

func (p *place) job(from, to transfer.Side) transfer.CopyJob {
	return transfer.CopyJob{From: from, To: to, Clock: impatient{p.clock}, Silence: 10 * time.Second}
}

// impatient is a clock on which what is waited for comes at once.
type impatient struct{ *sessiontest.Clock }

func (c impatient) AfterFunc(d time.Duration, f func()) (stop func() bool) {
	c.Advance(d)
	f()
	return func() bool { return false }
}

// Everything travels between any two kinds of store, sealed as it is, and back again; who was signed in
// is signed in, who was signed out is not.
func TestCopy(t *testing.T) {
	server := newServer(t)
	kinds := map[string]func(*testing.T) transfer.Side{"memory": inMemory, "sqlite": inSQLite, "postgres": inPostgres(server), "redis": inRedis(t), "folder": inFolder, "s3": inS3(t)}
	for from, openFrom := range kinds {
		for to, openTo := range kinds {
			if from == "s3" && to != "sqlite" || to == "s3" && from != "sqlite" {
				continue // it is the folder's store in another place
			}
			t.Run(from+" to "+to, func(t *testing.T) {
				p := newPlace(t)
				source, target := openFrom(t), openTo(t)
				m, closed := p.manager(source.Sessions)
				furnish(t, source)
				in := []visitor{p.signIn(m, "alice", 1), p.signIn(m, "alice", 1), p.signIn(m, "bob", 2)}
				child := p.child(source.Sessions, in[0].id)
				out := p.signIn(m, "bob", 2)
				_, err := m.Revoke(t.Context(), counterfoil.ByID(out.id), counterfoil.ReasonRevoked)
				must(t, err)
				p.clock.Advance(2 * time.Minute)
				p.expect(m, "before", true, in...)
				closed()
				done, err := transfer.Copy(t.Context(), p.job(source, target))
				must(t, err)
				if want := (transfer.Copied{Sessions: 4, Accounts: 2}); done != want {
					t.Errorf("copied %+v, want %+v", done, want)
				}
				sameHoldings(t, "after", target, source)
				if _, err := target.Sessions.Load(t.Context(), child); err != nil {
					t.Errorf("the session that hangs on another: %v", err)
				}
				m, closed = p.manager(target.Sessions)
				p.expect(m, "after", true, in...)
				p.expect(m, "ended before", false, out)
				_, err = m.Revoke(t.Context(), counterfoil.AllOf("alice"), counterfoil.ReasonRevoked)
				must(t, err)
				p.expect(m, "ended after", false, in[0], in[1])
				if _, err := target.Sessions.Load(t.Context(), child); !errors.Is(err, counterfoil.ErrNotFound) {
					t.Errorf("the session that hung on an ended one: %v", err)
				}
				closed()
				if err := transfer.Usable(t.Context(), source.Sessions); !errors.Is(err, transfer.ErrMoved) || !strings.Contains(err.Error(), target.Name) {
					t.Errorf("the old store: %v", err)
				}
				must(t, transfer.Usable(t.Context(), target.Sessions))
				if _, err := transfer.Copy(t.Context(), p.job(source, target)); !errors.Is(err, transfer.ErrMoved) {
					t.Errorf("once more: %v", err)
				}
			})
		}
	}
}

// child makes a session that hangs on another, with an ID that comes before all others.
func (p *place) child(s counterfoil.Store, parent counterfoil.ID) counterfoil.ID {
	p.t.Helper()
	r, err := s.Load(context.Background(), parent)
	must(p.t, err)
	r.ID, r.Parent, r.Root = counterfoil.ID{1}, parent, parent
	_, err = s.Create(context.Background(), r, counterfoil.Creation{Entry: counterfoil.Entry{Kind: counterfoil.EntryCreated, Time: start}})
	must(p.t, err)
	return r.ID
}

// Killed after any call of either store, a copy goes on when it is asked for again and comes to the
// same end; in between nothing may serve on either store.
func TestCopyIsResumed(t *testing.T) {
	for _, pair := range [][2]string{{"memory", "memory"}, {"memory", "folder"}, {"folder", "memory"}} {
		t.Run(pair[0]+" to "+pair[1], func(t *testing.T) {
			t.Parallel()
			copyIsResumed(t, reopening(pair[0]), reopening(pair[1]))
		})
	}
}

func copyIsResumed(t *testing.T, from, to func(*testing.T) func() transfer.Side) {
	errKilled := errors.New("killed")
	for calls := int64(1); ; calls++ {
		p := newPlace(t)
		openSource, openTarget := from(t), to(t)
		source, target := openSource(), openTarget()
		source.Name, target.Name = "old", "new"
		m, closed := p.manager(source.Sessions)
		furnish(t, source)
		in := []visitor{p.signIn(m, "alice", 1), p.signIn(m, "bob", 2)}
		p.child(source.Sessions, in[0].id)
		closed()
		var n atomic.Int64
		fault := func(string) error {
			if n.Add(1) > calls {
				return errKilled
			}
			return nil
		}
		dying := p.job(source, target)
		dying.From.Sessions, dying.To.Sessions = sessiontest.Flaky(source.Sessions, fault), sessiontest.Flaky(target.Sessions, fault)
		_, err := transfer.Copy(t.Context(), dying)
		if err == nil {
			if calls < 40 {
				t.Errorf("a copy asks the stores %d times only: the test kills nothing", calls)
			}
			return
		}
		source, target = openSource(), openTarget() // another process
		source.Name, target.Name = "old", "new"
		usable := transfer.Usable(t.Context(), source.Sessions) == nil
		if there, _ := target.Sessions.Meta(t.Context(), counterfoil.MetaStoreID); there != nil && usable {
			t.Fatalf("killed after %d calls: the old store may serve, and the new one has its identity", calls)
		}
		records, err := target.Sessions.Scan(t.Context(), counterfoil.ID{}, 9)
		must(t, err)
		if err := transfer.Usable(t.Context(), target.Sessions); err == nil && len(records) > 0 && (len(records) < 3 || usable) {
			t.Fatalf("killed after %d calls: the new store may serve with %d of 3 sessions; the old one: %v", calls, len(records), usable)
		}
		_, err = transfer.Copy(t.Context(), p.job(source, target))
		if err != nil && !(errors.Is(err, transfer.ErrMoved) && transfer.Usable(t.Context(), target.Sessions) == nil) {
			t.Fatalf("killed after %d calls, again: %v", calls, err)
		}
		sameHoldings(t, fmt.Sprintf("killed after %d calls and run again", calls), target, source)
		m, closed = p.manager(target.Sessions)
		p.expect(m, "after", true, in...)
		closed()
	}
}

// intruder changes a store while it is copied.
type intruder struct {
	counterfoil.Store
	scans int
	do    func(scan int)
}

func (s *intruder) Scan(ctx context.Context, after counterfoil.ID, max int) ([]*counterfoil.Record, error) {
	page, err := s.Store.Scan(ctx, after, max)
	s.scans++
	s.do(s.scans) // when the page is read and not yet copied
	return page, err
}

// What ends in the old store while it is copied is not in the new one; what changes has changed there.
func TestCopyOfAMovingStore(t *testing.T) {
	for _, target := range []transfer.Side{inMemory(t), inSQLite(t)} {
		p := newPlace(t)
		source := inMemory(t)
		m, _ := p.manager(source.Sessions)
		stays, one, all := p.signIn(m, "alice", 1), p.signIn(m, "alice", 1), p.signIn(m, "bob", 1)
		var late visitor
		job := p.job(source, target)
		job.From.Sessions = &intruder{Store: source.Sessions, do: func(scan int) {
			switch scan {
			case 2: // the first is a look whether there is anything
				_, err := m.Revoke(t.Context(), counterfoil.ByID(one.id), counterfoil.ReasonRevoked)
				must(t, err)
				p.clock.Advance(3 * time.Minute)
				p.expect(m, "meanwhile", true, stays)
				p.clock.Advance(2 * time.Second) // when touches are written
			case 3:
				_, err := m.Revoke(t.Context(), counterfoil.AllOf("bob"), counterfoil.ReasonRevoked)
				must(t, err)
				late = p.signIn(m, "bob", 1)
			}
		}}
		done, err := transfer.Copy(t.Context(), job)
		must(t, err)
		if done.Sessions != 2 || done.Ended != 2 {
			t.Errorf("%+v, want 2 sessions and 2 ended meanwhile", done)
		}
		n, closed := p.manager(target.Sessions)
		p.expect(n, "ended meanwhile", false, one, all)
		p.expect(n, "alive", true, stays, late)
		closed()
		sameHoldings(t, "after", target, source)
	}
}

// A store on which sessions never stop to begin is not copied.
func TestCopyOfABusyStore(t *testing.T) {
	p := newPlace(t)
	source, target := inMemory(t), inMemory(t)
	m, _ := p.manager(source.Sessions)
	p.signIn(m, "alice", 1)
	job := p.job(source, target)
	job.From.Sessions = &intruder{Store: source.Sessions, do: func(int) { p.signIn(m, "alice", 1) }}
	if _, err := transfer.Copy(t.Context(), job); !errors.Is(err, transfer.ErrBusy) {
		t.Fatalf("%v, want ErrBusy", err)
	}
	must(t, transfer.Undo(t.Context(), source))
	must(t, transfer.Usable(t.Context(), source.Sessions))
	if err := transfer.Undo(t.Context(), source); err == nil {
		t.Error("undone twice")
	}
	if _, err := transfer.Copy(t.Context(), p.job(source, target)); err == nil || !errors.Is(err, transfer.ErrUnfinished) {
		t.Errorf("another copy into the rest of the first: %v", err)
	}
}

// noded has nodes that beat or do not.
type noded struct {
	counterfoil.Store
	nodes func() []counterfoil.Node
}

func (s noded) Capabilities() counterfoil.Capabilities { return counterfoil.Capabilities{Shared: true} }

func (s noded) Nodes(context.Context) ([]counterfoil.Node, error) { return s.nodes(), nil }

// A copy begins only where nobody works: a node that beats is named, one that was killed is waited out.
func TestCopyWaitsForSilence(t *testing.T) {
	for name, c := range map[string]struct {
		beats bool
		joins bool
	}{"killed": {false, false}, "working": {true, false}, "joining": {false, true}} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			source, target := inMemory(t), inMemory(t)
			m, closed := p.manager(source.Sessions)
			p.signIn(m, "alice", 1)
			closed()
			asked := 0
			job := p.job(source, target)
			job.From.Sessions = noded{source.Sessions, func() []counterfoil.Node {
				asked++
				nodes := []counterfoil.Node{{Name: "n1", Beat: 7}}
				if asked > 1 && c.beats {
					nodes[0].Beat++
				}
				if asked > 1 && c.joins {
					nodes = append(nodes, counterfoil.Node{Name: "n2", Beat: 1})
				}
				return nodes
			}}
			_, err := transfer.Copy(t.Context(), job)
			if !c.beats && !c.joins {
				must(t, err)
				return
			}
			if !errors.Is(err, transfer.ErrBusy) || !strings.Contains(err.Error(), "n") {
				t.Errorf("%v, want ErrBusy", err)
			}
			must(t, transfer.Usable(t.Context(), source.Sessions))
			must(t, transfer.Usable(t.Context(), target.Sessions))
		})
	}
}

// What would lose something is refused, and leaves both stores as they were.
func TestCopyRefuses(t *testing.T) {
	full := func(t *testing.T, p *place) transfer.Side {
		s := inMemory(t)
		m, closed := p.manager(s.Sessions)
		p.signIn(m, "alice", 1)
		closed()
		return s
	}
	for name, c := range map[string]struct {
		make func(*testing.T, *place) (from, to transfer.Side)
		says string
	}{
		"a target with sessions": {func(t *testing.T, p *place) (_, _ transfer.Side) { return full(t, p), full(t, p) }, "is not empty"},
		"a target with accounts": {func(t *testing.T, p *place) (_, _ transfer.Side) {
			to := inMemory(t)
			furnish(t, to)
			return full(t, p), to
		}, "is not empty"},
		"an empty source": {func(t *testing.T, p *place) (_, _ transfer.Side) { return inMemory(t), inMemory(t) }, "nothing to copy"},
		"onto itself": {func(t *testing.T, p *place) (_, _ transfer.Side) {
			s := full(t, p)
			return s, s
		}, "is not empty"},
		"changes that no audit has": {func(t *testing.T, p *place) (_, _ transfer.Side) {
			s := full(t, p)
			must(t, s.Sessions.Acknowledge(t.Context(), "audit", 0))
			return s, inMemory(t)
		}, "not in the audit"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			from, to := c.make(t, p)
			if _, err := transfer.Copy(t.Context(), p.job(from, to)); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %q", err, c.says)
			}
			for _, s := range []transfer.Side{from, to} {
				must(t, transfer.Usable(t.Context(), s.Sessions))
			}
		})
	}
}
