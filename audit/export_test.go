package audit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
)

// G8: every lifecycle change is a line with a reason, and so is every refusal. P47, P102
func TestG8OnTheRecord(t *testing.T) {
	r := newRig(t)
	r.run(func(x *audit.Exporter) {
		r.end("alice")
		r.end("bob")
		x.Record(counterfoil.Event{Kind: counterfoil.EventEndedMany, Seq: 9}) // comes from the store's log
		x.Record(counterfoil.Event{
			Kind: counterfoil.EventRefused, Reason: counterfoil.ReasonForged, Time: start,
			Session: counterfoil.Info{
				ID: counterfoil.ID{1}, Kind: counterfoil.KindBrowser, Subject: "carol", Actor: "dave",
				IP: "192.0.2.7", Label: "Chrome on Linux", Methods: []string{"pwd", "otp"}, Level: 2,
			},
		})
	})
	rep := r.whole()
	got := r.lines()
	if rep.Lines != 4 || len(got) != 4 {
		t.Fatalf("%d lines, want begin, refused and two ends:\n%s", rep.Lines, r.bytes())
	}
	if got[0].Kind != audit.KindBegin || got[0].Node != "node-1" || got[0].Version != audit.Version {
		t.Errorf("first line: %+v", got[0])
	}
	if want := []string{"alice", "bob"}; !slices.Equal(r.subjects(), want) {
		t.Errorf("subjects %q, want %q", r.subjects(), want)
	}
	for i, l := range got {
		if l.Number != uint64(i+1) || l.Chain != got[0].Chain || !l.Time.Equal(start) {
			t.Errorf("line %d: %+v", i+1, l)
		}
		switch l.Kind {
		case string(counterfoil.EventEndedMany):
			if l.Reason != "revoked" || l.Seq == 0 {
				t.Errorf("an end: %+v", l)
			}
		case string(counterfoil.EventRefused):
			l.Chain, l.MAC = "", ""
			want := audit.Line{
				Version: 1, Number: l.Number, Node: "node-1", Time: start, Kind: "refused", Reason: "forged",
				Session: counterfoil.ID{1}.String(), SessionKind: "browser", Subject: "carol", Actor: "dave",
				IP: "192.0.2.7", Label: "Chrome on Linux", Methods: []string{"pwd", "otp"}, Level: 2, Count: 1,
			}
			if fmt.Sprint(l) != fmt.Sprint(want) {
				t.Errorf("the refusal:\n%+v, want\n%+v", l, want)
			}
		}
	}
	if info, err := os.Stat(r.path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestExportsByItselfWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		acked := false
		x := r.open()
		defer r.close(x)
		r.store.set(func(verb string) error {
			acked = acked || verb == "Acknowledge done"
			return nil
		})
		r.end("alice")
		for passed := time.Duration(0); ; passed += 100 * time.Millisecond {
			if synctest.Wait(); acked { // it has nothing to do before its clock goes on
				break
			}
			if passed == time.Second {
				t.Fatal("nothing was exported within a second")
			}
			r.clock.advance(100 * time.Millisecond)
		}
		if want := []string{"alice"}; !slices.Equal(r.subjects(), want) {
			t.Errorf("acknowledged, and the file has %q", r.subjects())
		}
	})
}

func TestNothingHappenedNothingWritten(t *testing.T) {
	r := newRig(t)
	r.run(func(x *audit.Exporter) {
		before := r.bytes()
		note := r.note()
		r.flush(x)
		r.flush(x)
		if !bytes.Equal(before, r.bytes()) || !bytes.Equal(note, r.note()) {
			t.Error("a round without news wrote something")
		}
	})
}

