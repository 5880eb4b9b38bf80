package operate_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/account"
	"github.com/counterfoil/counterfoil/account/memaccount"
	"github.com/counterfoil/counterfoil/internal/config"
	"github.com/counterfoil/counterfoil/internal/operate"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/sessiontest"
	"github.com/counterfoil/counterfoil/store/memory"
)

// events is a Recorder that remembers.
type events []counterfoil.Event

func (e *events) Record(ev counterfoil.Event) { *e = append(*e, ev) }

// bench is an installation in memory with a fake clock.
type bench struct {
	*operate.Client
	operations *operate.Operations
	clock      *sessiontest.Clock
	recorded   events
	broken     error // what every call of the store fails with
}

func set(t *testing.T) *bench {
	t.Helper()
	b := &bench{}
	store := sessiontest.Flaky(memory.New(memory.Options{}), func(string) error { return b.broken })
	ring, err := keyring.Generate(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC), nil)
	if err != nil {
		t.Fatal(err)
	}
	var sessions *counterfoil.Manager
	sessions, b.clock = sessiontest.New(t, func(c *counterfoil.Config) { c.Store, c.Keys = store, ring })
	hasher, err := account.NewHasher(account.Params{Memory: 64, Passes: 1, Threads: 1}, 2)
	if err != nil {
		t.Fatal(err)
	}
	accounts, err := account.NewService(account.Config{Store: memaccount.New(), Clock: b.clock, Hasher: hasher})
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(config.Input{Flags: map[string][]string{"data": {t.TempDir()}, "dev": {"true"}}})
	if err != nil {
		t.Fatal(err)
	}
	b.operations = &operate.Operations{
		Config: cfg, Store: store, Sessions: sessions, Accounts: accounts, Keys: ring, Audit: &b.recorded,
		Clock: b.clock, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	b.Client = operate.Local(b.operations)
	return b
}

func (b *bench) signIn(t *testing.T, name string) counterfoil.Info {
	t.Helper()
	return sessiontest.SignIn(t, b.operations.Sessions, httptest.NewRequest(http.MethodPost, "/", nil), counterfoil.Identity{Subject: name, Methods: []string{"pwd"}})
}

const good = "quiet lantern over the harbour 7"

