package audit_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/store/memory"
)

var start = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// clock is a Clock that stands still until it is advanced.
type clock struct {
	mu     sync.Mutex
	now    time.Duration
	timers map[*timer]bool
}

type timer struct {
	at time.Duration
	f  func()
}

func (c *clock) Now() (time.Time, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return start.Add(c.now), c.now
}

func (c *clock) AfterFunc(d time.Duration, f func()) func() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timers == nil {
		c.timers = make(map[*timer]bool)
	}
	t := &timer{c.now + d, f}
	c.timers[t] = true
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		was := c.timers[t]
		delete(c.timers, t)
		return was
	}
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	c.now += d
	var due []func()
	for t := range c.timers {
		if t.at <= c.now {
			due = append(due, t.f)
			delete(c.timers, t)
		}
	}
	c.mu.Unlock()
	for _, f := range due {
		f()
	}
}

// rig is a store, keys and a folder, in which exporters come and go.
type rig struct {
	*testing.T
	store *spy
	keys  *keyring.Ring
	clock *clock
	path  string
	log   bytes.Buffer // of the exporter, to be read after Close
}

// spy passes on to a store, unless a test puts something in between.
type spy struct {
	counterfoil.Store
	mu   sync.Mutex
	fail func(verb string) error // asked before each call
	log  func(counterfoil.Page, error) (counterfoil.Page, error)
}

func (s *spy) set(fail func(string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = fail
}

func (s *spy) may(verb string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail == nil {
		return nil
	}
	return s.fail(verb)
}

func (s *spy) Log(ctx context.Context, since uint64, max int) (counterfoil.Page, error) {
	if err := s.may("Log"); err != nil {
		return counterfoil.Page{}, err
	}
	p, err := s.Store.Log(ctx, since, max)
	if s.log != nil {
		return s.log(p, err)
	}
	return p, err
}

func (s *spy) Meta(ctx context.Context, key string) ([]byte, error) {
	if err := s.may("Meta"); err != nil {
		return nil, err
	}
	return s.Store.Meta(ctx, key)
}

func (s *spy) SwapMeta(ctx context.Context, key string, old, new []byte) error {
	if err := s.may("SwapMeta"); err != nil {
		return err
	}
	if err := s.Store.SwapMeta(ctx, key, old, new); err != nil {
		return err
	}
	return s.may("SwapMeta done")
}

func (s *spy) Acknowledge(ctx context.Context, reader string, seq uint64) error {
	if err := s.may("Acknowledge"); err != nil {
		return err
	}
	if err := s.Store.Acknowledge(ctx, reader, seq); err != nil {
		return err
	}
	return s.may("Acknowledge done")
}

func newRig(t *testing.T) *rig {
	t.Helper()
	c := &clock{}
	store := memory.New(memory.Options{})
	t.Cleanup(func() { store.Close() })
	return &rig{T: t, store: &spy{Store: store}, keys: newKeys(t), clock: c, path: filepath.Join(t.TempDir(), "audit.jsonl")}
}

func newKeys(t *testing.T) *keyring.Ring {
	t.Helper()
	keys, err := keyring.Generate(start, nil)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func (r *rig) config() audit.Config {
	return audit.Config{
		Path: r.path, Store: r.store, Describe: describe, Keys: r.keys, Node: "node-1", Clock: r.clock,
		Logger: slog.New(slog.NewTextHandler(&r.log, nil)),
	}
}

func (r *rig) open() *audit.Exporter {
	r.Helper()
	x, err := audit.Open(r.Context(), r.config())
	if err != nil {
		r.Fatal(err)
	}
	return x
}

func (r *rig) flush(x *audit.Exporter) {
	r.Helper()
	if err := x.Flush(r.Context()); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) close(x *audit.Exporter) {
	r.Helper()
	if err := x.Close(context.Background()); err != nil {
		r.Fatal(err)
	}
}

// run opens an exporter, does f, and closes it.
func (r *rig) run(f func(x *audit.Exporter)) {
	r.Helper()
	x := r.open()
	f(x)
	r.close(x)
}

// end appends one entry to the store's log.
func (r *rig) end(subject string) {
	r.Helper()
	e := counterfoil.Entry{
		Version: counterfoil.EntryVersion, Kind: counterfoil.EntryEndedSubject, Reason: counterfoil.ReasonRevoked,
		Time: start, Detail: []byte(subject),
	}
	rand.Read(e.Op[:])
	copy(e.Subject[:], subject)
	if _, err := r.store.Revoke(r.Context(), e); err != nil {
		r.Fatal(err)
	}
}

// describe is Manager.Describe for the entries that end writes.
func describe(e counterfoil.Entry) (counterfoil.Event, bool) {
	ev := counterfoil.Event{Kind: counterfoil.EventEndedMany, Reason: e.Reason, Time: e.Time, Seq: e.Seq}
	if string(e.Detail) == "key gone" {
		return ev, false
	}
	ev.Session.Subject = string(e.Detail)
	return ev, true
}

func (r *rig) bytes() []byte {
	r.Helper()
	raw, err := os.ReadFile(r.path)
	if err != nil {
		r.Fatal(err)
	}
	return raw
}

func (r *rig) note() []byte {
	r.Helper()
	raw, err := r.store.Store.Meta(r.Context(), audit.TailKey)
	if err != nil {
		r.Fatal(err)
	}
	return raw
}

// lines returns every line of the file that is one.
func (r *rig) lines() (all []audit.Line) {
	r.Helper()
	for text := range bytes.SplitSeq(bytes.TrimSuffix(r.bytes(), []byte("\n")), []byte("\n")) {
		if l, err := audit.ParseLine(text); err == nil {
			all = append(all, l)
		}
	}
	return all
}

func (r *rig) verify() audit.Report {
	r.Helper()
	return verify(r.T, bytes.NewReader(r.bytes()), r.keys, r.note())
}

func verify(t *testing.T, file io.Reader, keys *keyring.Ring, note []byte) audit.Report {
	t.Helper()
	rep, err := audit.Verify(file, keys.AuditKey(), note)
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

func (r *rig) whole() audit.Report {
	r.Helper()
	rep := r.verify()
	if rep.Broken != 0 {
		r.Fatalf("line %d of %d: %s\n%s", rep.Broken, rep.Lines, rep.Why, r.bytes())
	}
	return rep
}

// subjects returns those of the lines that came from the store's log, in order.
func (r *rig) subjects() (all []string) {
	for _, l := range r.lines() {
		if l.Seq > 0 {
			all = append(all, l.Subject)
		}
	}
	return all
}
