package e2e

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/programtest"
)

// rounds is how often the kill loops kill: KILL_ROUNDS, else 200 with COUNTERFOIL_SOAK, else few.
func rounds(t *testing.T, few int) int {
	t.Helper()
	if text := os.Getenv("KILL_ROUNDS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			t.Fatalf("KILL_ROUNDS=%s", text)
		}
		return n
	}
	if os.Getenv("COUNTERFOIL_SOAK") != "" {
		return 200
	}
	return few
}

type state int

const (
	lives state = iota
	ends        // its end was sent, and no answer came
	hasEnded
)

// ticket is a sign-in that was acknowledged.
type ticket struct {
	id, cookie string
	state      state
	told       bool // its end was acknowledged
}

// ledger is what a client was told.
type ledger struct {
	mu      sync.Mutex
	tickets []*ticket
}

func (l *ledger) add(id, cookie string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tickets = append(l.tickets, &ticket{id: id, cookie: cookie})
}

// take picks, mostly, two tickets that live: one to end, which is now in doubt, and one that may end it.
func (l *ledger) take() (victim, by *ticket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if rand.IntN(4) == 0 {
		return nil, nil // some live on
	}
	for _, i := range rand.Perm(len(l.tickets)) {
		switch k := l.tickets[i]; {
		case k.state != lives:
		case victim == nil:
			victim = k
		default:
			victim.state = ends
			return victim, k
		}
	}
	return nil, nil
}

func (l *ledger) ended(k *ticket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k.state, k.told = hasEnded, true
}

// acknowledged counts what the client was told.
func (l *ledger) acknowledged() (signIns, ends int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range l.tickets {
		if k.told {
			ends++
		}
	}
	return len(l.tickets), ends
}

// load signs in and ends without a pause, until the server is gone.
func (l *ledger) load(s *server) {
	ctx := context.Background()
	for turn := rand.IntN(2); ; turn++ {
		answer, body, err := s.json(ctx, http.MethodPost, "/auth/login", "", `{"username":"alice","password":"`+passphrase+`"}`)
		if err != nil {
			return
		}
		cookie, _ := programtest.SessionCookie(answer)
		if answer.StatusCode == http.StatusServiceUnavailable {
			continue // nothing was acknowledged
		}
		var told struct{ Session struct{ ID string } }
		if err := json.Unmarshal([]byte(body), &told); err != nil || answer.StatusCode != http.StatusOK || cookie == "" {
			s.t.Errorf("sign-in: %d %s", answer.StatusCode, body)
			return
		}
		l.add(told.Session.ID, cookie)
		victim, by := l.take()
		if victim == nil {
			continue
		}
		if turn%2 == 0 {
			answer, body, err = s.Send(ctx, "/auth/logout", victim.cookie, url.Values{})
		} else {
			answer, body, err = s.json(ctx, http.MethodDelete, "/auth/api/v1/sessions/"+victim.id, by.cookie, "")
		}
		if err != nil {
			return
		}
		switch answer.StatusCode {
		case http.StatusNoContent:
			l.ended(victim)
		case http.StatusUnauthorized: // who was to end it may itself have been ended by now: then nothing was done
		case http.StatusServiceUnavailable: // nor acknowledged
		default:
			s.t.Errorf("end: %d %s", answer.StatusCode, body)
		}
	}
}

func (s *server) json(ctx context.Context, method, path, cookie, body string) (*http.Response, string, error) {
	return s.Request(ctx, method, path, cookie, body, http.Header{"Content-Type": {"application/json"}})
}

// check compares what the client was told with what is true.
func (l *ledger) check(s *server, round int) {
	s.t.Helper()
	for _, k := range l.tickets {
		answer, body := s.Do("/auth/check", k.cookie, nil)
		switch in := answer.StatusCode == http.StatusOK; {
		case !in && answer.StatusCode != http.StatusUnauthorized:
			s.t.Fatalf("round %d: %d %s", round, answer.StatusCode, body)
		case k.state == lives && !in:
			s.t.Fatalf("round %d: the sign-in %s was acknowledged and is lost\n%s", round, k.id, s.Log)
		case k.state == hasEnded && in:
			s.t.Fatalf("round %d: %s has ended and is signed in again", round, k.id)
		case k.state == ends && in:
			k.state = lives
		case k.state == ends:
			k.state = hasEnded
		}
	}
}

// killLoop kills the server with -9 in the middle of sign-ins and ends, again and again, and checks
// after each start that nothing is lost that was acknowledged, and nothing ended lives.
func killLoop(t *testing.T, dir string, rounds int) *ledger {
	t.Helper()
	addUser(t, dir, "alice")
	l := &ledger{}
	for round := range rounds {
		s := serve(t, dir, "--max-sessions", "1000")
		l.check(s, round)
		var workers sync.WaitGroup
		for range 3 {
			workers.Go(func() { l.load(s) })
		}
		signIns, ends := l.acknowledged()
		signIns, ends = signIns+1+rand.IntN(3), ends+rand.IntN(4)
		s.Until("busy", func() bool {
			moreIns, moreEnds := l.acknowledged()
			return moreIns >= signIns && moreEnds >= ends
		})
		time.Sleep(rand.N(100 * time.Millisecond))
		s.Kill()
		workers.Wait()
		if t.Failed() {
			t.FailNow()
		}
	}
	s := serve(t, dir, "--max-sessions", "1000")
	l.check(s, rounds)
	s.Stop()
	signIns, ends := l.acknowledged()
	t.Logf("%d kills; acknowledged: %d sign-ins and %d ends", rounds, signIns, ends)
	return l
}

// Durable: what was acknowledged survives kill -9. C1, CD16, D28
func TestG1Durable(t *testing.T) {
	l := killLoop(t, folder(t), rounds(t, 12))
	if signIns, ends := l.acknowledged(); signIns < 10 || ends < 4 {
		t.Errorf("%d sign-ins and %d ends are no test", signIns, ends)
	}
}

// On the record: after any number of kills the audit is whole, and every change that was acknowledged
// has its line.
func TestG8OnTheRecord(t *testing.T) {
	dir := folder(t)
	l := killLoop(t, dir, rounds(t, 5))
	if out := must(t, "audit", "verify", "--data", dir); !strings.Contains(out, "whole") {
		t.Errorf("audit verify: %s", out)
	}
	text, err := os.ReadFile(filepath.Join(dir, "audit.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	in, out := map[string]int{}, map[string]int{}
	for line := range strings.Lines(string(text)) {
		var entry struct{ Kind, Session string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		switch entry.Kind {
		case "signed-in":
			in[entry.Session]++
		case "ended":
			out[entry.Session]++
		}
	}
	for _, k := range l.tickets {
		if in[k.id] != 1 {
			t.Errorf("%d lines for the sign-in %s", in[k.id], k.id)
		}
		if k.told && out[k.id] != 1 {
			t.Errorf("%d lines for the end of %s", out[k.id], k.id)
		}
		if k.state == lives && out[k.id] != 0 {
			t.Errorf("%s lives, and the audit has its end", k.id)
		}
	}
	for _, secret := range l.tickets {
		_, value, _ := strings.Cut(secret.cookie, "=")
		if strings.Contains(string(text), value) || strings.Contains(string(text), value[:21]) {
			t.Errorf("the token of %s stands in the audit", secret.id)
		}
	}

	// The test of the test: one byte changed is found.
	if err := os.WriteFile(filepath.Join(dir, "audit.jsonl"), []byte(strings.Replace(string(text), `"alice"`, `"alicf"`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	program.Command("audit", "verify", "--data", dir).Want(t, 5, "")
}
