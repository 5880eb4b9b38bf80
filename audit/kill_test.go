package audit_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/store/sqlite"
)

const childFolder = "COUNTERFOIL_TEST_AUDIT_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childFolder); dir != "" {
		fmt.Fprintln(os.Stderr, work(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// sameKeys are the keys of parent and children.
func sameKeys() (*keyring.Ring, error) {
	return keyring.Generate(start, mathrand.NewChaCha8([32]byte([]byte("the keys of parent and children!"))))
}

func openBoth(ctx context.Context, dir string) (*sqlite.Store, *audit.Exporter, error) {
	store, err := sqlite.Open(ctx, filepath.Join(dir, "sessions.db"), sqlite.Options{})
	if err != nil {
		return nil, nil, err
	}
	keys, err := sameKeys()
	if err != nil {
		return nil, nil, err
	}
	x, err := audit.Open(ctx, audit.Config{
		Path: filepath.Join(dir, "audit.jsonl"), Store: store, Describe: describe, Keys: keys,
		Node: "child", Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	return store, x, err
}

// work ends sessions from several goroutines and prints the name of each whose end was acknowledged,
// while it exports without a pause.
func work(dir string) error {
	ctx := context.Background()
	store, x, err := openBoth(ctx, dir)
	if err != nil {
		return err
	}
	failed := make(chan error)
	for range 4 {
		go func() {
			for {
				name := rand.Text()
				e := counterfoil.Entry{
					Version: counterfoil.EntryVersion, Kind: counterfoil.EntryEndedSubject,
					Reason: counterfoil.ReasonRevoked, Time: start, Detail: []byte(name),
				}
				rand.Read(e.Op[:])
				copy(e.Subject[:], name)
				if _, err := store.Revoke(ctx, e); err != nil {
					failed <- err
					return
				}
				fmt.Println(name)
				x.Record(counterfoil.Event{Kind: counterfoil.EventRefused, Session: counterfoil.Info{IP: name}})
			}
		}()
	}
	go func() {
		for {
			if err := x.Flush(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) { // a busy disk takes its time
				failed <- err
				return
			}
		}
	}()
	return <-failed
}

// runAndKill runs a child, kills it after a while and returns what it had printed.
func runAndKill(t *testing.T, dir string, after time.Duration) (names []string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childFolder+"="+dir)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	kill := time.AfterFunc(5*time.Minute, func() { cmd.Process.Kill() }) // should it hang
	in := bufio.NewScanner(out)
	for in.Scan() {
		if len(names) == 0 {
			kill.Reset(after)
		}
		names = append(names, in.Text())
	}
	err = cmd.Wait()
	fault := false
	for line := range bytes.Lines(said.Bytes()) {
		slow := bytes.Contains(line, []byte(context.DeadlineExceeded.Error())) // it tries again
		fault = fault || bytes.Contains(line, []byte("level=ERROR")) && !slow
	}
	if err == nil || cmd.ProcessState.Exited() || fault {
		t.Fatalf("the child: %v\n%s", err, said.Bytes())
	}
	return names
}

// Whenever the process is killed, every change that was acknowledged stands in the file, once, and
// the chain verifies after each kill and in the end. G8
func TestKill(t *testing.T) {
	rounds := 15
	if os.Getenv("COUNTERFOIL_SOAK") != "" {
		rounds = 400
	}
	dir := t.TempDir()
	keys, err := sameKeys()
	must(t, err)
	acknowledged := make(map[string]bool)
	verifyNow := func(when string) audit.Report {
		store, err := sqlite.Open(t.Context(), filepath.Join(dir, "sessions.db"), sqlite.Options{})
		must(t, err)
		note, err := store.Meta(t.Context(), audit.TailKey)
		must(t, err)
		must(t, store.Close())
		file, err := os.Open(filepath.Join(dir, "audit.jsonl"))
		must(t, err)
		defer file.Close()
		rep := verify(t, file, keys, note)
		if rep.Broken != 0 {
			t.Fatalf("%s: line %d: %s", when, rep.Broken, rep.Why)
		}
		return rep
	}
	for round := range rounds {
		for _, name := range runAndKill(t, dir, time.Duration(mathrand.IntN(60))*time.Millisecond) {
			acknowledged[name] = true
		}
		verifyNow(fmt.Sprint("after kill ", round+1))
	}
	store, x, err := openBoth(t.Context(), dir)
	must(t, err)
	must(t, x.Close(t.Context()))
	must(t, store.Close())
	rep := verifyNow("in the end")

	file, err := os.Open(filepath.Join(dir, "audit.jsonl"))
	must(t, err)
	defer file.Close()
	times := make(map[string]int)
	var seq uint64
	in := bufio.NewScanner(file)
	for in.Scan() {
		l, err := audit.ParseLine(in.Bytes())
		if err != nil || l.Seq == 0 {
			continue
		}
		if l.Seq != seq+1 {
			t.Errorf("line %d has position %d of the log, after %d", l.Number, l.Seq, seq)
		}
		seq = l.Seq
		times[l.Subject]++
	}
	must(t, in.Err())
	for name := range acknowledged {
		if times[name] != 1 {
			t.Errorf("the end of %s was acknowledged and stands in the file %d times", name, times[name])
		}
	}
	if len(acknowledged) < rounds {
		t.Errorf("only %d ends in %d rounds", len(acknowledged), rounds)
	}
	t.Logf("%d kills, %d ends acknowledged, %d lines, %d torn", rounds, len(acknowledged), rep.Lines, rep.Torn)
}
