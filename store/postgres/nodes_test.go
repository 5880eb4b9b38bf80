package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store/internal/nodetest"
	"github.com/counterfoil/counterfoil/store/internal/sample"
	"github.com/counterfoil/counterfoil/store/postgres"
)

// direct is a connection beside the store's.
func direct(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(context.Background(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

func exec(t *testing.T, c *pgx.Conn, query string, args ...any) {
	t.Helper()
	if _, err := c.Exec(context.Background(), query, args...); err != nil {
		t.Fatal(err)
	}
}

// Several nodes that start at once on an empty database make its tables once, and have one log.
func TestStartAtOnce(t *testing.T) {
	dsn := empty(t)
	nodetest.StartAtOnce(t, func() (counterfoil.Store, error) {
		return postgres.Open(context.Background(), dsn, postgres.Options{})
	})
}

func TestNewerTables(t *testing.T) {
	dsn, ctx := empty(t), context.Background()
	open(t, dsn)
	exec(t, direct(t, dsn), "UPDATE cf_schema SET version = 99")
	if _, err := postgres.Open(ctx, dsn, postgres.Options{}); !errors.Is(err, postgres.ErrNewer) {
		t.Errorf("got %v, want ErrNewer", err)
	}
}

func TestWrongDSN(t *testing.T) {
	for name, dsn := range map[string]string{
		"no DSN":     "postgres://u:hunter2@[::1/db",
		"no port":    "postgres://u:hunter2@localhost:nine/db",
		"nobody":     "postgres://u:hunter2@127.0.0.1:1/db?connect_timeout=1",
		"no options": "postgres://u:hunter2@127.0.0.1:1/db?pool_max_conns=many",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := postgres.Open(context.Background(), dsn, postgres.Options{})
			if err == nil || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v, want an error without the password", err)
			}
			if r := postgres.Redact(dsn); strings.Contains(r, "hunter2") {
				t.Errorf("Redact gives %q", r)
			}
		})
	}
}

func TestFence(t *testing.T) {
	s, ctx := open(t, empty(t)), context.Background()
	for _, p := range []struct {
		node string
		want error
	}{{"a", nil}, {"b", nil}, {"a", nil}} {
		if _, err := s.Poll(ctx, counterfoil.Poll{Node: p.node, Max: 1}); err != nil {
			t.Fatal(err)
		}
	}
	for _, node := range []string{"a", "unheard of"} {
		if err := s.Fence(ctx, node); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if p, err := s.Poll(ctx, counterfoil.Poll{Node: node, Max: 1}); !errors.Is(err, counterfoil.ErrFenced) || p.Incarnation != "" {
				t.Errorf("%s polls: %+v, %v; want ErrFenced", node, p, err)
			}
		}
	}
	if _, err := s.Poll(ctx, counterfoil.Poll{Node: "b", Max: 1}); err != nil {
		t.Errorf("b polls: %v", err)
	}
}

// A beat counts each poll, an acknowledgement never goes back.
func TestBeat(t *testing.T) {
	dsn, ctx := empty(t), context.Background()
	s := open(t, dsn)
	for range 5 {
		if _, err := s.Create(ctx, sample.Session(sample.Subject()), sample.SignIn()); err != nil {
			t.Fatal(err)
		}
	}
	for _, acked := range []uint64{0, 3, 2} {
		if _, err := s.Poll(ctx, counterfoil.Poll{Node: "a", Since: acked, Acked: acked, Max: 9}); err != nil {
			t.Fatal(err)
		}
	}
	var beat, acked int64
	if err := direct(t, dsn).QueryRow(ctx, "SELECT beat, acked FROM cf_node WHERE name = 'a'").Scan(&beat, &acked); err != nil || beat != 3 || acked != 3 {
		t.Errorf("beat %d, acked %d, %v; want 3, 3", beat, acked, err)
	}
}

// A node that has not polled for a day is forgotten, fenced or not; another is not.
func TestDeadNodesAreForgotten(t *testing.T) {
	dsn, ctx := empty(t), context.Background()
	s := open(t, dsn)
	for _, node := range []string{"dead", "fenced", "alive", "alive and fenced"} {
		if _, err := s.Poll(ctx, counterfoil.Poll{Node: node, Max: 1}); err != nil {
			t.Fatal(err)
		}
	}
	for _, node := range []string{"fenced", "alive and fenced"} {
		if err := s.Fence(ctx, node); err != nil {
			t.Fatal(err)
		}
	}
	c := direct(t, dsn)
	exec(t, c, "UPDATE cf_node SET seen = now() - interval '25 hours' WHERE name IN ('dead', 'fenced')")
	if _, err := s.Reap(ctx, counterfoil.Reap{Before: sample.Noon(), LogBefore: sample.Noon(), Max: 1}); err != nil {
		t.Fatal(err)
	}
	if all, err := s.Nodes(ctx); err != nil || len(all) != 2 || all[0].Fenced == all[1].Fenced {
		t.Errorf("nodes %+v, %v", all, err)
	}
	var kept int
	if err := c.QueryRow(ctx, "SELECT count(*) FROM cf_node").Scan(&kept); err != nil || kept != 2 {
		t.Errorf("%d names are kept, %v; want 2", kept, err)
	}
}

