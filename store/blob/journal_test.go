package blob

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/account"
)

// hasty is a clock whose time is set by hand and which waits for nothing.
type hasty struct {
	now   atomic.Int64 // ns since begin, by both clocks
	mu    sync.Mutex
	waits []time.Duration
}

func (c *hasty) Now() (time.Time, time.Duration) {
	d := time.Duration(c.now.Load())
	return begin.Add(d), d
}

func (c *hasty) AfterFunc(d time.Duration, f func()) func() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waits = append(c.waits, d)
	go f()
	return func() bool { return false }
}

// faulty is a bucket between whose requests and answers things get lost.
type faulty struct {
	bucket
	before, after func(verb string) error // asked before the request and after it took effect
}

func (f faulty) around(verb string, do func() error) error {
	if err := f.before(verb); err != nil {
		return err
	}
	err := do()
	if lost := f.after(verb); lost != nil {
		return lost
	}
	return err
}

func (f faulty) get(ctx context.Context, name string) (data []byte, err error) {
	err = f.around("get", func() error {
		data, err = f.bucket.get(ctx, name)
		return err
	})
	return data, err
}

func (f faulty) create(ctx context.Context, name string, data []byte) error {
	return f.around("create", func() error { return f.bucket.create(ctx, name, data) })
}

func (f faulty) remove(ctx context.Context, name string) error {
	return f.around("remove", func() error { return f.bucket.remove(ctx, name) })
}

func (f faulty) list(ctx context.Context, prefix, after string, do func(object) error) error {
	return f.around("list", func() error { return f.bucket.list(ctx, prefix, after, do) })
}

func never(string) error { return nil }

var errLost = temporary{errors.New("the connection is lost")}

func folder(t *testing.T) *files {
	t.Helper()
	f, err := openFiles(filepath.Join(t.TempDir(), "store"), begin)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func openOn(t *testing.T, b bucket, clock counterfoil.Clock) *Store {
	t.Helper()
	s, err := open(t.Context(), b, clock)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func random16() (b [16]byte) {
	rand.Read(b[:])
	return b
}

func aRecord(subject counterfoil.SubjectHash) *counterfoil.Record {
	return &counterfoil.Record{
		Version: counterfoil.RecordVersion, ID: random16(), Kind: counterfoil.KindBrowser, Subject: subject,
		Created: begin, Seen: begin, IdleEnd: begin.Add(time.Hour), AbsoluteEnd: begin.Add(8 * time.Hour), Identity: []byte("sealed"),
	}
}

func aSignIn() counterfoil.Creation {
	return counterfoil.Creation{Entry: counterfoil.Entry{
		Kind: counterfoil.EntryCreated, Op: random16(), Reason: counterfoil.ReasonSignIn, Time: begin,
	}}
}

func anEnd(id counterfoil.ID) counterfoil.Entry {
	return counterfoil.Entry{Kind: counterfoil.EntryEnded, Op: random16(), Session: id, Reason: counterfoil.ReasonSignOut, Time: begin}
}

func (s *Store) mustSignIn(t *testing.T) *counterfoil.Record {
	t.Helper()
	r := aRecord(random16())
	if _, err := s.Create(t.Context(), r, aSignIn()); err != nil {
		t.Fatal(err)
	}
	return r
}

// Two nodes work while a third of all requests and of all answers is lost. Whatever was acknowledged
// happened, what says "unknown" happened once or not at all and may be asked again, and nothing
// happened twice. P29, PD9
func TestLostAnswers(t *testing.T) {
	on := folder(t)
	var broken atomic.Bool
	lose := func(string) error {
		if broken.Load() && mathrand.IntN(3) == 0 {
			return errLost
		}
		return nil
	}
	nodes := [2]*Store{}
	for i := range nodes {
		nodes[i] = openOn(t, faulty{on, lose, lose}, &hasty{})
	}
	broken.Store(true)
	const workers, each = 8, 25
	var unknown atomic.Int32
	last := make([][]*counterfoil.Record, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			// A lost answer is asked for again, at the other node, until there is one.
			sure := func(do func(*Store) error) {
				for i := w; ; i++ {
					err := do(nodes[i%2])
					if err == nil {
						return
					}
					if !errors.Is(err, errLost) && !errors.Is(err, context.DeadlineExceeded) { // so it may be on a slow disk
						t.Error(err)
						return
					}
					unknown.Add(1)
				}
			}
			for i := range each {
				r, c := aRecord(random16()), aSignIn()
				sure(func(s *Store) error { _, err := s.Create(t.Context(), r, c); return err })
				changed := counterfoil.Entry{Kind: counterfoil.EntryChanged, Op: random16(), Reason: counterfoil.ReasonRotated, Time: begin}
				sure(func(s *Store) error { return s.Update(t.Context(), r, &changed) })
				if i%2 == 0 {
					e := anEnd(r.ID)
					sure(func(s *Store) error { _, err := s.Revoke(t.Context(), e); return err })
				} else {
					last[w] = append(last[w], r)
				}
			}
		})
	}
	wg.Wait()
	broken.Store(false)
	if unknown.Load() == 0 {
		t.Fatal("no call was ever left without an answer")
	}
	fresh := openOn(t, on, &hasty{})
	for _, s := range append(nodes[:], fresh) {
		p, err := s.Log(t.Context(), 0, 10_000)
		if want := workers * (each*2 + (each+1)/2); err != nil || len(p.Entries) != want {
			t.Fatalf("%d entries, want %d, %v", len(p.Entries), want, err)
		}
		for _, rs := range last {
			for _, r := range rs {
				if got, err := s.Load(t.Context(), r.ID); err != nil || got.Revision != 2 {
					t.Fatalf("a live session: %+v, %v", got, err)
				}
			}
		}
	}
}