func TestRestartsGoOnWhereTheyStopped(t *testing.T) {
	r := newRig(t)
	var want []string
	for run := range 4 {
		name := fmt.Sprint("user-", run)
		r.end(name + "-before")
		r.run(func(x *audit.Exporter) { r.end(name) })
		want = append(want, name+"-before", name)
	}
	if got := r.subjects(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	r.whole()
	for i, l := range r.lines() {
		if l.Kind == audit.KindRecover {
			t.Errorf("line %d: an orderly restart is no crash: %+v", i+1, l)
		}
	}
}

// While the store or the disk fails, nothing is lost: changes wait in the store's log, refusals here.
func TestOutage(t *testing.T) {
	for _, verb := range []string{"Log", "SwapMeta", "SwapMeta done", "Acknowledge", "Acknowledge done"} {
		t.Run(verb, func(t *testing.T) {
			r := newRig(t)
			broken := errors.New("the store is away")
			r.run(func(x *audit.Exporter) {
				r.store.set(func(v string) error {
					if v == verb {
						return broken
					}
					return nil
				})
				r.end("alice")
				x.Record(counterfoil.Event{Kind: counterfoil.EventRefused, Reason: counterfoil.ReasonUnknown})
				if err := x.Flush(t.Context()); !errors.Is(err, broken) || !errors.Is(x.Err(), broken) {
					t.Fatalf("Flush %v, Err %v, want the store's error", err, x.Err())
				}
				for range 3 {
					x.Flush(t.Context()) // fails again, but for an answer that was lost: the second look finds it done
				}
				r.store.set(nil)
				r.flush(x)
				if err := x.Err(); err != nil {
					t.Errorf("Err after the outage: %v", err)
				}
				r.end("bob")
			})
			r.whole()
			if got := r.subjects(); !slices.Equal(got, []string{"alice", "bob"}) {
				t.Errorf("got %q", got)
			}
			refused := 0
			for _, l := range r.lines() {
				if l.Kind == "refused" {
					refused += l.Count
				}
			}
			if refused != 1 {
				t.Errorf("%d refusals in the file, want 1", refused)
			}
		})
	}
}

func TestUnreadableDetail(t *testing.T) {
	r := newRig(t)
	r.end("key gone")
	r.run(func(*audit.Exporter) {})
	r.whole()
	l := r.lines()[1]
	if !l.Unreadable || l.Subject != "" || l.SubjectHash == "" || l.Reason != "revoked" {
		t.Errorf("got %+v", l)
	}
}

func TestGapIsALine(t *testing.T) {
	r := newRig(t)
	r.run(func(x *audit.Exporter) {
		r.end("alice")
		r.flush(x)
		for range 5 {
			r.end("lost")
		}
		once := false
		r.store.log = func(p counterfoil.Page, err error) (counterfoil.Page, error) {
			if once {
				return p, err
			}
			once = true
			return counterfoil.Page{Incarnation: p.Incarnation, Head: p.Head, Floor: p.Head - 1}, counterfoil.ErrGap
		}
	})
	r.whole()
	all := r.lines()
	gap := all[len(all)-2]
	if gap.Kind != audit.KindGap || gap.LostFrom != 2 || gap.LostTo != 5 {
		t.Errorf("got %+v", gap)
	}
}

// Another incarnation of the log (a restored backup) is read from what that store says was exported.
func TestOtherIncarnation(t *testing.T) {
	r := newRig(t)
	other := newRig(t)
	r.run(func(x *audit.Exporter) {
		for range 3 {
			r.end("alice")
		}
		r.flush(x)
		other.end("bob")
		note := r.note()
		r.store.Store = other.store.Store
		if err := r.store.SwapMeta(t.Context(), audit.TailKey, nil, note); err != nil {
			t.Fatal(err)
		}
	})
	r.whole()
	if got := r.subjects(); !slices.Equal(got, []string{"alice", "alice", "alice", "bob"}) {
		t.Errorf("got %q", got)
	}
}

// A store that begins anew at each start (store/memory) goes on in the same file.
func TestNewStoreOldFile(t *testing.T) {
	r := newRig(t)
	r.run(func(*audit.Exporter) { r.end("alice"); r.end("alice") })
	next := newRig(t)
	next.path, next.keys = r.path, r.keys
	next.run(func(*audit.Exporter) { next.end("bob") })
	next.whole()
	if got := next.subjects(); !slices.Equal(got, []string{"alice", "alice", "bob"}) {
		t.Errorf("got %q", got)
	}
}

// Equal refusals are counted together; what finds no room is counted.
func TestFlood(t *testing.T) {
	r := newRig(t)
	const sources = audit.MaxPending + 100
	r.run(func(x *audit.Exporter) {
		for i := range 3 * sources {
			x.Record(counterfoil.Event{
				Kind: counterfoil.EventRefused, Reason: counterfoil.ReasonForged,
				Session: counterfoil.Info{IP: fmt.Sprint("source-", i%sources)},
			})
		}
	})
	r.whole()
	refused, dropped := 0, 0
	for _, l := range r.lines() {
		switch l.Kind {
		case "refused":
			refused += l.Count
		case audit.KindDropped:
			dropped += l.Count
		}
	}
	if refused != 3*audit.MaxPending || dropped != 3*100 {
		t.Errorf("%d refusals and %d dropped, want %d and %d", refused, dropped, 3*audit.MaxPending, 3*100)
	}
}

// Whatever a client sends, a line stays one line of printable characters, and bounded.
func TestNoInjection(t *testing.T) {
	r := newRig(t)
	nasty := "x\n{\"v\":1}\r\x00\x1b[31m\u009b2J\u202eevil\u2028\x7f\xff\U000e0001\u00a0é"
	long := strings.Repeat("\x00é\U0001f600", 5000)
	r.run(func(x *audit.Exporter) {
		for _, s := range []string{nasty, long} {
			x.Record(counterfoil.Event{
				Kind: counterfoil.EventKind(s), Reason: counterfoil.Reason(s), Time: time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC),
				Session: counterfoil.Info{Subject: s, Actor: s, IP: s, Label: s, Methods: slices.Repeat([]string{s}, 50)},
			})
		}
	})
	if rep := r.whole(); rep.Lines != 3 {
		t.Errorf("%d lines, want 3", rep.Lines)
	}
	raw := r.bytes()
	for _, c := range string(raw) {
		if c < ' ' && c != '\n' || c >= 0x7f && c <= 0xa0 || c == '\u202e' || c == '\u2028' || c == '\U000e0001' {
			t.Errorf("%q in the file", c)
		}
	}
	if got, want := r.lines()[1].Label, strings.ToValidUTF8(nasty, "\ufffd"); got != want {
		t.Errorf("read back %q, want %q", got, want)
	}
	for text := range bytes.SplitSeq(raw, []byte("\n")) {
		if len(text) > audit.MaxLine {
			t.Errorf("a line of %d bytes", len(text))
		}
	}
}

