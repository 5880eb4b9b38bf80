package transfer_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/account"
	"github.com/counterfoil/counterfoil/account/memaccount"
	"github.com/counterfoil/counterfoil/internal/transfer"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/sessiontest"
	"github.com/counterfoil/counterfoil/store/blob"
	"github.com/counterfoil/counterfoil/store/blob/blobtest"
	"github.com/counterfoil/counterfoil/store/memory"
	"github.com/counterfoil/counterfoil/store/postgres"
	"github.com/counterfoil/counterfoil/store/postgres/postgrestest"
	"github.com/counterfoil/counterfoil/store/redis"
	"github.com/counterfoil/counterfoil/store/redis/redistest"
	"github.com/counterfoil/counterfoil/store/sqlite"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// start is when every test begins.
var start = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// place is what all stores of a test have in common.
type place struct {
	t     *testing.T
	clock *sessiontest.Clock
	keys  *keyring.Ring
}

func newPlace(t *testing.T) *place {
	t.Helper()
	keys, err := keyring.Generate(start, rand.Reader)
	must(t, err)
	return &place{t, sessiontest.NewClock(start), keys}
}

// manager runs on a store until the test ends or closed is called.
func (p *place) manager(s counterfoil.Store) (m *counterfoil.Manager, closed func()) {
	p.t.Helper()
	m, err := counterfoil.New(context.Background(), counterfoil.Config{Store: s, Keys: p.keys, Clock: p.clock, Logger: slog.New(slog.DiscardHandler)})
	must(p.t, err)
	open := true
	closed = func() {
		if open {
			open = false
			must(p.t, m.Close(context.Background()))
		}
	}
	p.t.Cleanup(closed)
	return m, closed
}

// visitor is somebody with a cookie.
type visitor struct {
	id      counterfoil.ID
	request *http.Request
}

func (p *place) signIn(m *counterfoil.Manager, subject string, epoch uint64) visitor {
	p.t.Helper()
	r := httptest.NewRequest("GET", "/", nil)
	info := sessiontest.SignIn(p.t, m, r, counterfoil.Identity{Subject: subject, Methods: []string{"pwd"}, Epoch: epoch})
	return visitor{info.ID, r}
}

// admitted says whether the cookie is good.
func (v visitor) admitted(m *counterfoil.Manager) bool {
	_, verdict := m.Check(v.request)
	return verdict == counterfoil.Valid
}

func (p *place) expect(m *counterfoil.Manager, when string, want bool, all ...visitor) {
	p.t.Helper()
	for i, v := range all {
		if got := v.admitted(m); got != want {
			p.t.Errorf("%s: visitor %d of %d admitted: %v, want %v", when, i, len(all), got, want)
		}
	}
}

func inMemory(*testing.T) transfer.Side {
	return transfer.Side{Sessions: memory.New(memory.Options{}), Accounts: memaccount.New(), Name: "memory:"}
}

func inSQLite(t *testing.T) transfer.Side {
	t.Helper()
	s, err := sqlite.Open(context.Background(), filepath.Join(t.TempDir(), "data", "sessions.db"), sqlite.Options{})
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	return transfer.Side{Sessions: s, Accounts: s.Accounts(), Name: "sqlite:"}
}

// timeless is a store that does not tell the time, so that a test may have one of its own.
type timeless struct{ counterfoil.Store }

func (s timeless) Log(ctx context.Context, since uint64, max int) (counterfoil.Page, error) {
	p, err := s.Store.Log(ctx, since, max)
	p.Now = time.Time{}
	return p, err
}

func (s timeless) Poll(ctx context.Context, q counterfoil.Poll) (counterfoil.Page, error) {
	p, err := s.Store.Poll(ctx, q)
	p.Now = time.Time{}
	return p, err
}

func inPostgres(server *postgrestest.Server) func(*testing.T) transfer.Side {
	return func(t *testing.T) transfer.Side {
		t.Helper()
		dsn, err := server.Empty(t.Context())
		must(t, err)
		s, err := postgres.Open(t.Context(), dsn, postgres.Options{})
		must(t, err)
		t.Cleanup(func() { must(t, s.Close()) })
		return transfer.Side{Sessions: timeless{s}, Accounts: s.Accounts(), Name: "postgres:"}
	}
}

func inFolder(t *testing.T) transfer.Side {
	t.Helper()
	return inObjects(t, "file://"+filepath.Join(t.TempDir(), "objects"), nil)
}

// inS3 gives each store a prefix of its own in one bucket.
func inS3(t *testing.T) func(*testing.T) transfer.Side {
	t.Helper()
	server, err := blobtest.StartS3()
	must(t, err)
	t.Cleanup(func() { must(t, server.Stop()) })
	return func(t *testing.T) transfer.Side {
		t.Helper()
		return inObjects(t, server.DSN(strings.ToLower(rand.Text())), server.Getenv)
	}
}