// A server that warns at the commit has not done what was asked for: so it does when the wait for
// its standby is broken off.
func TestWarningAtCommit(t *testing.T) {
	dsn, ctx := empty(t), context.Background()
	s := open(t, dsn)
	c := direct(t, dsn)
	exec(t, c, `CREATE FUNCTION warn() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'canceling wait for synchronous replication'; RETURN NULL; END $$`)
	exec(t, c, "CREATE CONSTRAINT TRIGGER warn AFTER INSERT OR UPDATE ON cf_node DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION warn()")
	for range 2 {
		if _, err := s.Poll(ctx, counterfoil.Poll{Node: "a", Max: 1}); !errors.Is(err, postgres.ErrWarned) {
			t.Errorf("Poll says %v, want ErrWarned", err)
		}
	}
	exec(t, c, "CREATE CONSTRAINT TRIGGER warn AFTER INSERT ON cf_session DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION warn()")
	r, in := sample.Session(sample.Subject()), sample.SignIn()
	if _, err := s.Create(ctx, r, in); !errors.Is(err, postgres.ErrWarned) {
		t.Errorf("Create says %v, want ErrWarned", err)
	}
	if _, err := s.Create(ctx, r, in); err != nil { // it was done, and asking again finds it
		t.Errorf("Create again says %v", err)
	}
	// Asking again waits for the standby as well: what it finds may be what the standby never heard of.
	exec(t, c, "CREATE CONSTRAINT TRIGGER warn AFTER UPDATE ON cf_op DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION warn()")
	if _, err := s.Create(ctx, r, in); !errors.Is(err, postgres.ErrWarned) {
		t.Errorf("Create again, without a standby, says %v, want ErrWarned", err)
	}
}

// A lock that another change keeps for longer than a statement waits for it, as on a machine that stood
// still, is waited for again, as long as the caller has patience.
func TestLockThatIsKept(t *testing.T) {
	dsn, ctx := empty(t), context.Background()
	s := open(t, dsn)
	other, watch := direct(t, dsn), direct(t, dsn)
	exec(t, other, "BEGIN")
	exec(t, other, "LOCK TABLE cf_session IN ACCESS EXCLUSIVE MODE")
	created := make(chan error)
	go func() {
		_, err := s.Create(ctx, sample.Session(sample.Subject()), sample.SignIn())
		created <- err
	}()
	tries := map[time.Time]bool{}
	for len(tries) < 2 {
		select {
		case err := <-created:
			t.Fatalf("though the lock is kept: %v", err)
		default:
		}
		var began time.Time
		err := watch.QueryRow(ctx, "SELECT a.xact_start FROM pg_stat_activity a JOIN pg_locks l USING (pid) WHERE l.relation = 'cf_session'::regclass AND NOT l.granted").Scan(&began)
		if err == nil {
			tries[began] = true
		} else if !errors.Is(err, pgx.ErrNoRows) {
			t.Fatal(err)
		}
	}
	exec(t, other, "ROLLBACK")
	if err := <-created; err != nil {
		t.Errorf("when it is free: %v", err)
	}
}

// A server that falls over: what was asked of it meanwhile is unknown, asking again is safe, and
// what was acknowledged is there when it is back, without opening the store anew. PD8, D1
func TestServerCrash(t *testing.T) {
	dsn, ctx := empty(t), context.Background()
	s := open(t, dsn)
	kept := sample.Session(sample.Subject())
	if _, err := s.Create(ctx, kept, sample.SignIn()); err != nil {
		t.Fatal(err)
	}
	before, err := s.Poll(ctx, counterfoil.Poll{Node: "a", Max: 9})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Crash(); err != nil {
		t.Fatal(err)
	}
	r, in := sample.Session(sample.Subject()), sample.SignIn()
	_, created := s.Create(ctx, r, in)
	_, loaded := s.Load(ctx, kept.ID)
	_, polled := s.Poll(ctx, counterfoil.Poll{Node: "a", Max: 9})
	_, revoked := s.Revoke(ctx, sample.SignOut(kept.ID))
	if err := server.Recover(); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{"Create": created, "Load": loaded, "Poll": polled, "Revoke": revoked} {
		if err == nil {
			t.Errorf("%s succeeds without a server", name)
		}
		for _, known := range []error{counterfoil.ErrNotFound, counterfoil.ErrConflict, counterfoil.ErrExists, counterfoil.ErrGap, counterfoil.ErrFenced} {
			if errors.Is(err, known) {
				t.Errorf("%s says %v without a server", name, err)
			}
		}
	}
	if _, err := s.Load(ctx, kept.ID); err != nil {
		t.Errorf("Load: %v", err)
	}
	if _, err := s.Create(ctx, r, in); err != nil {
		t.Errorf("Create: %v", err)
	}
	after, err := s.Poll(ctx, counterfoil.Poll{Node: "a", Max: 9})
	if err != nil || after.Incarnation != before.Incarnation || after.Head != before.Head+1 {
		t.Errorf("the log is %q at %d, %v; was %q at %d", after.Incarnation, after.Head, err, before.Incarnation, before.Head)
	}
}

