package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/account"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/transfer"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/sessiontest"
	"github.com/counterfoil/counterfoil/store/memory"
)

// house is an installation with an audit: a place, a store and what was written of it.
type house struct {
	*place
	side transfer.Side
	path string // of the audit
	m    *counterfoil.Manager
	x    *audit.Exporter
	seen chan counterfoil.Event
}

func newHouse(t *testing.T, p *place, side transfer.Side, path string) *house {
	t.Helper()
	h := &house{place: p, side: side, path: path, seen: make(chan counterfoil.Event, 1000)}
	h.open()
	t.Cleanup(h.close)
	return h
}

func (h *house) open() {
	h.t.Helper()
	var err error
	h.m, err = counterfoil.New(context.Background(), counterfoil.Config{
		Store: h.side.Sessions, Keys: h.keys, Clock: h.clock, Logger: slog.New(slog.DiscardHandler),
		Observe: func(ev counterfoil.Event) { h.seen <- ev },
	})
	must(h.t, err)
	h.x, err = audit.Open(context.Background(), audit.Config{
		Path: h.path, Store: h.side.Sessions, Describe: h.m.Describe, Keys: h.keys, Node: "node", Clock: h.clock, Logger: slog.New(slog.DiscardHandler),
	})
	must(h.t, err)
}

func (h *house) close() {
	h.t.Helper()
	if h.m != nil {
		must(h.t, h.x.Close(context.Background()))
		must(h.t, h.m.Close(context.Background()))
		h.m = nil
	}
}

func (h *house) end(target counterfoil.Target, why counterfoil.Reason) {
	h.t.Helper()
	_, err := h.m.Revoke(context.Background(), target, why)
	must(h.t, err)
	h.clock.Advance(time.Second)
}

func (h *house) backup() []byte {
	h.t.Helper()
	var file bytes.Buffer
	_, err := transfer.Backup(context.Background(), transfer.BackupJob{Store: h.side, To: &file, Key: h.keys.AuditKey(), KeyCheck: []byte("key"), Clock: h.clock})
	must(h.t, err)
	return file.Bytes()
}

func (h *house) restoring(file []byte, to transfer.Side) transfer.RestoreJob {
	h.t.Helper()
	if h.m != nil {
		must(h.t, h.x.Flush(context.Background()))
	}
	told, err := os.ReadFile(h.path)
	must(h.t, err)
	return transfer.RestoreJob{
		From: bytes.NewReader(file), To: to, Key: h.keys.AuditKey(), KeyCheck: []byte("key"), Audit: bytes.NewReader(told),
		Replace: true, Clock: impatient{h.clock}, Silence: time.Second,
	}
}

// What was backed up comes back, into an empty store and into the same one, again and again; what was
// ended at any time since never does, nor a password that was changed.
func TestRestore(t *testing.T) {
	server := newServer(t)
	for name, open := range map[string]func(*testing.T) transfer.Side{"memory": inMemory, "sqlite": inSQLite, "postgres": inPostgres(server), "redis": inRedis(t), "folder": inFolder, "s3": inS3(t)} {
		for _, same := range []bool{false, true} {
			t.Run(map[bool]string{false: "into an empty ", true: "into the same "}[same]+name, func(t *testing.T) {
				p := newPlace(t)
				source := open(t)
				furnish(t, source)
				h := newHouse(t, p, source, filepath.Join(t.TempDir(), "audit.jsonl"))
				before := p.signIn(h.m, "alice", 1)
				h.end(counterfoil.AllOf("alice"), counterfoil.ReasonRevoked) // is over when the backup is made
				lives := []visitor{p.signIn(h.m, "alice", 1), p.signIn(h.m, "bob", 2)}
				one, many, spared := p.signIn(h.m, "carol", 1), p.signIn(h.m, "dave", 1), p.signIn(h.m, "dave", 1)
				changed := p.signIn(h.m, "erin", 1)
				must(t, source.Accounts.Add(t.Context(), &account.Account{Name: "erin", Password: "$argon2id$old", Epoch: 1, Created: start, Changed: start}, false))
				must(t, source.Accounts.Add(t.Context(), &account.Account{Name: "frank", Password: "$argon2id$old", Epoch: 1, Created: start, Changed: start}, false))
				p.clock.Advance(time.Second)
				file := h.backup()
				after := p.signIn(h.m, "alice", 1)
				h.end(counterfoil.ByID(one.id), counterfoil.ReasonSignOut)
				h.end(counterfoil.AllOf("dave").Except(spared.id), counterfoil.ReasonRevoked)
				h.end(counterfoil.AllOf("erin").Before(2), counterfoil.ReasonPasswordChanged)
				h.end(counterfoil.AllOf("frank"), counterfoil.ReasonDisabled)
				lives = append(lives, spared)
				gone := []visitor{before, one, many, changed}

				target := source
				if !same {
					h.close()
					target = open(t)
				}
				for round := 1; round <= 3; round++ {
					h.close()
					done, err := transfer.Restore(t.Context(), h.restoring(file, target))
					must(t, err)
					want := len(lives)
					if done.Sessions != want || done.Why != "" || !slices.Equal(done.Locked, map[bool][]string{false: {"erin"}, true: {}}[same || round > 1]) && round == 1 {
						t.Errorf("round %d: %+v, want %d sessions", round, done, want)
					}
					must(t, transfer.Usable(t.Context(), target.Sessions))
					h = newHouse(t, p, target, h.path)
					p.expect(h.m, "what lived", true, lives...)
					p.expect(h.m, "what ended", false, gone...)
					if got := after.admitted(h.m); got {
						t.Error("a session that is younger than the backup lives")
					}
					a, err := target.Accounts.Get(t.Context(), "erin")
					must(t, err)
					if !same && (a.Password != "" || a.Epoch < 2) {
						t.Errorf("the former password came back: %+v", a)
					}
					f, err := target.Accounts.Get(t.Context(), "frank")
					if must(t, err); !same && !f.Disabled {
						t.Error("who was disabled is not any more")
					}
					// what is ended now does not come back with the next restore
					last := lives[len(lives)-1]
					h.end(counterfoil.ByID(last.id), counterfoil.ReasonRevoked)
					lives, gone = lives[:len(lives)-1], append(gone, last)
				}
				h.close()
				told, err := os.ReadFile(h.path)
				must(t, err)
				report, err := audit.Verify(bytes.NewReader(told), p.keys.AuditKey(), nil)
				if must(t, err); report.Broken != 0 {
					t.Errorf("the audit: %+v", report)
				}
			})
		}
	}
}

