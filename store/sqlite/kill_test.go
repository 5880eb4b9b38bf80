package sqlite_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
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
	path, ctx := temp(t), context.Background()
	live, ended := make(map[string]bool), make(map[string]bool)
	var head uint64
	for round := range rounds {
		lines := runAndKill(t, path, time.Duration(rand.IntN(40))*time.Millisecond)
		for _, line := range lines {
			if len(line) != 23 {
				continue // cut by the kill
			}
			switch id := line[1:]; line[0] {
			case '+':
				live[id] = true
			case '?':
				delete(live, id)
			case '-':
				ended[id] = true
			}
		}
		s := open(t, path)
		for text := range live {
			if r, err := load(s, text); err != nil {
				t.Fatalf("round %d: a session that was acknowledged is lost: %v", round, err)
			} else if len(r.Identity) != 300 || len(r.Values) != 100 {
				t.Fatalf("round %d: a session came back mixed: %+v", round, r)
			}
		}
		for text := range ended {
			if _, err := load(s, text); !errors.Is(err, counterfoil.ErrNotFound) {
				t.Fatalf("round %d: a session that was ended is back: %v", round, err)
			}
		}
		if err := s.Check(ctx); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		p := wholeLog(t, s)
		created, gone := 0, 0
		for i, e := range p {
			if e.Seq != uint64(i+1) {
				t.Fatalf("round %d: entry %d stands at position %d", round, e.Seq, i+1)
			}
			switch e.Kind {
			case counterfoil.EntryCreated:
				created++
			case counterfoil.EntryEnded:
				gone++
				if live[e.Session.String()] {
					t.Fatalf("round %d: the log ends a live session", round)
				}
			}
		}
		if uint64(len(p)) < head || created < len(live)+len(ended) || gone < len(ended) {
			t.Fatalf("round %d: the log lost entries: %d after %d, %d created, %d ended; acknowledged %d and %d",
				round, len(p), head, created, gone, len(live)+len(ended), len(ended))
		}
		head = uint64(len(p))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d rounds, %d live, %d ended, log of %d", rounds, len(live), len(ended), head)
	if len(live) == 0 || len(ended) == 0 {
		t.Error("the child never got to do anything")
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
