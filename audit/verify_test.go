package audit_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/keyring"
)

// sample is a file of three runs.
func sample(t *testing.T) *rig {
	r := newRig(t)
	for range 3 {
		r.run(func(x *audit.Exporter) {
			r.end("alice")
			r.end("bob")
			x.Record(counterfoil.Event{Kind: counterfoil.EventRefused, Reason: counterfoil.ReasonForged, Time: start})
		})
	}
	if rep := r.whole(); rep.Lines != 12 {
		t.Fatalf("%d lines, want 12", rep.Lines)
	}
	return r
}

// lineOf is the number of the line that the byte at i belongs to.
func lineOf(file []byte, i int) int { return 1 + bytes.Count(file[:i], []byte("\n")) }

func TestEveryChangedByteIsFound(t *testing.T) {
	r := sample(t)
	file, note := r.bytes(), r.note()
	for i := range file {
		for _, bit := range []byte{0x01, 0x20, 0x80} {
			bad := bytes.Clone(file)
			bad[i] ^= bit
			if rep := verify(t, bytes.NewReader(bad), r.keys, note); rep.Broken != lineOf(file, i) {
				t.Fatalf("byte %d of line %d, %q to %q: reported line %d: %s", i, lineOf(file, i), file[i], bad[i], rep.Broken, rep.Why)
			}
		}
	}
}

func TestEveryMissingLineIsFound(t *testing.T) {
	r := sample(t)
	all := bytes.SplitAfter(r.bytes(), []byte("\n"))
	all = all[:len(all)-1]
	for i := range all {
		for j := i + 1; j <= len(all); j++ {
			bad := bytes.Join(slices.Concat(all[:i], all[j:]), nil)
			if rep := verify(t, bytes.NewReader(bad), r.keys, r.note()); rep.Broken != i+1 || rep.Why == "" {
				t.Errorf("without lines %d to %d: reported %d: %s", i+1, j, rep.Broken, rep.Why)
			}
		}
	}
}

func TestEveryMovedOrRepeatedLineIsFound(t *testing.T) {
	r := sample(t)
	all := bytes.SplitAfter(r.bytes(), []byte("\n"))
	all = all[:len(all)-1]
	for i := range all {
		for j := i + 1; j < len(all); j++ {
			bad := slices.Clone(all)
			bad[i], bad[j] = bad[j], bad[i]
			if rep := verify(t, bytes.NewReader(bytes.Join(bad, nil)), r.keys, r.note()); rep.Broken != i+1 {
				t.Errorf("lines %d and %d exchanged: reported %d: %s", i+1, j+1, rep.Broken, rep.Why)
			}
		}
		twice := bytes.Join(slices.Insert(slices.Clone(all), i, all[i]), nil)
		if rep := verify(t, bytes.NewReader(twice), r.keys, r.note()); rep.Broken != i+2 {
			t.Errorf("line %d twice: reported %d: %s", i+1, rep.Broken, rep.Why)
		}
	}
}

func TestEveryCutEndIsFound(t *testing.T) {
	r := sample(t)
	file := r.bytes()
	for i := range file {
		rep := verify(t, bytes.NewReader(file[:i]), r.keys, r.note())
		if want := lineOf(file, i); rep.Broken != want {
			t.Fatalf("cut after %d of %d bytes, in line %d: reported %d: %s", i, len(file), want, rep.Broken, rep.Why)
		}
	}
}

// A cut stays known after the exporter has gone on, and so does a file that was put in its place.
func TestCutIsNotForgottenByARestart(t *testing.T) {
	for name, change := range map[string]func(file []byte) []byte{
		"cut":     func(f []byte) []byte { return f[:len(f)/2] },
		"emptied": func([]byte) []byte { return nil },
		"older":   func(f []byte) []byte { return f[:bytes.IndexByte(f, '\n')+1] },
		"padded":  func(f []byte) []byte { return append(f[:len(f)-400], bytes.Repeat([]byte(" "), 400)...) },
	} {
		t.Run(name, func(t *testing.T) {
			r := sample(t)
			must(t, os.WriteFile(r.path, change(r.bytes()), 0o600))
			r.run(func(*audit.Exporter) { r.end("carol") })
			r.run(func(*audit.Exporter) { r.end("dave") })
			if rep := r.verify(); rep.Broken == 0 {
				t.Errorf("not found:\n%s", r.bytes())
			}
			if got := r.subjects(); !slices.Equal(got[len(got)-2:], []string{"carol", "dave"}) {
				t.Errorf("the exporter did not go on: %q", got)
			}
			if !bytes.Contains(r.log.Bytes(), []byte("level=ERROR")) {
				t.Error("nothing in the log")
			}
		})
	}
}