func TestManyAtOnce(t *testing.T) {
	r := newRig(t)
	x := r.open()
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 20 {
				x.Record(counterfoil.Event{Kind: counterfoil.EventRefused, Session: counterfoil.Info{IP: fmt.Sprint(i, j)}})
				r.end(fmt.Sprint(i))
				if err := x.Flush(context.Background()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	r.close(x)
	if rep := r.whole(); rep.Lines != 1+2*160 {
		t.Errorf("%d lines, want %d", rep.Lines, 1+2*160)
	}
	if err := x.Flush(t.Context()); err == nil {
		t.Error("Flush after Close succeeded")
	}
	r.close(x) // a second time: nothing
}

func TestRefusedFiles(t *testing.T) {
	for name, c := range map[string]struct {
		make func(t *testing.T, path string)
		want string
	}{
		"readable by others": {func(t *testing.T, p string) { write(t, p, 0o644) }, "chmod 0600"},
		"writable by group":  {func(t *testing.T, p string) { write(t, p, 0o620) }, "chmod 0600"},
		"a folder":           {func(t *testing.T, p string) { must(t, os.Mkdir(p, 0o700)) }, "not a regular file"},
		"a symlink": {func(t *testing.T, p string) {
			write(t, p+".real", 0o600)
			must(t, os.Symlink(p+".real", p))
		}, "not a regular file"},
		"folder open to all": {func(t *testing.T, p string) { must(t, os.Chmod(filepath.Dir(p), 0o777)) }, "chmod 0700"},
		"no folder":          {func(t *testing.T, p string) { must(t, os.Remove(filepath.Dir(p))) }, "make the folder"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			c.make(t, r.path)
			_, err := audit.Open(t.Context(), r.config())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error that says %q", err, c.want)
			}
		})
	}
}

func TestRefusedConfig(t *testing.T) {
	r := newRig(t)
	for name, change := range map[string]func(*audit.Config){
		"path":     func(c *audit.Config) { c.Path = "" },
		"store":    func(c *audit.Config) { c.Store = nil },
		"describe": func(c *audit.Config) { c.Describe = nil },
		"keys":     func(c *audit.Config) { c.Keys = nil },
	} {
		cfg := r.config()
		change(&cfg)
		if _, err := audit.Open(t.Context(), cfg); err == nil {
			t.Errorf("Open without %s succeeded", name)
		}
	}
}

func write(t *testing.T, path string, mode fs.FileMode) {
	t.Helper()
	must(t, os.WriteFile(path, nil, 0o600))
	must(t, os.Chmod(path, mode))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
