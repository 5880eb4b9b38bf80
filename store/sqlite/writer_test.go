package sqlite

import (
	"context"
	"crypto/rand"
	"errors"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// testWriter writes to a file of ours with one table more.
func testWriter(t *testing.T) *writer {
	t.Helper()
	c := raw(t, filepath.Join(t.TempDir(), "sessions.db"))
	if err := setUp(c); err != nil {
		t.Fatal(err)
	}
	if err := migrate(c, migrations(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	if err := c.script("CREATE TABLE n (i INTEGER PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	return newWriter(c, make(chan struct{}))
}

func insert(i int) *request {
	return &request{durable: true, do: func(db *tx) error {
		_, err := db.exec("INSERT INTO n VALUES (?)", i)
		return err
	}}
}

// One request's failure undoes it whole and it alone.
func TestBatchKeepsOthers(t *testing.T) {
	w := testWriter(t)
	no := errors.New("no")
	half := &request{do: func(db *tx) error {
		if _, err := db.exec("INSERT INTO n VALUES (2)"); err != nil {
			return err
		}
		return no
	}}
	first, again, last := insert(1), insert(1), insert(3)
	if err := w.commit([]*request{first, half, again, last}); err != nil {
		t.Fatal(err)
	}
	if first.err != nil || last.err != nil || !errors.Is(half.err, no) || again.err == nil {
		t.Errorf("got %v, %v, %v, %v", first.err, half.err, again.err, last.err)
	}
	if n, sum := number(t, w.db.conn, "SELECT count(*) FROM n"), number(t, w.db.conn, "SELECT sum(i) FROM n"); n != 2 || sum != 4 {
		t.Errorf("%d rows of sum %d; want 1 and 3", n, sum)
	}
}

// When SQLite rolls the whole transaction back, nobody in the batch is told that it was done, and
// the next batch works.
func TestBatchLost(t *testing.T) {
	w := testWriter(t)
	first, last := insert(1), insert(3)
	lost := &request{do: func(db *tx) error {
		_, err := db.exec("INSERT OR ROLLBACK INTO n VALUES (1)") // as a full disk would
		return err
	}}
	err := w.commit([]*request{first, lost, last})
	if err == nil || first.err == nil || lost.err == nil || last.err == nil {
		t.Errorf("got %v, %v, %v, %v", err, first.err, lost.err, last.err)
	}
	if n := number(t, w.db.conn, "SELECT count(*) FROM n"); n != 0 {
		t.Errorf("%d rows stayed", n)
	}
	if next := insert(4); w.commit([]*request{next}) != nil || next.err != nil {
		t.Errorf("the next batch: %v", next.err)
	}
}

// What a request saw of a transaction that never came to be is no answer: a session that another in
// the batch ended is still there, so that nobody may be told that it has ended.
func TestBatchLostWithItsRefusals(t *testing.T) { // G9
	w := testWriter(t)
	if err := errors.Join(w.db.script("PRAGMA foreign_keys = ON"), w.db.script(
		"CREATE TABLE late (i INTEGER REFERENCES n (i) DEFERRABLE INITIALLY DEFERRED)"),
		w.commit([]*request{insert(1)})); err != nil {
		t.Fatal(err)
	}
	gone := errors.New("gone")
	end := &request{do: func(db *tx) error {
		_, err := db.exec("DELETE FROM n WHERE i = 1")
		return err
	}}
	look := &request{do: func(db *tx) error {
		if number(t, db.conn, "SELECT count(*) FROM n") == 0 {
			return gone
		}
		return nil
	}}
	fails := &request{do: func(db *tx) error { // the commit, as on a bad disk
		_, err := db.exec("INSERT INTO late VALUES (7)")
		return err
	}}
	if err := w.commit([]*request{end, look, fails}); err == nil {
		t.Fatal("it was committed")
	}
	if n := number(t, w.db.conn, "SELECT count(*) FROM n"); n != 1 {
		t.Fatalf("%d rows; the end stayed", n)
	}
	if look.err == nil || errors.Is(look.err, gone) {
		t.Errorf("it was told %v, though nothing was ended", look.err)
	}
}

// After the disk failed to flush nothing is written any more.
func TestBroken(t *testing.T) {
	w := testWriter(t)
	w.broken = ErrBroken
	r := insert(1)
	if err := w.commit([]*request{r}); !errors.Is(err, ErrBroken) || !strings.Contains(err.Error(), "start again") {
		t.Errorf("got %v, want ErrBroken", err)
	}
	if n := number(t, w.db.conn, "SELECT count(*) FROM n"); n != 0 {
		t.Error("it wrote")
	}
}

// What gathers while one commits goes into the next transaction together, and each gets its answer.
func TestGather(t *testing.T) {
	w := testWriter(t)
	w.turn <- struct{}{} // somebody commits
	const callers = maxBatch + 10
	answers := make(chan error, callers)
	for i := range callers {
		go func() { answers <- w.write(context.Background(), insert(i)) }()
	}
	for waiting := 0; waiting < callers; runtime.Gosched() {
		w.mu.Lock()
		waiting = len(w.waiting)
		w.mu.Unlock()
	}
	for _, want := range []int{maxBatch, 10, 0} {
		batch := w.collect()
		if len(batch) != want {
			t.Fatalf("a batch of %d, want %d", len(batch), want)
		}
		if err := w.commit(batch); err != nil {
			t.Fatal(err)
		}
		for _, r := range batch {
			r.answer <- r.err
		}
	}
	<-w.turn
	for range callers {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
	if n := number(t, w.db.conn, "SELECT count(*) FROM n"); n != callers {
		t.Errorf("%d rows, want %d", n, callers)
	}
}

// Who goes away before his turn has changed nothing and knows it; who goes away while another commits
// for him does not know.
func TestWithdraw(t *testing.T) {
	w := testWriter(t)
	w.turn <- struct{}{}
	ctx, cancel := context.WithCancel(context.Background())
	left := make(chan error)
	go func() { left <- w.write(ctx, insert(1)) }()
	go func() { left <- w.write(ctx, insert(2)) }()
	for waiting := 0; waiting < 2; runtime.Gosched() {
		w.mu.Lock()
		waiting = len(w.waiting)
		w.mu.Unlock()
	}
	w.mu.Lock()
	taken := w.waiting[0]
	w.waiting = w.waiting[1:]
	w.mu.Unlock()
	cancel()
	unknown := 0
	for range 2 {
		err := <-left
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want what ended the wait", err)
		}
		if strings.Contains(err.Error(), "outcome is unknown") {
			unknown++
		}
	}
	if unknown != 1 {
		t.Errorf("%d do not know, want the one that was taken on", unknown)
	}
	if err := w.commit([]*request{taken}); err != nil {
		t.Fatal(err)
	}
	<-w.turn
	if err := w.write(context.Background(), insert(3)); err != nil {
		t.Fatal(err)
	}
	if n := number(t, w.db.conn, "SELECT count(*) FROM n"); n != 2 {
		t.Errorf("%d rows, want the one that was taken on and the last", n)
	}
}

// A request that panics in its caller's hands, where a server may catch it, leaves nothing of itself and
// stops nobody else.
func TestPanic(t *testing.T) {
	w := testWriter(t)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_ = w.write(context.Background(), &request{do: func(db *tx) error {
			if _, err := db.exec("INSERT INTO n VALUES (1)"); err != nil {
				return err
			}
			panic("a bug")
		}})
	}()
	if err := w.write(context.Background(), insert(2)); err != nil {
		t.Fatal(err)
	}
	if n, sum := number(t, w.db.conn, "SELECT count(*) FROM n"), number(t, w.db.conn, "SELECT sum(i) FROM n"); n != 1 || sum != 2 {
		t.Errorf("%d rows of sum %d; want 2 alone", n, sum)
	}
}