// A crash and a start between two calls, with connections idle in the pool, is not even noticed.
func TestServerRestart(t *testing.T) {
	s, ctx := open(t, empty(t)), context.Background()
	r := sample.Session(sample.Subject())
	if _, err := s.Create(ctx, r, sample.SignIn()); err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func() error{
		"Load":   func() error { _, err := s.Load(ctx, r.ID); return err },
		"Poll":   func() error { _, err := s.Poll(ctx, counterfoil.Poll{Node: "a", Max: 9}); return err },
		"Create": func() error { _, err := s.Create(ctx, sample.Session(sample.Subject()), sample.SignIn()); return err },
	} {
		if err := errors.Join(server.Crash(), server.Recover()); err != nil {
			t.Fatal(err)
		}
		if err := call(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// P35, T23: lists and sweeps use their index.
func TestIndexes(t *testing.T) {
	dsn, ctx := empty(t), context.Background()
	s := open(t, dsn)
	subject := sample.Subject()
	if _, err := s.Create(ctx, sample.Session(subject), sample.SignIn()); err != nil {
		t.Fatal(err)
	}
	c := direct(t, dsn)
	exec(t, c, `INSERT INTO cf_session SELECT decode(md5(n::text), 'hex'), version, kind, decode(md5((n / 5)::text), 'hex'), actor, parent, root, epoch, n + 1, revision,
		created, seen, idle_end + n, absolute_end + n, identity_key, values_key, verifier_key, selector_key, identity_count, values_count, 'x', NULL, due + n
		FROM cf_session, generate_series(1, 20000) n`)
	exec(t, c, "ANALYZE cf_session")
	for _, q := range []struct {
		index, query string
		args         []any
	}{
		{"cf_session_subject", postgres.ListOwn, []any{subject[:], 0, 64}},
		{"cf_session_actor", postgres.ListActing, []any{subject[:], 0, 64}},
		{"cf_session_due", postgres.FindDue, []any{sample.Noon().Add(time.Hour).UnixMilli(), 101}},
		{"cf_session_pkey", postgres.LoadOne, []any{subject[:]}},
	} {
		rows, err := c.Query(ctx, "EXPLAIN "+q.query, q.args...)
		if err != nil {
			t.Fatal(err)
		}
		plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		if text := strings.Join(plan, "\n"); !strings.Contains(text, q.index) || strings.Contains(text, "Seq Scan") {
			t.Errorf("%s is not used:\n%s", q.index, text)
		}
	}
}

// Sweeps of several nodes at once: each session goes once. T23, P64
func TestSweepsAtOnce(t *testing.T) {
	dsn, ctx := empty(t), context.Background()
	stores := []*postgres.Store{open(t, dsn), open(t, dsn), open(t, dsn)}
	const n = 150
	for range n {
		if _, err := stores[0].Create(ctx, sample.Session(sample.Subject()), sample.SignIn()); err != nil {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	gone := 0
	for _, s := range stores {
		wg.Go(func() {
			for more := true; more; {
				done, err := s.Reap(ctx, counterfoil.Reap{Before: sample.Noon().Add(time.Hour), LogBefore: sample.Noon(), Max: 20})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				gone += done.Records
				mu.Unlock()
				more = done.More
			}
		})
	}
	wg.Wait()
	if p, err := stores[0].Log(ctx, 0, 0); gone != n || err != nil || p.Head != 2*n {
		t.Errorf("%d went, the log stands at %d, %v; want %d and %d", gone, p.Head, err, n, 2*n)
	}
}

func Example() {
	dsn, err := server.Empty(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	store, err := postgres.Open(context.Background(), dsn, postgres.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	fmt.Println("durable:", store.Capabilities().Durable)
	// Output: durable: true
}