// A storage that stays away is asked a few times, each after a longer pause, and then the call says
// "unknown" rather than something; what is wrong for good is not asked again. P29
func TestRetriesAreBounded(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault error
		want  int
	}{
		{"temporary", errLost, tries},
		{"for good", errors.New("forbidden"), 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var away atomic.Bool
			var asked atomic.Int32
			clock := &hasty{}
			s := openOn(t, faulty{folder(t), func(string) error {
				if !away.Load() {
					return nil
				}
				asked.Add(1)
				return c.fault
			}, never}, clock)
			away.Store(true)
			if _, err := s.Create(t.Context(), aRecord(random16()), aSignIn()); !errors.Is(err, c.fault) {
				t.Fatalf("Create says %v", err)
			}
			if n := asked.Load(); n != int32(c.want) {
				t.Errorf("the storage was asked %d times, want %d", n, c.want)
			}
			for i, d := range clock.waits {
				if most := firstWait << i; d > most || d < most/10 {
					t.Errorf("pause %d took %v, at most %v", i, d, most)
				}
			}
			away.Store(false)
			s.mustSignIn(t)
		})
	}
}

// A node that slept while the journal was cut behind its back begins anew from the snapshot: it
// neither takes a removed object for a free place nor a stale session for a live one. G2
func TestNodeThatSlept(t *testing.T) {
	on, clock := folder(t), &hasty{}
	sleeper, worker := openOn(t, on, clock), openOn(t, on, &hasty{})
	r := worker.mustSignIn(t)
	if _, err := sleeper.Load(t.Context(), r.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := worker.Revoke(t.Context(), anEnd(r.ID)); err != nil {
		t.Fatal(err)
	}
	for range 3 * snapshotAfter {
		worker.mustSignIn(t)
	}
	worker.settle(t)
	cut(t, on)
	if _, err := on.get(t.Context(), numbered(journalDir, 2)); !errors.Is(err, errAbsent) {
		t.Fatalf("the journal was not cut: %v", err)
	}
	clock.now.Store(int64(maxBehind + time.Second))
	if _, err := sleeper.Load(t.Context(), r.ID); !errors.Is(err, counterfoil.ErrNotFound) {
		t.Errorf("a session that was ended while the node slept: %v", err)
	}
	mine := sleeper.mustSignIn(t)
	if _, err := worker.Load(t.Context(), mine.ID); err != nil {
		t.Errorf("a session that the node made afterwards, at the other node: %v", err)
	}
	if err := worker.Close(); err != nil {
		t.Fatal(err)
	}
	again := openOn(t, on, &hasty{})
	if p, err := again.Log(t.Context(), 0, 0); err != nil || p.Head != 3*snapshotAfter+3 {
		t.Errorf("opened again, the log stands at %d, %v", p.Head, err)
	}
}

// cut makes what is there an hour old, writes one more snapshot and removes what it replaced.
func cut(t *testing.T, on *files) {
	t.Helper()
	err := on.list(t.Context(), snapshotDir, "", func(o object) error {
		return os.Chtimes(on.path(o.name), time.Time{}, o.modified.Add(-2*keepJournal))
	})
	if err != nil {
		t.Fatal(err)
	}
	st, _, err := load(t.Context(), on, "x")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(st.freeze().write(t.Context(), on), sweep(t.Context(), on)); err != nil {
		t.Fatal(err)
	}
}

// A state of several parts comes back whole from its snapshot alone.
func TestSnapshot(t *testing.T) {
	on := folder(t)
	s := openOn(t, on, &hasty{})
	const n = 30
	var rs []*counterfoil.Record
	for range n {
		r := aRecord(random16())
		r.Values = make([]byte, partSize/10)
		rand.Read(r.Values)
		if _, err := s.Create(t.Context(), r, aSignIn()); err != nil {
			t.Fatal(err)
		}
		rs = append(rs, r)
	}
	if _, err := s.Reap(t.Context(), counterfoil.Reap{Before: begin, LogBefore: begin.Add(time.Hour), Max: 1}); err != nil {
		t.Fatal(err)
	}
	cut(t, on)
	rs = append(rs, s.mustSignIn(t))
	cut(t, on)
	parts := 0
	if err := on.list(t.Context(), partDir, "", func(object) error { parts++; return nil }); err != nil || parts < 3 {
		t.Fatalf("%d parts, %v", parts, err)
	}
	again := openOn(t, on, &hasty{})
	for _, r := range rs {
		got, err := again.Load(t.Context(), r.ID)
		if err != nil || string(got.Values) != string(r.Values) {
			t.Fatalf("a session from the snapshot: %v", err)
		}
	}
	if p, err := again.Log(t.Context(), n, 10); err != nil || p.Head != n+1 || p.Floor != n || len(p.Entries) != 1 {
		t.Errorf("the log: %+v, %v", p, err)
	}
}

// A snapshot that cannot be written is said, hinders nobody, and the next one makes it good.
func TestSnapshotFails(t *testing.T) {
	on := folder(t)
	var away atomic.Bool
	nodes := [2]*Store{}
	for i := range nodes {
		nodes[i] = openOn(t, faulty{on, func(verb string) error {
			if verb == "list" && away.Load() {
				return errors.New("forbidden")
			}
			return nil
		}, never}, &hasty{})
	}
	snapshots := func() (n int) {
		for _, s := range nodes {
			for range snapshotAfter + snapshotAfter/recordsPerPlace + 1 {
				s.mustSignIn(t)
			}
			s.settle(t)
		}
		if err := on.list(t.Context(), snapshotDir, "", func(object) error { n++; return nil }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	away.Store(true)
	if n := snapshots(); n != 0 {
		t.Fatalf("%d snapshots", n)
	}
	if says, err := nodes[0].Advise(t.Context()); err != nil || len(says) != 1 {
		t.Errorf("advice %v, %v", says, err)
	}
	away.Store(false)
	if n := snapshots(); n == 0 {
		t.Error("no snapshot after two nodes wrote as much as makes one due each")
	}
	if says, err := nodes[0].Advise(t.Context()); err != nil || len(says) != 0 {
		t.Errorf("advice %v, %v", says, err)
	}
}

// settle waits until no snapshot is due or being written.
func (s *Store) settle(t *testing.T) {
	t.Helper()
	if _, err := s.Log(t.Context(), 0, 0); err != nil { // answered after the round before it is over
		t.Fatal(err)
	}
	s.writing.Lock()
	defer s.writing.Unlock()
}

// What is not the store's is seen, and said.
func TestDamage(t *testing.T) {
	for name, spoil := range map[string]func(*files) error{
		"a changed byte": func(f *files) error {
			path := f.path(numbered(journalDir, 2))
			data, err := os.ReadFile(path)
			data[len(data)/2] ^= 1
			return errors.Join(err, os.WriteFile(path, data, 0o600))
		},
		"a journal that forked": func(f *files) error {
			b := batch{n: 3, prev: writeID{1}, id: writeID{2}}
			return os.WriteFile(f.path(numbered(journalDir, 3)), b.encode(), 0o600)
		},
		"a missing object": func(f *files) error { return os.Remove(f.path(numbered(journalDir, 2))) },
		"a snapshot without its part": func(f *files) error {
			m := manifest{n: 9, parts: 1}
			return os.WriteFile(f.path(numbered(snapshotDir, 9)), m.encode(), 0o600)
		},
		"another's first object": func(f *files) error { return os.WriteFile(f.path(rootName), []byte("hello"), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			on := folder(t)
			s := openOn(t, on, &hasty{})
			for range 3 {
				s.mustSignIn(t)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if err := spoil(on); err != nil {
				t.Fatal(err)
			}
			if _, err := open(t.Context(), on, &hasty{}); !errors.Is(err, ErrDamaged) {
				t.Errorf("opened with %v", err)
			}
		})
	}
}

// overwriting is a storage that does not know the condition and says nothing.
type overwriting struct{ *files }

func (o overwriting) create(_ context.Context, name string, data []byte) error {
	return os.WriteFile(o.path(name), data, 0o600)
}

// readOnly forbids to delete.
type readOnly struct{ *files }

func (readOnly) remove(context.Context, string) error { return errors.New("forbidden") }

// A storage on which the promises would not hold is refused at start. P75
func TestUnfitStorage(t *testing.T) {
	if _, err := open(t.Context(), overwriting{folder(t)}, &hasty{}); !errors.Is(err, ErrUnfit) {
		t.Errorf("one that overwrites: %v", err)
	}
	if _, err := open(t.Context(), readOnly{folder(t)}, &hasty{}); err == nil {
		t.Error("one that forbids to delete was opened")
	}
}

// Close waits for what is under way; calls that meet it get an answer or ErrClosed.
func TestClose(t *testing.T) {
	s := openOn(t, folder(t), &hasty{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				if _, err := s.Create(t.Context(), aRecord(random16()), aSignIn()); err != nil {
					if !errors.Is(err, ErrClosed) {
						t.Error(err)
					}
					return
				}
			}
		})
	}
	s.mustSignIn(t)
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if got := fmt.Sprint(s3Key{secret: "secret"}, bearer{text: "secret"}); got != "[key] [token]" {
		t.Errorf("secrets print as %s", got)
	}
}

// A write whose answer was lost is asked again, finds its own object, and happened once: also those
// that nothing else makes repeatable. P29
func TestOneLostAnswer(t *testing.T) {
	var lose atomic.Bool
	s := openOn(t, faulty{folder(t), never, func(verb string) error {
		if verb == "create" && lose.CompareAndSwap(true, false) {
			return errLost
		}
		return nil
	}}, &hasty{})
	ctx := t.Context()
	for name, do := range map[string]func() error{
		"SwapMeta": func() error { return s.SwapMeta(ctx, "key", nil, []byte("value")) },
		"Add":      func() error { return s.Accounts().Add(ctx, &account.Account{Name: "alice"}, true) },
		"Attempt": func() error {
			ok, _, err := s.Accounts().Attempt(ctx, "k", begin, time.Minute, 1)
			if err == nil && !ok {
				err = errors.New("it counted twice")
			}
			return err
		},
		"zero operation": func() error {
			c := aSignIn()
			c.Entry.Op = counterfoil.OpID{}
			_, err := s.Create(ctx, aRecord(random16()), c)
			return err
		},
	} {
		lose.Store(true)
		if err := do(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if lose.Load() {
			t.Errorf("%s wrote nothing", name)
		}
	}
}

// shy is a storage that says of an object that it exists a while before it shows it.
type shy struct {
	bucket
	mu     sync.Mutex
	hidden map[string]int // name -> how often it is still denied
	denied int
}

func (s *shy) create(ctx context.Context, name string, data []byte) error {
	err := s.bucket.create(ctx, name, data)
	if errors.Is(err, errTaken) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.hidden[name] = 3
	}
	return err
}

func (s *shy) get(ctx context.Context, name string) ([]byte, error) {
	s.mu.Lock()
	deny := s.hidden[name] > 0
	if deny {
		s.hidden[name]--
		s.denied++
	}
	s.mu.Unlock()
	if deny {
		return nil, errAbsent
	}
	return s.bucket.get(ctx, name)
}

// Two nodes want one place, or make the store, at the same moment: the later one is told that the object
// exists before it can be read. It waits until it can, and is not told that the storage lacks something.
// P29
func TestTakenBeforeSeen(t *testing.T) {
	on := folder(t)
	first := openOn(t, on, &hasty{})
	coy := &shy{bucket: on, hidden: map[string]int{rootName: 1}}
	second := openOn(t, coy, &hasty{})
	if second.root != first.root {
		t.Errorf("two stores in one place, %q and %q", first.root, second.root)
	}
	r := first.mustSignIn(t)
	before := coy.denied
	mine := second.mustSignIn(t) // for the place that r has
	if coy.denied != before+3 {
		t.Errorf("it was denied %d times: this test looks for the wrong thing", coy.denied-before)
	}
	for _, s := range []*Store{first, second} {
		for _, id := range []counterfoil.ID{r.ID, mine.ID} {
			if _, err := s.Load(t.Context(), id); err != nil {
				t.Error(err)
			}
		}
	}
}

// silent is a storage on connections that say nothing any more, until they are closed.
type silent struct {
	bucket
	dead   atomic.Bool
	closed atomic.Int32
}

func (s *silent) get(ctx context.Context, name string) ([]byte, error) {
	if s.dead.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return s.bucket.get(ctx, name)
}

func (s *silent) close() {
	s.closed.Add(1)
	s.dead.Store(false)
}

// Where a request gets no answer, the connections that are kept beside may be as dead: the next try does
// not go through them. PD8
func TestSilentConnectionsAreClosed(t *testing.T) {
	on := &silent{bucket: folder(t)}
	s := openOn(t, on, &hasty{})
	r := s.mustSignIn(t)
	on.dead.Store(true)
	if _, err := s.Load(t.Context(), r.ID); err != nil || on.closed.Load() == 0 {
		t.Errorf("%v, after connections were closed %d times", err, on.closed.Load())
	}
}