// Lines that somebody without the key adds behind the end are found, before and after a restart.
func TestForgedLinesAreFound(t *testing.T) {
	r := sample(t)
	thief := sample(t)
	all := bytes.SplitAfter(thief.bytes(), []byte("\n"))
	for i := range all[:len(all)-1] {
		forged := append(bytes.Clone(r.bytes()), all[i]...)
		if rep := verify(t, bytes.NewReader(forged), r.keys, r.note()); rep.Broken != 13 {
			t.Errorf("another file's line %d at the end: reported %d: %s", i+1, rep.Broken, rep.Why)
		}
	}
	must(t, os.WriteFile(r.path, append(r.bytes(), all[1]...), 0o600))
	r.run(func(*audit.Exporter) { r.end("carol") })
	if rep := r.verify(); rep.Broken != 13 {
		t.Errorf("after a restart: reported %d: %s", rep.Broken, rep.Why)
	}
	if rep := verify(t, bytes.NewReader(thief.bytes()), r.keys, r.note()); rep.Broken == 0 {
		t.Error("another installation's file passed for ours")
	}
}

// When the keys were lost the old part is unverifiable and not broken, and still linked: a change in
// its last line, or lines missing from it, are found.
func TestKeysLost(t *testing.T) {
	r := sample(t)
	old := r.keys
	r.keys = newKeys(t)
	r.run(func(*audit.Exporter) { r.end("carol") })
	rep := r.whole()
	if rep.Lines != 14 || rep.Unverifiable != 12 {
		t.Errorf("%d lines, %d unverifiable, want 14 and 12", rep.Lines, rep.Unverifiable)
	}
	if got := r.subjects(); got[len(got)-1] != "carol" || len(got) != 7 {
		t.Errorf("subjects %q", got)
	}
	file := r.bytes()
	last := bytes.Index(file, []byte("\n{\"v\":1,\"chain\":\""+r.lines()[12].Chain))
	bad := bytes.Clone(file)
	bad[last-60] ^= 1
	if rep := r.verifyBytes(bad); rep.Broken == 0 {
		t.Error("a change in the old part's last line was not found")
	}
	if rep := r.verifyBytes(file[bytes.IndexByte(file, '\n')+1:]); rep.Broken != 1 {
		t.Errorf("a line missing from the old part: reported %d: %s", rep.Broken, rep.Why)
	}
	// whoever finds the old keys can check the old part
	if rep := verify(t, bytes.NewReader(file), old, nil); rep.Broken != 0 || rep.Unverifiable != 2 {
		t.Errorf("with the old keys: %+v", rep)
	}
}

// Chains whose key is gone still say what stood before them.
func TestUnverifiableChainsAreLinked(t *testing.T) {
	r := sample(t)
	other := newKeys(t)
	file := r.bytes()
	if rep := verify(t, bytes.NewReader(file), other, nil); rep.Broken != 0 || rep.Unverifiable != 12 {
		t.Fatalf("%+v", rep)
	}
	bad := bytes.Replace(file, []byte(`"n":4,"node":"node-1"`), []byte(`"n":4,"node":"node-2"`), 1)
	if rep := verify(t, bytes.NewReader(bad), other, nil); rep.Broken != 5 {
		t.Errorf("a change before the second chain: %+v", rep)
	}
	if rep := r.verifyBytes(bad); rep.Broken != 4 {
		t.Errorf("with the key: %+v", rep)
	}
}

// What a crash left is as fixed as any line once a recovery has told of it.
func TestTornBytesAreFixed(t *testing.T) {
	r := sample(t)
	must(t, os.WriteFile(r.path, append(r.bytes(), "{\"v\":1,\"cha\n\x00\x00"...), 0o600))
	r.run(func(*audit.Exporter) { r.end("carol") })
	if rep := r.whole(); rep.Torn != 2 {
		t.Fatalf("%+v", rep)
	}
	file := r.bytes()
	for i := range file {
		bad := bytes.Clone(file)
		bad[i] ^= 4
		rep := r.verifyBytes(bad)
		if line := lineOf(file, i); rep.Broken != line && !(rep.Broken == 13 && (line == 14 || line == 15)) {
			t.Fatalf("byte %d of line %d: reported line %d: %s", i, line, rep.Broken, rep.Why)
		}
	}
}

// A chain that is well linked and under no key of ours is no end of our file.
func TestForeignEndIsFound(t *testing.T) {
	r := sample(t)
	file := r.bytes()
	last := bytes.Split(bytes.TrimSuffix(file, []byte("\n")), []byte("\n"))[11]
	forged := fmt.Appendf(bytes.Clone(file), `{"v":1,"chain":"%032x","n":13,"node":"x","time":"2026-11-21T12:00:00Z","kind":"begin","after":"%x","mac":"%043d"}`+"\n",
		7, sha256.Sum256(last), 0)
	if rep := r.verifyBytes(forged); rep.Broken != 13 {
		t.Errorf("%+v", rep)
	}
	if rep := verify(t, bytes.NewReader(forged), r.keys, nil); rep.Unverifiable != 1 {
		t.Errorf("without the store's note: %+v", rep)
	}
}

