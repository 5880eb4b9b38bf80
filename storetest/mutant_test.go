package storetest_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/storetest"
)

// mutant is a store with one fault, and the proof that must find it.
type mutant struct {
	caught string
	wrap   func(s counterfoil.Store) counterfoil.Store
}

const asMutant = "COUNTERFOIL_STORETEST_MUTANT"

// TestMutants runs the suite in a process of its own against stores that are wrong in one way.
func TestMutants(t *testing.T) {
	all := mutants()
	if name := os.Getenv(asMutant); name != "" {
		storetest.Run(t, func(t *testing.T) counterfoil.Store { return all[name].wrap(memory.New(memory.Options{})) })
		return
	}
	for name, m := range all {
		t.Run(name, func(t *testing.T) {
			run := "^TestMutants$/^" + strings.ReplaceAll(m.caught, "/", "$/^") + "$"
			cmd := exec.Command(os.Args[0], "-test.run="+run, "-test.timeout=60s")
			cmd.Env = append(os.Environ(), asMutant+"="+name)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "--- FAIL: TestMutants/"+m.caught) {
				t.Fatalf("%s lets it pass: %v\n%s", m.caught, err, out)
			}
		})
	}
}

// TestUnharmed shows that it is not the wrapping that the suite finds.
func TestUnharmed(t *testing.T) {
	storetest.Run(t, func(t *testing.T) counterfoil.Store { return &mutated{Store: memory.New(memory.Options{})} })
}

// mutated is a store in which single methods are replaced.
type mutated struct {
	counterfoil.Store
	create      func(context.Context, *counterfoil.Record, counterfoil.Creation) (counterfoil.Created, error)
	load        func(context.Context, counterfoil.ID) (*counterfoil.Record, error)
	update      func(context.Context, *counterfoil.Record, *counterfoil.Entry) error
	touch       func(context.Context, []counterfoil.Touch) error
	revoke      func(context.Context, counterfoil.Entry) (counterfoil.Revoked, error)
	log         func(context.Context, uint64, int) (counterfoil.Page, error)
	poll        func(context.Context, counterfoil.Poll) (counterfoil.Page, error)
	nodes       func(context.Context) ([]counterfoil.Node, error)
	fence       func(context.Context, string) error
	acknowledge func(context.Context, string, uint64) error
	reap        func(context.Context, counterfoil.Reap) (counterfoil.Reaped, error)
}

func (m *mutated) Create(ctx context.Context, r *counterfoil.Record, c counterfoil.Creation) (counterfoil.Created, error) {
	if m.create != nil {
		return m.create(ctx, r, c)
	}
	return m.Store.Create(ctx, r, c)
}

func (m *mutated) Load(ctx context.Context, id counterfoil.ID) (*counterfoil.Record, error) {
	if m.load != nil {
		return m.load(ctx, id)
	}
	return m.Store.Load(ctx, id)
}

func (m *mutated) Update(ctx context.Context, r *counterfoil.Record, e *counterfoil.Entry) error {
	if m.update != nil {
		return m.update(ctx, r, e)
	}
	return m.Store.Update(ctx, r, e)
}

func (m *mutated) Touch(ctx context.Context, batch []counterfoil.Touch) error {
	if m.touch != nil {
		return m.touch(ctx, batch)
	}
	return m.Store.Touch(ctx, batch)
}

func (m *mutated) Revoke(ctx context.Context, e counterfoil.Entry) (counterfoil.Revoked, error) {
	if m.revoke != nil {
		return m.revoke(ctx, e)
	}
	return m.Store.Revoke(ctx, e)
}

func (m *mutated) Log(ctx context.Context, since uint64, max int) (counterfoil.Page, error) {
	if m.log != nil {
		return m.log(ctx, since, max)
	}
	return m.Store.Log(ctx, since, max)
}

func (m *mutated) Poll(ctx context.Context, p counterfoil.Poll) (counterfoil.Page, error) {
	if m.poll != nil {
		return m.poll(ctx, p)
	}
	return m.Store.Poll(ctx, p)
}

func (m *mutated) Nodes(ctx context.Context) ([]counterfoil.Node, error) {
	if m.nodes != nil {
		return m.nodes(ctx)
	}
	return m.Store.Nodes(ctx)
}

func (m *mutated) Fence(ctx context.Context, node string) error {
	if m.fence != nil {
		return m.fence(ctx, node)
	}
	return m.Store.Fence(ctx, node)
}