// Without an audit that tells all since the backup every session ends, and that is said; accounts come
// back. A broken audit is refused, and nothing happens.
func TestRestoreWithoutTheAudit(t *testing.T) {
	p := newPlace(t)
	h := newHouse(t, p, inMemory(t), filepath.Join(t.TempDir(), "audit.jsonl"))
	furnish(t, h.side)
	h.clock.Advance(time.Second)
	begun, err := os.ReadFile(h.path)
	must(t, err)
	v := p.signIn(h.m, "alice", 1)
	h.clock.Advance(time.Second)
	file := h.backup()
	h.close()
	foreign := newHouse(t, newPlace(t), inMemory(t), filepath.Join(t.TempDir(), "audit.jsonl"))
	foreign.close()
	other, err := os.ReadFile(foreign.path)
	must(t, err)
	for name, c := range map[string]struct {
		audit []byte
		why   string
	}{
		"none":                     {nil, "no audit tells"},
		"ends before the backup":   {begun, "does not tell all"},
		"of another store and key": {other, "does not tell all"},
		"empty":                    {[]byte{}, "does not tell all"},
	} {
		t.Run(name, func(t *testing.T) {
			target := inMemory(t)
			job := h.restoring(file, target)
			if job.Audit = nil; c.audit != nil {
				job.Audit = bytes.NewReader(c.audit)
			}
			done, err := transfer.Restore(t.Context(), job)
			must(t, err)
			if done.Sessions != 0 || done.Ended != 1 || done.Accounts != 2 || !strings.Contains(done.Why, c.why) {
				t.Errorf("%+v, want no sessions because %q", done, c.why)
			}
			m, closed := p.manager(target.Sessions)
			p.expect(m, "after", false, v)
			closed()
		})
	}
	job := h.restoring(file, inMemory(t))
	told, err := os.ReadFile(h.path)
	must(t, err)
	job.Audit = bytes.NewReader(bytes.Replace(told, []byte(`"kind":"signed-in"`), []byte(`"kind":"signed-up"`), 1))
	if _, err := transfer.Restore(t.Context(), job); !errors.Is(err, transfer.ErrAuditBroken) {
		t.Errorf("a changed audit: %v", err)
	}
	must(t, transfer.Usable(t.Context(), job.To.Sessions))
}

// A node that was cut off during the restore meets another incarnation: it drops what it has and says so.
func TestRestoreIsNoticed(t *testing.T) {
	p := newPlace(t)
	h := newHouse(t, p, inMemory(t), filepath.Join(t.TempDir(), "audit.jsonl"))
	v, out := p.signIn(h.m, "alice", 1), p.signIn(h.m, "bob", 1)
	h.clock.Advance(time.Second)
	file := h.backup()
	h.end(counterfoil.ByID(out.id), counterfoil.ReasonSignOut)
	p.expect(h.m, "before", true, v)
	for len(h.seen) > 0 {
		<-h.seen
	}
	_, err := transfer.Restore(t.Context(), h.restoring(file, h.side))
	must(t, err)
	h.clock.Advance(10 * time.Second)
	p.expect(h.m, "after", true, v)
	p.expect(h.m, "after", false, out)
	for {
		select {
		case ev := <-h.seen:
			if ev.Kind == counterfoil.EventLog {
				return
			}
			continue
		default:
		}
		t.Fatal("no alarm")
	}
}

