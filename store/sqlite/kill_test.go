package sqlite_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store/sqlite"
)

// When this is set the test binary is a child that works on the named store until it is killed.
const childStore = "COUNTERFOIL_TEST_CHILD_STORE"

func TestMain(m *testing.M) {
	if path := os.Getenv(childStore); path != "" {
		if err := work(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// work signs in and out from several goroutines, and prints a line for what was acknowledged:
// "+ID" after a sign-in, "-ID" after a sign-out. It says "?ID" before it asks for a sign-out, as
// from there on the session may be gone.
func work(path string) error {
	ctx := context.Background()
	s, err := sqlite.Open(ctx, path, sqlite.Options{})
	if err != nil {
		return err
	}
	failed := make(chan error)
	for range 4 {
		go func() {
			for i := 0; ; i++ {
				r := session(newSubject())
				if _, err := s.Create(ctx, r, signIn()); err != nil {
					failed <- err
					return
				}
				fmt.Printf("+%s\n", r.ID)
				if err := s.Touch(ctx, []counterfoil.Touch{{ID: r.ID, Seen: noon.Add(time.Second), IdleEnd: noon.Add(2 * time.Hour)}}); err != nil {
					failed <- err
					return
				}
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

// runAndKill runs a child on the store, kills it after a while and returns what it had said.
func runAndKill(t *testing.T, path string, after time.Duration) []string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childStore+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var lines []string
	kill := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() }) // should it hang
	in := bufio.NewScanner(out)
	for in.Scan() {
		if len(lines) == 0 { // it works: now its time runs
			kill.Reset(after)
		}
		lines = append(lines, in.Text())
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.Exited() {
		t.Fatalf("the child ended by itself: %v", err)
	}
	return lines
}

// P28, P67, C1, CD16: what was acknowledged before kill -9 is there after it, again and again, and
// the file is whole.
func TestKill(t *testing.T) {
	rounds := 20
	if os.Getenv("COUNTERFOIL_SOAK") != "" {
		rounds = 400
	}
	path := temp(t)
	all := acknowledged{live: make(map[string]bool), ended: make(map[string]bool)}
	for range rounds {
		var last acknowledged
		last.read(runAndKill(t, path, time.Duration(rand.IntN(40))*time.Millisecond))
		s := open(t, path)
		last.check(t, s)
		if err := s.Check(context.Background()); err != nil {
			t.Fatal(err)
		}
		maps.Copy(all.live, last.live)
		maps.Copy(all.ended, last.ended)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(all.live) == 0 || len(all.ended) == 0 {
		t.Fatal("the child never got to do anything")
	}
	s := open(t, path)
	all.check(t, s) // later rounds hurt nothing of the earlier ones
	created, ended := make(map[string]bool), make(map[string]bool)
	for i, e := range wholeLog(t, s) {
		if e.Seq != uint64(i+1) {
			t.Fatalf("entry %d stands at position %d", e.Seq, i+1)
		}
		switch e.Kind {
		case counterfoil.EntryCreated:
			created[e.Session.String()] = true
		case counterfoil.EntryEnded:
			ended[e.Session.String()] = true
		}
	}
	for id := range all.live {
		if !created[id] || ended[id] {
			t.Errorf("a live session: created by the log %v, ended %v", created[id], ended[id])
		}
	}
	for id := range all.ended {
		if !created[id] || !ended[id] {
			t.Errorf("an ended session: created by the log %v, ended %v", created[id], ended[id])
		}
	}
	t.Logf("%d rounds, %d live, %d ended", rounds, len(all.live), len(all.ended))
}

// acknowledged is what a child was told before it was killed.
type acknowledged struct{ live, ended map[string]bool }

func (a *acknowledged) read(lines []string) {
	a.live, a.ended = make(map[string]bool), make(map[string]bool)
	for _, line := range lines {
		if len(line) != 23 {
			continue // cut by the kill
		}
		switch id := line[1:]; line[0] {
		case '+':
			a.live[id] = true
		case '?':
			delete(a.live, id)
		case '-':
			a.ended[id] = true
		}
	}
}

func (a *acknowledged) check(t *testing.T, s *sqlite.Store) {
	t.Helper()
	for text := range a.live {
		if r, err := load(s, text); err != nil {
			t.Fatalf("a session that was acknowledged is lost: %v", err)
		} else if len(r.Identity) != 300 || len(r.Values) != 100 {
			t.Fatalf("a session came back mixed: %+v", r)
		}
	}
	for text := range a.ended {
		if _, err := load(s, text); !errors.Is(err, counterfoil.ErrNotFound) {
			t.Fatalf("a session that was ended is back: %v", err)
		}
	}
}

func load(s *sqlite.Store, text string) (*counterfoil.Record, error) {
	id, err := counterfoil.ParseID(strings.TrimSpace(text))
	if err != nil {
		return nil, err
	}
	return s.Load(context.Background(), id)
}

func wholeLog(t *testing.T, s *sqlite.Store) (all []counterfoil.Entry) {
	t.Helper()
	for {
		p, err := s.Log(context.Background(), uint64(len(all)), 1000)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Entries) == 0 {
			return all
		}
		all = append(all, p.Entries...)
	}
}
