package blob_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store/blob"
)

// When this is set the test binary is a child that works on the named store until it is killed.
const childStore = "COUNTERFOIL_TEST_CHILD_STORE"

var start = time.UnixMilli(1_800_000_000_123).UTC()

func random16() (b [16]byte) {
	rand.Read(b[:])
	return b
}

func session(subject counterfoil.SubjectHash) *counterfoil.Record {
	return &counterfoil.Record{
		Version: counterfoil.RecordVersion, ID: random16(), Kind: counterfoil.KindBrowser, Subject: subject,
		Created: start, Seen: start, IdleEnd: start.Add(time.Hour), AbsoluteEnd: start.Add(8 * time.Hour),
		IdentityKey: 1, VerifierKey: 1, SelectorKey: 1, IdentityCount: 1, Identity: []byte("sealed"),
	}
}

func signIn() counterfoil.Creation {
	return counterfoil.Creation{Entry: counterfoil.Entry{
		Kind: counterfoil.EntryCreated, Op: random16(), Reason: counterfoil.ReasonSignIn, Time: start,
	}}
}

func signOut(id counterfoil.ID) counterfoil.Entry {
	return counterfoil.Entry{Kind: counterfoil.EntryEnded, Op: random16(), Session: id, Reason: counterfoil.ReasonSignOut, Time: start}
}

// work signs in and out from several goroutines, and prints a line for what was acknowledged:
// "+ID" after a sign-in, "-ID" after a sign-out. It says "?ID" before it asks for a sign-out, as
// from there on the session may be gone.
func work(dsn string) error {
	ctx := context.Background()
	s, err := blob.Open(ctx, dsn, blob.Options{})
	if err != nil {
		return err
	}
	failed := make(chan error)
	for range 4 {
		go func() {
			for i := 0; ; i++ {
				r := session(random16())
				if _, err := s.Create(ctx, r, signIn()); err != nil {
					failed <- err
					return
				}
				fmt.Printf("+%s\n", r.ID)
				if i%2 == 0 {
					fmt.Printf("?%s\n", r.ID)
					if _, err := s.Revoke(ctx, signOut(r.ID)); err != nil {
						failed <- err
						return
					}
					fmt.Printf("-%s\n", r.ID)
				}
			}
		}()
	}
	return <-failed
}

// runAndKill runs a child on the store, kills it a while after it has begun to work and returns what
// it had said.
func runAndKill(dsn string, after time.Duration) (lines []string, err error) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childStore+"="+dsn)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	kill := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() }) // should it hang
	in := bufio.NewScanner(out)
	for in.Scan() {
		if len(lines) == 0 { // it works: now its time runs
			kill.Reset(after)
		}
		lines = append(lines, in.Text())
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.Exited() {
		return nil, fmt.Errorf("the child ended by itself: %w", err)
	}
	return lines, nil
}

// P28, P67, C1: two processes work on one folder and are killed at any moment, again and again. What
// they had acknowledged is there, and their journal is one.
func TestKill(t *testing.T) {
	rounds := 12
	if os.Getenv("COUNTERFOIL_SOAK") != "" {
		rounds = 300
	}
	dsn := "file://" + filepath.Join(t.TempDir(), "store")
	live, ended := map[string]bool{}, map[string]bool{}
	for range rounds {
		var wg sync.WaitGroup
		var said [2][]string
		var errs [2]error
		for i := range said {
			wg.Go(func() {
				said[i], errs[i] = runAndKill(dsn, time.Duration(mathrand.IntN(60))*time.Millisecond)
			})
		}
		wg.Wait()
		if err := errors.Join(errs[:]...); err != nil {
			t.Fatal(err)
		}
		for _, lines := range said {
			for _, line := range lines {
				switch id := line[1:]; line[0] {
				case '+':
					live[id] = true
				case '?':
					delete(live, id)
				case '-':
					ended[id] = true
				}
			}
		}
		s := open(t, dsn)
		check(t, s, live, true)
		check(t, s, ended, false)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(live) == 0 || len(ended) == 0 {
		t.Fatal("the children never got to do anything")
	}
	s := open(t, dsn)
	p, err := s.Log(t.Context(), 0, 1_000_000)
	if err != nil || len(p.Entries) != int(p.Head) {
		t.Fatalf("%d entries of %d, %v", len(p.Entries), p.Head, err)
	}
	entries := map[string]counterfoil.EntryKind{}
	for _, e := range p.Entries {
		entries[e.Session.String()] = e.Kind
	}
	for id := range live {
		if entries[id] != counterfoil.EntryCreated {
			t.Errorf("the last entry of a live session is of kind %d", entries[id])
		}
	}
	for id := range ended {
		if entries[id] != counterfoil.EntryEnded {
			t.Errorf("the last entry of an ended session is of kind %d", entries[id])
		}
	}
	t.Logf("%d rounds, %d live, %d ended", rounds, len(live), len(ended))
}

func check(t *testing.T, s *blob.Store, all map[string]bool, lives bool) {
	t.Helper()
	for text := range all {
		id, err := counterfoil.ParseID(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Load(t.Context(), id); (err == nil) != lives || err != nil && !errors.Is(err, counterfoil.ErrNotFound) {
			t.Fatalf("an acknowledged session (it lives: %v) loads with %v", lives, err)
		}
	}
}