// What ends while a backup is written is not in it.
func TestBackupOfAMovingStore(t *testing.T) {
	p := newPlace(t)
	h := newHouse(t, p, inMemory(t), filepath.Join(t.TempDir(), "audit.jsonl"))
	stays, one, all, again := p.signIn(h.m, "alice", 1), p.signIn(h.m, "alice", 1), p.signIn(h.m, "bob", 1), visitor{}
	h.clock.Advance(time.Second)
	source := h.side
	h.side.Sessions = &intruder{Store: source.Sessions, do: func(int) {
		h.end(counterfoil.ByID(one.id), counterfoil.ReasonRevoked)
		h.end(counterfoil.AllOf("bob"), counterfoil.ReasonRevoked)
		again = p.signIn(h.m, "bob", 1)
	}}
	file := h.backup()
	h.side = source
	h.clock.Advance(time.Second)
	h.close()
	target := inMemory(t)
	done, err := transfer.Restore(t.Context(), h.restoring(file, target))
	if must(t, err); done.Sessions != 1 || done.Ended != 2 {
		t.Errorf("%+v", done)
	}
	m, closed := p.manager(target.Sessions)
	p.expect(m, "lives", true, stays)
	p.expect(m, "ended meanwhile, or began", false, one, all, again)
	closed()
}

// Killed after any call, a restore leaves a store that is as it was, or one on which nothing starts;
// called again it comes to its end.
func TestRestoreIsRepeated(t *testing.T) {
	for _, kind := range []string{"memory", "folder"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			restoreIsRepeated(t, reopening(kind))
		})
	}
}

func restoreIsRepeated(t *testing.T, in func(*testing.T) func() transfer.Side) {
	errKilled := errors.New("killed")
	for calls := int64(1); ; calls++ {
		p := newPlace(t)
		open := in(t)
		h := newHouse(t, p, open(), filepath.Join(t.TempDir(), "audit.jsonl"))
		furnish(t, h.side)
		lives, ended := p.signIn(h.m, "alice", 1), p.signIn(h.m, "bob", 2)
		p.child(h.side.Sessions, lives.id)
		h.clock.Advance(time.Second)
		file := h.backup()
		h.end(counterfoil.ByID(ended.id), counterfoil.ReasonSignOut)
		younger := p.signIn(h.m, "alice", 1)
		h.clock.Advance(time.Second)
		h.close()
		var n atomic.Int64
		job := h.restoring(file, h.side)
		job.To.Sessions = sessiontest.Flaky(h.side.Sessions, func(string) error {
			if n.Add(1) > calls {
				return errKilled
			}
			return nil
		})
		_, err := transfer.Restore(t.Context(), job)
		if err == nil {
			if calls < 20 {
				t.Errorf("a restore asks the store %d times only: the test kills nothing", calls)
			}
			return
		}
		h.side = open() // another process
		if transfer.Usable(t.Context(), h.side.Sessions) == nil {
			m, closed := p.manager(h.side.Sessions)
			p.expect(m, "ended", false, ended)
			if !lives.admitted(m) || younger.admitted(m) && n.Load() > calls+3 {
				t.Errorf("killed after %d calls: the store serves, and is neither as it was nor restored", calls)
			}
			closed()
		}
		done, err := transfer.Restore(t.Context(), h.restoring(file, h.side))
		must(t, err)
		if done.Sessions != 2 {
			t.Errorf("killed after %d calls, again: %+v", calls, done)
		}
		m, closed := p.manager(h.side.Sessions)
		p.expect(m, "restored", true, lives)
		p.expect(m, "ended", false, ended, younger)
		closed()
	}
}

