// Package killtest kills processes that work on a store, and looks whether all that was acknowledged is
// there. The test binary of a store is the process, too:
//
//	func TestMain(m *testing.M) {
//		killtest.Child(func(place string) (counterfoil.Store, error) { return store.Open(place) })
//		os.Exit(m.Run())
//	}
//
//	func TestKill(t *testing.T) {
//		said, err := killtest.Run(place, 10, 20*time.Millisecond)
//		…
//		said.Check(t, reopened)
//	}
package killtest

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store/internal/sample"
)

// What stands in the environment of a child: its store, and how many visit it at once.
const (
	childStore    = "COUNTERFOIL_TEST_CHILD_STORE"
	childVisitors = "COUNTERFOIL_TEST_CHILD_VISITORS"
)

// few visitors say soon what became of each.
const few = 4

// Child returns at once, unless this process was started by Run: then it opens the store and works on it
// until it is killed.
func Child(open func(place string) (counterfoil.Store, error)) {
	place := os.Getenv(childStore)
	if place == "" {
		return
	}
	visitors, err := strconv.Atoi(cmp.Or(os.Getenv(childVisitors), strconv.Itoa(few)))
	var s counterfoil.Store
	if err == nil {
		s, err = open(place)
	}
	if err == nil {
		err = work(s, visitors)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// work signs in, touches and signs out from several goroutines, and prints a line for what was
// acknowledged: "+ID" after a sign-in, "-ID" after a sign-out. It says "?ID" before it asks for a
// sign-out, as from there on the session may be gone.
func work(s counterfoil.Store, visitors int) error {
	failed := make(chan error)
	for range visitors {
		go func() {
			for i := 0; ; i++ {
				if err := visit(s, i%2 == 0); err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	return <-failed
}

func visit(s counterfoil.Store, leaves bool) error {
	ctx, r := context.Background(), sample.Session(sample.Subject())
	if _, err := s.Create(ctx, r, sample.SignIn()); err != nil {
		return err
	}
	fmt.Printf("+%s\n", r.ID)
	if err := s.Touch(ctx, []counterfoil.Touch{{ID: r.ID, Seen: r.Seen.Add(time.Second), IdleEnd: r.IdleEnd.Add(time.Hour)}}); err != nil {
		return err
	}
	if !leaves {
		return nil
	}
	fmt.Printf("?%s\n", r.ID)
	if _, err := s.Revoke(ctx, sample.SignOut(r.ID)); err != nil {
		return err
	}
	fmt.Printf("-%s\n", r.ID)
	return nil
}

// Env is the variable that makes a child of a process, NAME=value.
func Env(place string) string { return childStore + "=" + place }

// Process is a child that works on the store for so many visitors at once, not started yet.
func Process(place string, visitors int) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), Env(place), childVisitors+"="+strconv.Itoa(visitors))
	cmd.Stderr = os.Stderr
	return cmd
}

// Run starts a child on the store, kills it with -9 a while after it has said as many lines, and returns
// what had been acknowledged. How many lines go into that while depends on the disk: most tell of an end
// after nine, and of one that lives after thirteen. An error: it ended by itself, or hung.
func Run(place string, lines int, after time.Duration) (Acknowledged, error) {
	cmd := Process(place, few)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return Acknowledged{}, err
	}
	if err := cmd.Start(); err != nil {
		return Acknowledged{}, err
	}
	kill := time.AfterFunc(Hung, func() { _ = cmd.Process.Kill() })
	said, n := none(), 0
	for in := bufio.NewScanner(out); in.Scan(); n++ {
		said.read(in.Text())
		switch {
		case n < lines:
			kill.Reset(Hung)
		case n == lines: // now its time runs
			kill.Reset(after)
		}
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.Exited() {
		return said, fmt.Errorf("the child ended by itself: %w", err)
	}
	if n <= lines {
		return said, fmt.Errorf("the child said %d lines in %v, and no more", n, Hung)
	}
	return said, nil
}

// Hung is how long nobody needs for what a child does between two lines.
const Hung = 5 * time.Minute

// Acknowledged are the IDs of sessions that live and have ended for certain.
type Acknowledged struct{ Live, Ended map[string]bool }

func none() Acknowledged { return Acknowledged{make(map[string]bool), make(map[string]bool)} }

// Read reads what a child prints, to the end.
func Read(out io.Reader) Acknowledged {
	a := none()
	for in := bufio.NewScanner(out); in.Scan(); {
		a.read(in.Text())
	}
	return a
}

func (a Acknowledged) read(line string) {
	if len(line) != 23 {
		return // cut by the kill
	}
	switch id := line[1:]; line[0] {
	case '+':
		a.Live[id] = true
	case '?':
		delete(a.Live, id)
	case '-':
		a.Ended[id] = true
	}
}

// Check loads them all: who lives is there as it was made, who has ended is not.
func (a Acknowledged) Check(t *testing.T, s counterfoil.Store) {
	t.Helper()
	for text := range a.Live {
		if r, err := load(s, text); err != nil {
			t.Fatalf("a session that was acknowledged is lost: %v", err)
		} else if like := sample.Session(r.Subject); len(r.Identity) != len(like.Identity) || len(r.Values) != len(like.Values) {
			t.Fatalf("a session came back mixed: %+v", r)
		}
	}
	for text := range a.Ended {
		if _, err := load(s, text); !errors.Is(err, counterfoil.ErrNotFound) {
			t.Fatalf("a session that was ended is back: %v", err)
		}
	}
}

func load(s counterfoil.Store, text string) (*counterfoil.Record, error) {
	id, err := counterfoil.ParseID(text)
	if err != nil {
		return nil, err
	}
	return s.Load(context.Background(), id)
}

// CheckLog compares the whole log, which was never trimmed, with them: it is dense, and says of each
// session what was acknowledged.
func (a Acknowledged) CheckLog(t *testing.T, s counterfoil.Store) {
	t.Helper()
	created, ended := make(map[string]bool), make(map[string]bool)
	for seq, more := uint64(0), true; more; {
		p, err := s.Log(context.Background(), seq, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range p.Entries {
			if seq++; e.Seq != seq {
				t.Fatalf("entry %d stands at position %d", e.Seq, seq)
			}
			switch e.Kind {
			case counterfoil.EntryCreated:
				created[e.Session.String()] = true
			case counterfoil.EntryEnded:
				ended[e.Session.String()] = true
			}
		}
		if more = len(p.Entries) > 0; !more && p.Head != seq {
			t.Fatalf("%d entries, and the head is %d", seq, p.Head)
		}
	}
	for id := range a.Live {
		if !created[id] || ended[id] {
			t.Errorf("a live session: created by the log %v, ended %v", created[id], ended[id])
		}
	}
	for id := range a.Ended {
		if !created[id] || !ended[id] {
			t.Errorf("an ended session: created by the log %v, ended %v", created[id], ended[id])
		}
	}
}