func (m *mutated) Acknowledge(ctx context.Context, reader string, seq uint64) error {
	if m.acknowledge != nil {
		return m.acknowledge(ctx, reader, seq)
	}
	return m.Store.Acknowledge(ctx, reader, seq)
}

func (m *mutated) Reap(ctx context.Context, r counterfoil.Reap) (counterfoil.Reaped, error) {
	if m.reap != nil {
		return m.reap(ctx, r)
	}
	return m.Store.Reap(ctx, r)
}

// barrier lets callers wait for each other, so that a race is lost every time.
type barrier struct{ arrived atomic.Int32 }

// meet returns when n callers have come.
func (b *barrier) meet(n int32) {
	b.arrived.Add(1)
	for b.arrived.Load() < n {
		runtime.Gosched()
	}
}

func mutants() map[string]mutant {
	return map[string]mutant{
		"update inserts": {"Update/never-inserts", func(s counterfoil.Store) counterfoil.Store {
			return &mutated{Store: s, update: func(ctx context.Context, r *counterfoil.Record, e *counterfoil.Entry) error {
				err := s.Update(ctx, r, e)
				if errors.Is(err, counterfoil.ErrNotFound) {
					_, err = s.Create(ctx, r, counterfoil.Creation{})
				}
				return err
			}}
		}},
		"update ignores the revision": {"Race/confirm-confirm", func(s counterfoil.Store) counterfoil.Store {
			return &mutated{Store: s, update: func(ctx context.Context, r *counterfoil.Record, e *counterfoil.Entry) error {
				for {
					now, err := s.Load(ctx, r.ID)
					if err != nil {
						return err
					}
					r.Revision = now.Revision
					if err = s.Update(ctx, r, e); !errors.Is(err, counterfoil.ErrConflict) {
						return err
					}
				}
			}}
		}},
		"update without its entry": {"Update/changed", func(s counterfoil.Store) counterfoil.Store {
			return &mutated{Store: s, update: func(ctx context.Context, r *counterfoil.Record, _ *counterfoil.Entry) error {
				return s.Update(ctx, r, nil)
			}}
		}},
		"touch revives": {"Touch/passes-over", func(s counterfoil.Store) counterfoil.Store {
			var known sync.Map
			return &mutated{Store: s,
				create: func(ctx context.Context, r *counterfoil.Record, c counterfoil.Creation) (counterfoil.Created, error) {
					out, err := s.Create(ctx, r, c)
					known.Store(r.ID, r.Clone())
					return out, err
				},
				touch: func(ctx context.Context, batch []counterfoil.Touch) error {
					for _, t := range batch {
						if r, ok := known.Load(t.ID); ok {
							s.Create(ctx, r.(*counterfoil.Record), counterfoil.Creation{})
						}
					}
					return s.Touch(ctx, batch)
				}}
		}},
		"the limit is counted, then the record inserted": {"Limit/parallel", func(s counterfoil.Store) counterfoil.Store { // SD5
			var counted barrier
			return &mutated{Store: s, create: func(ctx context.Context, r *counterfoil.Record, c counterfoil.Creation) (counterfoil.Created, error) {
				var live []counterfoil.ID
				for o := range s.List(ctx, r.Subject) {
					live = append(live, o.ID)
				}
				counted.meet(50)
				for i := c.Limit.Max - 1; i < len(live); i++ {
					s.Revoke(ctx, counterfoil.Entry{Kind: counterfoil.EntryEnded, Session: live[i], Reason: counterfoil.ReasonLimit, Time: c.Entry.Time})
				}
				c.Limit = counterfoil.Limit{}
				return s.Create(ctx, r, c)
			}}
		}},
		"one is evicted, however many are too many": {"Limit/lowered", func(s counterfoil.Store) counterfoil.Store { // SD4
			return &mutated{Store: s, create: func(ctx context.Context, r *counterfoil.Record, c counterfoil.Creation) (counterfoil.Created, error) {
				n := 0
				for range s.List(ctx, r.Subject) {
					n++
				}
				c.Limit.Max = max(c.Limit.Max, n)
				return s.Create(ctx, r, c)
			}}
		}},
		"the expired count": {"Limit/who-counts", func(s counterfoil.Store) counterfoil.Store { // SD9
			return &mutated{Store: s, create: func(ctx context.Context, r *counterfoil.Record, c counterfoil.Creation) (counterfoil.Created, error) {
				c.Limit.Now = time.Time{}
				return s.Create(ctx, r, c)
			}}
		}},
		"an eviction is not in the log": {"Limit/order", func(s counterfoil.Store) counterfoil.Store {
			return &mutated{Store: s, log: func(ctx context.Context, since uint64, max int) (counterfoil.Page, error) {
				p, err := s.Log(ctx, 0, 1<<20)
				kept := p.Entries[:0]
				for _, e := range p.Entries {
					if e.Reason != counterfoil.ReasonLimit {
						e.Seq = uint64(len(kept)) + 1
						kept = append(kept, e)
					}
				}
				p.Head, p.Entries = uint64(len(kept)), kept[min(int(since), len(kept)):]
				return p, err
			}}
		}},
		"ends since the check do not matter": {"Race/password-sign-in", func(s counterfoil.Store) counterfoil.Store {
			return &mutated{Store: s, create: func(ctx context.Context, r *counterfoil.Record, c counterfoil.Creation) (counterfoil.Created, error) {
				c.Since = 0
				return s.Create(ctx, r, c)
			}}
		}},
		"a repeated create is another one": {"Create/again", func(s counterfoil.Store) counterfoil.Store {
			return &mutated{Store: s, create: func(ctx context.Context, r *counterfoil.Record, c counterfoil.Creation) (counterfoil.Created, error) {
				c.Entry.Op = counterfoil.OpID{}
				return s.Create(ctx, r, c)
			}}
		}},
		"a repeated revoke is another one": {"Revoke/again", func(s counterfoil.Store) counterfoil.Store {
			return &mutated{Store: s, revoke: func(ctx context.Context, e counterfoil.Entry) (counterfoil.Revoked, error) {
				e.Op = counterfoil.OpID{}
				return s.Revoke(ctx, e)
			}}
		}},
		"load returns shared memory": {"Load/own", func(s counterfoil.Store) counterfoil.Store {
			var kept sync.Map
			return &mutated{Store: s, load: func(ctx context.Context, id counterfoil.ID) (*counterfoil.Record, error) {
				r, err := s.Load(ctx, id)
				if err != nil {
					return nil, err
				}
				shared, _ := kept.LoadOrStore(id, r)
				return shared.(*counterfoil.Record), nil
			}}
		}},
		"load makes nil of empty": {"Create/bytes", func(s counterfoil.Store) counterfoil.Store {
			return &mutated{Store: s, load: func(ctx context.Context, id counterfoil.ID) (*counterfoil.Record, error) {
				r, err := s.Load(ctx, id)
				if err == nil && len(r.Values) == 0 {
					r.Values = nil
				}
				return r, err
			}}
		}},
		"load serves what it once found": {"Load/not-found", func(s counterfoil.Store) counterfoil.Store {
			var kept sync.Map
			return &mutated{Store: s, load: func(ctx context.Context, id counterfoil.ID) (*counterfoil.Record, error) {
				if r, ok := kept.Load(id); ok {
					return r.(*counterfoil.Record).Clone(), nil
				}
				r, err := s.Load(ctx, id)
				if err == nil {
					kept.Store(id, r.Clone())
				}
				return r, err
			}}
		}},
		"an end is in the log before it is in force": {"Race/cache-fill", func(s counterfoil.Store) counterfoil.Store {
			var late sync.Map
			var loads atomic.Int32
			return &mutated{Store: s,
				create: func(ctx context.Context, r *counterfoil.Record, c counterfoil.Creation) (counterfoil.Created, error) {
					out, err := s.Create(ctx, r, c)
					late.Store(r.ID, r.Clone())
					return out, err
				},
				load: func(ctx context.Context, id counterfoil.ID) (*counterfoil.Record, error) {
					defer loads.Add(1)
					if r, ok := late.Load(id); ok {
						return r.(*counterfoil.Record).Clone(), nil
					}
					return s.Load(ctx, id)
				},
				revoke: func(ctx context.Context, e counterfoil.Entry) (counterfoil.Revoked, error) {
					out, err := s.Revoke(ctx, e)
					before := loads.Load()
					for i := 0; i < 10_000 && loads.Load() < before+2; i++ {
						runtime.Gosched()
					}
					late.Clear()
					return out, err
				}}
		}},
		"revoke leaves descendants": {"Revoke/descendants", func(s counterfoil.Store) counterfoil.Store {
			return &mutated{Store: s, revoke: func(ctx context.Context, e counterfoil.Entry) (counterfoil.Revoked, error) {
				all, _ := s.Scan(ctx, counterfoil.ID{}, 1<<20)
				out, err := s.Revoke(ctx, e)
				for _, r := range all {
					if _, err := s.Load(ctx, r.ID); err != nil && r.ID != e.Session {
						r.Parent = counterfoil.ID{}
						s.Create(ctx, r, counterfoil.Creation{})
					}
				}
				return out, err
			}}
		}},
		"revoke returns before anything is done": {"Revoke/session", func(s counterfoil.Store) counterfoil.Store {
			return &mutated{Store: s, revoke: func(ctx context.Context, e counterfoil.Entry) (counterfoil.Revoked, error) {
				return counterfoil.Revoked{Seq: 3, Ended: []counterfoil.ID{e.Session}, Count: 1}, nil
			}}
		}},
		"an entry appears below the head": {"Log/never-below-head", func(s counterfoil.Store) counterfoil.Store {
			var asked sync.Map
			return &mutated{Store: s, log: func(ctx context.Context, since uint64, max int) (counterfoil.Page, error) {
				p, err := s.Log(ctx, since, max)
				if n := len(p.Entries); n > 0 {
					if _, again := asked.LoadOrStore(p.Entries[n-1].Seq, true); !again {
						p.Entries = p.Entries[:n-1] // not yet visible
					}
				}
				return p, err
			}}
		}},
		"the log is trimmed past its readers": {"Reap/log", func(s counterfoil.Store) counterfoil.Store {
			return &mutated{Store: s, acknowledge: func(ctx context.Context, reader string, seq uint64) error {
				return s.Acknowledge(ctx, reader, seq+1<<20)
			}}
		}},
		"an acknowledgement goes back": {"Poll/registers", func(s counterfoil.Store) counterfoil.Store { // R17
			var last sync.Map
			return &mutated{Store: s,
				poll: func(ctx context.Context, p counterfoil.Poll) (counterfoil.Page, error) {
					last.Store(p.Node, p.Acked)
					return s.Poll(ctx, p)
				},
				nodes: func(ctx context.Context) ([]counterfoil.Node, error) {
					all, err := s.Nodes(ctx)
					for i := range all {
						acked, _ := last.Load(all[i].Name)
						all[i].Acked = acked.(uint64)
					}
					return all, err
				}}
		}},
		"a poll that finds a gap is no beat": {"Poll/registers", func(s counterfoil.Store) counterfoil.Store { // R17
			return &mutated{Store: s, poll: func(ctx context.Context, p counterfoil.Poll) (counterfoil.Page, error) {
				if page, err := s.Log(ctx, p.Since, p.Max); err != nil {
					return page, err
				}
				return s.Poll(ctx, p)
			}}
		}},
		"a fenced node is listed no more": {"Fence/shut-out", func(s counterfoil.Store) counterfoil.Store { // R17
			return &mutated{Store: s, nodes: func(ctx context.Context) ([]counterfoil.Node, error) {
				all, err := s.Nodes(ctx)
				return slices.DeleteFunc(all, func(n counterfoil.Node) bool { return n.Fenced }), err
			}}
		}},
		"a fenced node is fenced once": {"Fence/shut-out", func(s counterfoil.Store) counterfoil.Store { // R17
			var told sync.Map
			return &mutated{Store: s, poll: func(ctx context.Context, p counterfoil.Poll) (counterfoil.Page, error) {
				page, err := s.Poll(ctx, p)
				if errors.Is(err, counterfoil.ErrFenced) {
					if _, again := told.LoadOrStore(p.Node, true); again {
						return s.Log(ctx, p.Since, p.Max)
					}
				}
				return page, err
			}}
		}},
		"a fence falls later": {"Fence/while-it-polls", func(s counterfoil.Store) counterfoil.Store { // R17
			var late sync.Map
			return &mutated{Store: s,
				fence: func(_ context.Context, node string) error { late.Store(node, new(atomic.Int32)); return nil },
				poll: func(ctx context.Context, p counterfoil.Poll) (counterfoil.Page, error) {
					if n, ok := late.Load(p.Node); ok && n.(*atomic.Int32).Add(1) == 10 {
						s.Fence(ctx, p.Node)
					}
					return s.Poll(ctx, p)
				}}
		}},
		"two reapers count one removal": {"Reap/at-once", func(s counterfoil.Store) counterfoil.Store {
			var counted, reaped barrier
			left := func(ctx context.Context) int {
				all, _ := s.Scan(ctx, counterfoil.ID{}, 1<<20)
				return len(all)
			}
			return &mutated{Store: s, reap: func(ctx context.Context, r counterfoil.Reap) (counterfoil.Reaped, error) {
				before := left(ctx)
				counted.meet(4)
				out, err := s.Reap(ctx, r)
				reaped.meet(4)
				out.Records = before - left(ctx)
				return out, err
			}}
		}},
	}
}