// A file that is not what was written is refused before anything happens.
func TestBackupIsChecked(t *testing.T) {
	p := newPlace(t)
	h := newHouse(t, p, inMemory(t), filepath.Join(t.TempDir(), "audit.jsonl"))
	furnish(t, h.side)
	v := p.signIn(h.m, "alice", 1)
	h.clock.Advance(time.Second)
	file := h.backup()
	h.close()
	target := transfer.Side{Sessions: memory.New(memory.Options{}), Accounts: inMemory(t).Accounts, Name: "memory:"}
	for at := range file {
		bad := slices.Clone(file)
		bad[at] ^= 0x20
		if _, err := transfer.Restore(t.Context(), h.restoring(bad, target)); !errors.Is(err, transfer.ErrBackup) {
			t.Fatalf("byte %d of %d changed: %v", at, len(file), err)
		}
		if _, err := transfer.Restore(t.Context(), h.restoring(file[:at], target)); !errors.Is(err, transfer.ErrBackup) {
			t.Fatalf("cut at %d of %d: %v", at, len(file), err)
		}
	}
	if _, err := transfer.Restore(t.Context(), h.restoring(append(slices.Clone(file), 0), target)); !errors.Is(err, transfer.ErrBackup) {
		t.Errorf("a byte more: %v", err)
	}
	keys, err := keyring.Generate(start, nil)
	must(t, err)
	foreign := h.restoring(file, target)
	foreign.Key, foreign.KeyCheck = keys.AuditKey(), []byte("other")
	if _, err := transfer.Restore(t.Context(), foreign); !errors.Is(err, transfer.ErrBackup) {
		t.Errorf("under another key: %v", err)
	}
	if head, err := target.Sessions.Log(t.Context(), 0, 0); err != nil || head.Head != 0 {
		t.Errorf("something happened: %+v, %v", head, err)
	}
	foreign = h.restoring(file, target)
	foreign.Key, foreign.KeyCheck, foreign.Foreign = keys.AuditKey(), []byte("other"), true
	done, err := transfer.Restore(t.Context(), foreign)
	if must(t, err); done.Sessions != 0 || done.Accounts != 2 || done.Why == "" {
		t.Errorf("a foreign one that is believed: %+v", done)
	}
	for _, secret := range []string{v.request.Header.Get("Cookie")[len("__Host-Http-session="):]} {
		if bytes.Contains(file, []byte(secret)) {
			t.Error("the backup holds a token")
		}
	}
}

// Only an empty store, or the one it was made of, takes a backup.
func TestRestoreRefuses(t *testing.T) {
	p := newPlace(t)
	h := newHouse(t, p, inMemory(t), filepath.Join(t.TempDir(), "audit.jsonl"))
	p.signIn(h.m, "alice", 1)
	h.clock.Advance(time.Second)
	file := h.backup()
	h.close()
	another := inMemory(t)
	m, closed := p.manager(another.Sessions)
	p.signIn(m, "alice", 1)
	closed()
	if _, err := transfer.Restore(t.Context(), h.restoring(file, another)); !errors.Is(err, transfer.ErrNotEmpty) {
		t.Errorf("into another store: %v", err)
	}
	job := h.restoring(file, h.side)
	job.Replace = false
	if _, err := transfer.Restore(t.Context(), job); !errors.Is(err, transfer.ErrNotEmpty) {
		t.Errorf("without a word about what lives: %v", err)
	}
	beats := uint64(0)
	job = h.restoring(file, h.side)
	job.To.Sessions = noded{h.side.Sessions, func() []counterfoil.Node {
		beats++
		return []counterfoil.Node{{Name: "n", Beat: beats}}
	}}
	if _, err := transfer.Restore(t.Context(), job); !errors.Is(err, transfer.ErrBusy) {
		t.Errorf("while a node works: %v", err)
	}
	for _, s := range []transfer.Side{another, h.side} {
		must(t, transfer.Usable(t.Context(), s.Sessions))
	}
}

func FuzzBackup(f *testing.F) {
	t := &testing.T{}
	p := &place{t, sessiontest.NewClock(start), nil}
	keys, err := keyring.Generate(start, nil)
	if err != nil {
		f.Fatal(err)
	}
	side := inMemory(t)
	r := &counterfoil.Record{Version: 1, ID: counterfoil.ID{9}, Kind: counterfoil.KindBrowser, Created: start, Seen: start, IdleEnd: start.Add(time.Hour), AbsoluteEnd: start.Add(time.Hour), Identity: []byte("sealed"), Values: []byte{}}
	if _, err := side.Sessions.Create(context.Background(), r, counterfoil.Creation{Entry: counterfoil.Entry{Kind: counterfoil.EntryCreated, Time: start}}); err != nil {
		f.Fatal(err)
	}
	if err := side.Accounts.Add(context.Background(), &account.Account{Name: "alice", Epoch: 1}, false); err != nil {
		f.Fatal(err)
	}
	var file bytes.Buffer
	if _, err := transfer.Backup(context.Background(), transfer.BackupJob{Store: side, To: &file, Key: keys.AuditKey(), Clock: p.clock}); err != nil {
		f.Fatal(err)
	}
	f.Add(file.Bytes())
	f.Add(file.Bytes()[:40])
	f.Add([]byte("counterfoil backup 1\nZ\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		_, foot, authentic, err := transfer.Inspect(bytes.NewReader(raw), keys.AuditKey())
		if err != nil {
			if !errors.Is(err, transfer.ErrBackup) {
				t.Errorf("%v is not ErrBackup", err)
			}
			return
		}
		if authentic && !bytes.Equal(raw, file.Bytes()) {
			t.Errorf("another file passes for ours: %+v", foot)
		}
	})
}