func (b *bench) add(t *testing.T, name string) {
	t.Helper()
	if err := b.Post(context.Background(), "/v1/users", operate.NewUser{Name: name, Password: good}, nil); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) sessions(t *testing.T) []operate.Session {
	t.Helper()
	var all []operate.Session
	if err := b.Get(context.Background(), "/v1/sessions", nil, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestEndingSessions(t *testing.T) {
	b, ctx := set(t), context.Background()
	b.add(t, "alice")
	b.add(t, "idle")
	for _, name := range []string{"alice", "alice", "bob", "carol"} {
		b.signIn(t, name)
	}
	all := b.sessions(t)
	if len(all) != 4 || all[0].Methods[0] != "pwd" || all[0].Proved == nil || all[0].Current {
		t.Fatalf("%+v", all)
	}
	for _, c := range []struct {
		name  string
		end   operate.End
		ended int
		want  error
		left  int
	}{
		{"one", operate.End{ID: all[0].ID}, 1, nil, 3},
		{"the same again", operate.End{ID: all[0].ID}, 0, operate.ErrNotFound, 3},
		{"no ID", operate.End{ID: "nosuch"}, 0, operate.ErrNotFound, 3},
		{"the zero ID", operate.End{ID: "AAAAAAAAAAAAAAAAAAAAAA"}, 0, operate.ErrNotFound, 3},
		{"a user without sessions", operate.End{User: "idle"}, 0, nil, 3},
		{"nobody", operate.End{User: "nobody"}, 0, operate.ErrNotFound, 3},
		{"nothing said", operate.End{}, 0, operate.ErrUsage, 3},
		{"too much said", operate.End{User: "bob", All: true}, 0, operate.ErrUsage, 3},
		{"one, everywhere", operate.End{ID: all[1].ID, Wait: true}, 1, nil, 2},
		{"all", operate.End{All: true}, 2, nil, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var done operate.Ended
			err := b.Post(ctx, "/v1/sessions/end", c.end, &done)
			if !errors.Is(err, c.want) || done.Ended != c.ended {
				t.Errorf("%d ended, %v", done.Ended, err)
			}
			if waited := done.Nodes == 1 && done.Took == "0s"; waited != (c.end.Wait && err == nil) {
				t.Errorf("it was waited for: %+v", done)
			}
			if left := len(b.sessions(t)); left != c.left {
				t.Errorf("%d sessions left, want %d", left, c.left)
			}
		})
	}
}

func TestSessionsOfAUser(t *testing.T) {
	b, ctx := set(t), context.Background()
	b.add(t, "alice")
	b.add(t, "idle")
	b.signIn(t, "alice")
	b.signIn(t, "bob")
	for name, want := range map[string]int{"alice": 1, "ALICE": 1, "idle": 0} {
		var found []operate.Session
		if err := b.Get(ctx, "/v1/sessions", url.Values{"user": {name}}, &found); err != nil || len(found) != want {
			t.Errorf("%s: %d sessions, %v", name, len(found), err)
		}
	}
	if err := b.Get(ctx, "/v1/sessions", url.Values{"user": {"nobody"}}, nil); !errors.Is(err, operate.ErrNotFound) {
		t.Errorf("nobody's: %v", err)
	}
}

func TestUsers(t *testing.T) {
	b, ctx := set(t), context.Background()
	b.add(t, "alice")
	for _, c := range []struct {
		name, path string
		in         any
		want       string
		kind       error
	}{
		{"taken", "/v1/users", operate.NewUser{Name: "Alice", Password: good}, "already", nil},
		{"no name", "/v1/users", operate.NewUser{Name: "a b", Password: good}, "letters, digits", nil},
		{"short", "/v1/users", operate.NewUser{Name: "bob", Password: "short"}, "at least 15", nil},
		{"unknown field", "/v1/users", map[string]string{"nmae": "bob"}, "malformed", operate.ErrUsage},
		{"nobody's password", "/v1/users/nobody/password", operate.NewPassword{Password: good}, "no user nobody", operate.ErrNotFound},
		{"nobody disabled", "/v1/users/nobody/disable", nil, "no user nobody", operate.ErrNotFound},
		{"no such request", "/v1/users/alice/promote", nil, "another version", operate.ErrNotFound},
		{"too large", "/v1/users", operate.NewUser{Name: strings.Repeat("a", 1<<17)}, "too large", operate.ErrUsage},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := b.Post(ctx, c.path, c.in, nil)
			if err == nil || !strings.Contains(err.Error(), c.want) || c.kind != nil && !errors.Is(err, c.kind) {
				t.Errorf("%v; want %q", err, c.want)
			}
		})
	}
	b.signIn(t, "alice")
	if err := b.Post(ctx, "/v1/users/alice/password", operate.NewPassword{Password: good + " two"}, nil); err != nil {
		t.Fatal(err)
	}
	if left := b.sessions(t); len(left) != 0 {
		t.Errorf("sessions outlive the password: %+v", left)
	}
	b.signIn(t, "alice")
	var alice operate.User
	if err := b.Post(ctx, "/v1/users/alice/disable", nil, &alice); err != nil || !alice.Disabled || len(b.sessions(t)) != 0 {
		t.Errorf("%+v, %v", alice, err)
	}
	if err := b.Post(ctx, "/v1/users/alice/enable", nil, &alice); err != nil || alice.Disabled {
		t.Errorf("%+v, %v", alice, err)
	}
	var users []operate.User
	if err := b.Get(ctx, "/v1/users", nil, &users); err != nil || len(users) != 1 {
		t.Errorf("%+v, %v", users, err)
	}
}

func keysOf(t *testing.T, b *bench) []operate.Key {
	t.Helper()
	var all operate.Keys
	if err := b.Get(context.Background(), "/v1/keys", nil, &all); err != nil {
		t.Fatal(err)
	}
	return all.Keys
}