func inObjects(t *testing.T, dsn string, getenv func(string) string) transfer.Side {
	t.Helper()
	s, err := blob.Open(t.Context(), dsn, blob.Options{Getenv: getenv})
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	scheme, _, _ := strings.Cut(dsn, ":")
	return transfer.Side{Sessions: timeless{s}, Accounts: s.Accounts(), Name: scheme + ":"}
}

// reopening makes a store that a process may be killed over: each call opens it anew, where it
// outlives its process.
func reopening(kind string) func(*testing.T) func() transfer.Side {
	return func(t *testing.T) func() transfer.Side {
		if kind == "folder" {
			dsn := "file://" + filepath.Join(t.TempDir(), "objects")
			return func() transfer.Side { return inObjects(t, dsn, nil) }
		}
		s := inMemory(t)
		return func() transfer.Side { return s }
	}
}

func inRedis(t *testing.T) func(*testing.T) transfer.Side {
	t.Helper()
	server, err := redistest.Start()
	must(t, err)
	t.Cleanup(func() { must(t, server.Stop()) })
	return func(t *testing.T) transfer.Side {
		t.Helper()
		s, err := redis.Open(t.Context(), server.DSN(), redis.Options{Prefix: rand.Text()})
		must(t, err)
		t.Cleanup(func() { must(t, s.Close()) })
		return transfer.Side{Sessions: timeless{s}, Accounts: s.Accounts(), Name: "redis:"}
	}
}

func newServer(t *testing.T) *postgrestest.Server {
	t.Helper()
	server, err := postgrestest.Start()
	must(t, err)
	t.Cleanup(func() { must(t, server.Stop()) })
	return server
}

// furnish puts something of all kinds into a store.
func furnish(t *testing.T, s transfer.Side) {
	t.Helper()
	ctx := t.Context()
	for i, name := range []string{"alice", "bob"} {
		must(t, s.Accounts.Add(ctx, &account.Account{
			Name: name, Operator: i == 0, Password: "$argon2id$v=19$m=1,t=1,p=1$c2FsdA$aGFzaA", Epoch: uint64(i + 1), Created: start, Changed: start,
		}, false))
	}
	a, err := s.Accounts.Get(ctx, "bob")
	must(t, err)
	a.Disabled = true
	must(t, s.Accounts.Update(ctx, a))
	for i := range 3 {
		ok, _, err := s.Accounts.Attempt(ctx, "counter", start.Add(time.Duration(i)*time.Second), time.Hour, 5)
		if must(t, err); !ok {
			t.Fatal("an attempt was refused")
		}
	}
	must(t, s.Accounts.PutLink(ctx, account.Link{Hash: [32]byte{7}, Purpose: "set-up", Subject: "alice", Expires: start.Add(time.Hour)}))
}

// holds tells in words everything that a store holds, but for what it numbers itself.
func holds(t *testing.T, s transfer.Side) (all []string) {
	t.Helper()
	ctx := t.Context()
	records, err := s.Sessions.Scan(ctx, counterfoil.ID{}, 1<<20)
	must(t, err)
	for _, r := range records {
		r.Born, r.Revision = 0, 0
		all = append(all, fmt.Sprintf("%+v", *r))
	}
	for a, err := range s.Accounts.All(ctx) {
		must(t, err)
		a.Revision = 0
		all = append(all, fmt.Sprintf("%+v", *a))
	}
	var loose []string
	for a, err := range s.Accounts.Attempts(ctx) {
		must(t, err)
		loose = append(loose, fmt.Sprint(a.Key, a.At.UTC()))
	}
	for l, err := range s.Accounts.Links(ctx) {
		must(t, err)
		loose = append(loose, fmt.Sprint(l.Hash, l.Purpose, l.Subject, l.Expires.UTC()))
	}
	slices.Sort(loose)
	for _, key := range []string{counterfoil.MetaStoreID, counterfoil.MetaSessionTime} {
		value, err := s.Sessions.Meta(ctx, key)
		must(t, err)
		loose = append(loose, fmt.Sprintf("%s %x", key, value))
	}
	return append(all, loose...)
}

func sameHoldings(t *testing.T, when string, got, want transfer.Side) {
	t.Helper()
	a, b := holds(t, got), holds(t, want)
	if !slices.Equal(a, b) {
		t.Errorf("%s: %s holds\n%s\nand %s\n%s", when, got.Name, lines(a), want.Name, lines(b))
	}
}

func lines(all []string) (text string) {
	for _, l := range all {
		text += l[:min(len(l), 300)] + "\n"
	}
	return text
}