// The store's note decides even where the chain is whole: a file of the same length is another file.
func TestNoteOfAnotherLine(t *testing.T) {
	r := sample(t)
	mac := r.lines()[11].MAC
	mac = strings.NewReplacer("-", "+", "_", "/").Replace(mac) + "="
	other := strings.Repeat("A", 42) + "A="
	note := bytes.Replace(r.note(), []byte(mac), []byte(other), 1)
	if bytes.Equal(note, r.note()) {
		t.Fatalf("%s is not in %s", mac, note)
	}
	if rep := verify(t, bytes.NewReader(r.bytes()), r.keys, note); rep.Broken != 12 {
		t.Errorf("%+v", rep)
	}
}

// Without the key nobody can pass a part of ours off as one whose key is gone.
func TestOursIsNotCalledUnverifiable(t *testing.T) {
	r := sample(t)
	lost := newRig(t)
	lost.run(func(*audit.Exporter) { lost.end("mallory"); lost.end("mallory"); lost.end("mallory") })
	ours := bytes.SplitAfter(r.bytes(), []byte("\n"))
	foreign := bytes.SplitAfter(lost.bytes(), []byte("\n"))
	bad := bytes.Join(slices.Concat(foreign[:3], ours[3:]), nil) // the first chain has lines 1 to 4
	if rep := r.verifyBytes(bad); rep.Broken != 4 {
		t.Errorf("three of four lines exchanged: reported %d: %s", rep.Broken, rep.Why)
	}
	bad = bytes.Join(slices.Concat(foreign[:4], ours[4:]), nil)
	if rep := r.verifyBytes(bad); rep.Broken != 4 {
		t.Errorf("a whole chain exchanged: reported %d: %s", rep.Broken, rep.Why)
	}
}

func (r *rig) verifyBytes(file []byte) audit.Report {
	r.Helper()
	return verify(r.T, bytes.NewReader(file), r.keys, r.note())
}

func TestVerifyWhileWriting(t *testing.T) {
	r := sample(t)
	file := append(r.bytes(), `{"v":1,"chain":"ab`...)
	if rep := r.verifyBytes(file); rep.Broken != 0 || rep.Torn != 1 {
		t.Errorf("a line that is being written: %+v", rep)
	}
	if rep := r.verifyBytes(append(file, '\n')); rep.Broken != 13 {
		t.Errorf("half a line with a line break: %+v", rep)
	}
	if rep := r.verifyBytes(append(r.bytes(), bytes.Repeat([]byte{0}, 3*audit.MaxLine)...)); rep.Broken != 0 {
		t.Errorf("zeros after a power failure: %+v", rep)
	}
	if _, err := audit.Verify(bytes.NewReader(file), r.keys.AuditKey(), []byte("{}")); err == nil {
		t.Error("a damaged note was taken")
	}
}

// A chain begins anew after 65536 lines, so that a crash can be surveyed quickly.
func TestLongChain(t *testing.T) {
	r := newRig(t)
	const many = 1<<16 + 10
	r.run(func(x *audit.Exporter) {
		for i := range many {
			x.Record(counterfoil.Event{Kind: counterfoil.EventRefused, Session: counterfoil.Info{IP: fmt.Sprint(i)}})
			if i%audit.MaxPending == audit.MaxPending-1 {
				r.flush(x)
			}
		}
	})
	if rep := r.whole(); rep.Lines != many+2 {
		t.Errorf("%d lines, want %d", rep.Lines, many+2)
	}
}

func FuzzVerify(f *testing.F) {
	keys, err := keyring.Generate(start, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("{}\n"), []byte(nil))
	f.Add([]byte("\n\n\x00"), []byte("{}"))
	for _, name := range []string{"audit.jsonl", "audit-recovered.jsonl"} {
		raw, err := os.ReadFile("../testdata/vectors/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw, []byte(nil))
	}
	f.Fuzz(func(t *testing.T, file, note []byte) {
		if len(note) == 0 {
			note = nil
		}
		rep, err := audit.Verify(bytes.NewReader(file), keys.AuditKey(), note)
		if err != nil {
			return
		}
		if rep.Broken == 0 && rep.Lines > rep.Unverifiable+rep.Torn {
			t.Errorf("a line passed for one under a key that nobody has: %+v", rep)
		}
		if rep.Broken > rep.Lines+1 || (rep.Broken == 0) != (rep.Why == "") {
			t.Errorf("%+v", rep)
		}
	})
}

func FuzzParseLine(f *testing.F) {
	raw, err := os.ReadFile("../testdata/vectors/audit.jsonl")
	if err != nil {
		f.Fatal(err)
	}
	for line := range bytes.SplitSeq(raw, []byte("\n")) {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := audit.ParseLine(text)
		if err != nil {
			return
		}
		if l.Number == 0 || l.Version != audit.Version || len(l.MAC) != 43 || len(l.Chain) != 32 {
			t.Errorf("taken: %+v", l)
		}
	})
}