func TestRevokingTheKeyInUse(t *testing.T) {
	b, ctx := set(t), context.Background()
	b.signIn(t, "alice")
	leaked := keysOf(t, b)[0]
	if leaked.State != "primary" || leaked.Sessions != 1 {
		t.Fatalf("%+v", leaked)
	}
	var done operate.Ended
	if err := b.Post(ctx, "/v1/keys/"+leaked.ID+"/revoke", nil, &done); err != nil || done.Ended != 1 {
		t.Fatalf("%+v, %v", done, err)
	}
	b.signIn(t, "alice")
	after := keysOf(t, b)
	if len(after) != 2 || after[0].State != "disabled" || after[1].State != "primary" || after[1].Sessions != 1 {
		t.Errorf("%+v", after)
	}
	if n := len(b.recorded); n != 1 || b.recorded[0].Kind != counterfoil.EventKeys || b.recorded[0].Reason != counterfoil.ReasonRevoked || b.recorded[0].Count != 1 {
		t.Errorf("the audit was told %+v", b.recorded)
	}
	for _, path := range []string{"/v1/keys/ffffffff/revoke", "/v1/keys/nokey/revoke"} {
		if err := b.Post(ctx, path, nil, nil); !errors.Is(err, operate.ErrNotFound) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// A key leaves when nothing is sealed under it, and not before (the deviation from CD15).
func TestKeysRetireByCount(t *testing.T) {
	b, ctx := set(t), context.Background()
	info := b.signIn(t, "alice")
	var fresh operate.Rotated
	if err := b.Post(ctx, "/v1/keys/rotate", nil, &fresh); err != nil {
		t.Fatal(err)
	}
	retire := func(want int) {
		t.Helper()
		if gone, err := b.operations.RetireKeys(ctx); err != nil || len(gone) != want {
			t.Fatalf("%v retired, %v; want %d", gone, err, want)
		}
	}
	b.clock.Advance(20 * time.Minute)
	retire(0) // too soon after the rotation
	b.clock.Advance(50 * time.Minute)
	retire(0) // the session's record and its log entries need it
	if err := b.Post(ctx, "/v1/sessions/end", operate.End{ID: info.ID.String()}, nil); err != nil && !errors.Is(err, operate.ErrNotFound) {
		t.Fatal(err)
	}
	retire(0) // the log's details still do
	for range 40 {
		b.clock.Advance(time.Hour) // the manager trims the log by age
	}
	if _, err := b.operations.Store.Reap(ctx, counterfoil.Reap{Before: now(b), LogBefore: now(b), Max: 100}); err != nil {
		t.Fatal(err)
	}
	retire(1)
	if left := keysOf(t, b); len(left) != 1 || left[0].ID != fresh.ID {
		t.Errorf("%+v", left)
	}
}

// A key that nothing needs stays for an hour after the next one came: a sign-in may be under way.
func TestKeysDoNotRetireAtOnce(t *testing.T) {
	b, ctx := set(t), context.Background()
	if err := b.Post(ctx, "/v1/keys/rotate", nil, nil); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		wait time.Duration
		gone int
	}{{0, 0}, {59 * time.Minute, 0}, {2 * time.Minute, 1}, {time.Hour, 0}} {
		b.clock.Advance(c.wait)
		if gone, err := b.operations.RetireKeys(ctx); err != nil || len(gone) != c.gone {
			t.Errorf("%v later: %v retired, %v; want %d", c.wait, gone, err, c.gone)
		}
	}
}

func now(b *bench) time.Time {
	wall, _ := b.clock.Now()
	return wall
}

// A store that does not answer is exit code 4, not "nothing there".
func TestStoreDown(t *testing.T) {
	b, ctx := set(t), context.Background()
	info := b.signIn(t, "alice")
	b.broken = errors.New("disk on fire")
	for name, err := range map[string]error{
		"list": b.Get(ctx, "/v1/sessions", nil, nil),
		"end":  b.Post(ctx, "/v1/sessions/end", operate.End{ID: info.ID.String()}, nil),
	} {
		if !errors.Is(err, operate.ErrUnreachable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var found []operate.Finding
	if err := b.Get(ctx, "/v1/doctor", nil, &found); err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		if f.Check == "store" && f.Level == operate.LevelFault && f.Fix != "" {
			return
		}
	}
	t.Errorf("doctor does not find it: %+v", found)
}
