package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// warned is where a connection notes that the server warned.
const warned = "counterfoil warned"

func noteWarning(c *pgconn.PgConn, n *pgconn.Notice) {
	if n.SeverityUnlocalized == "WARNING" {
		c.CustomData()[warned] = true
	}
}

// use runs do on a connection. A connection that is found dead says that the others are old too.
func (s *Store) use(ctx context.Context, do func(*pgx.Conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer c.Release()
	delete(c.Conn().PgConn().CustomData(), warned)
	former := s.timelines.check(c.Conn().PgConn())
	if former == nil {
		err = do(c.Conn())
		former = s.timelines.check(c.Conn().PgConn())
	}
	if former != nil {
		s.pool.Reset()
		return former // whatever it answered
	}
	if err == nil && c.Conn().PgConn().CustomData()[warned] != nil {
		err = ErrWarned
	}
	if c.Conn().IsClosed() {
		_ = c.Hijack().PgConn().Conn().Close() // the pool would keep its place for as long as it takes to say goodbye
		if !errors.Is(err, context.Canceled) {
			s.pool.Reset() // also when it said nothing for too long: it may be half open
		}
	}
	return err
}

// hangUp says goodbye on a connection that the pool gives up, and waits for no answer: from a half-open
// one there is none, and meanwhile the pool would make no other.
func hangUp(c *pgx.Conn) {
	if !c.IsClosed() {
		c.PgConn().Frontend().Send(&pgproto3.Terminate{})
		_ = c.PgConn().Frontend().Flush() // the server notices either way
	}
	_ = c.PgConn().Conn().Close()
}

// read runs do, which changes nothing, a second time if the connection turns out to be dead.
func (s *Store) read(ctx context.Context, do func(*pgx.Conn) error) error {
	err := s.use(ctx, do)
	if lost(ctx, err) {
		err = s.use(ctx, do)
	}
	return classify(err)
}

// row reads the only row of a query; pgx.ErrNoRows if there is none.
func (s *Store) row(ctx context.Context, query string, args []any, to ...any) error {
	return s.read(ctx, func(c *pgx.Conn) error { return c.QueryRow(ctx, query, args...).Scan(to...) })
}

// each calls f for every row.
func each(ctx context.Context, c *pgx.Conn, f func(pgx.Row) error, query string, args ...any) error {
	rows, err := c.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// queueEach is each for a question among others.
func queueEach(b *pgx.Batch, f func(pgx.Row) error, query string, args ...any) {
	b.Queue(query, args...).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			if err := f(rows); err != nil {
				return err
			}
		}
		return rows.Err()
	})
}

// lock is a name for something that must not be done twice at once, for the length of a
// transaction. It needs no row that somebody would have to remove, and waiting is first come, first
// served. Two names that happen to be one number merely wait for each other.
type lock struct {
	number int64
	shared bool
}

func lockOf(what string, which []byte) lock {
	h := sha256.New()
	h.Write([]byte("counterfoil " + what + "\x00"))
	h.Write(which)
	return lock{number: int64(binary.BigEndian.Uint64(h.Sum(nil)))}
}

func (l lock) share() lock { l.shared = true; return l }

// queue takes the locks, in the same order everywhere so that nobody meets head on.
func queue(b *pgx.Batch, locks []lock) {
	slices.SortFunc(locks, func(a, b lock) int {
		switch {
		case a.shared != b.shared: // shared ones first: none is kept waiting by a subject's
			if a.shared {
				return -1
			}
			return 1
		case a.number < b.number:
			return -1
		case a.number > b.number:
			return 1
		}
		return 0
	})
	var calls []string // made in the order in which they stand
	var numbers []any
	for i, l := range locks {
		call := "pg_advisory_xact_lock"
		if l.shared {
			call = "pg_advisory_xact_lock_shared"
		}
		calls, numbers = append(calls, fmt.Sprintf("%s($%d)", call, i+1)), append(numbers, l.number)
	}
	if len(calls) > 0 {
		b.Queue("SELECT "+strings.Join(calls, ", "), numbers...)
	}
}

// tx is a transaction. What is queued in last goes out together with the commit.
type tx struct {
	*pgx.Conn
	last *pgx.Batch
}

// attempts is how often a transaction is tried that the server undoes for another's sake.
const attempts = 8

// write runs do in a transaction that holds the locks, and commits it. Only what the server has
// surely undone is run again; after a lost connection nobody knows, and the caller is told so.
func (s *Store) write(ctx context.Context, locks []lock, do func(*tx) error) error {
	return s.transact(ctx, []string{"BEGIN"}, locks, nothing, do)
}

// writeAfter is write for a change that first has to know something: ask queues its questions, which
// travel with the locks in one message. Each is answered as of when the locks are held.
func (s *Store) writeAfter(ctx context.Context, locks []lock, ask func(*pgx.Batch), do func(*tx) error) error {
	return s.transact(ctx, []string{"BEGIN"}, locks, ask, do)
}

// writeLazily is write for what need not survive a crash: it does not wait for the disk.
func (s *Store) writeLazily(ctx context.Context, locks []lock, do func(*tx) error) error {
	return s.transact(ctx, []string{"BEGIN", "SET LOCAL synchronous_commit = off"}, locks, nothing, do)
}

func nothing(*pgx.Batch) {}

func (s *Store) transact(ctx context.Context, begin []string, locks []lock, ask func(*pgx.Batch), do func(*tx) error) error {
	var err error
	for range attempts {
		began := false
		once := func(c *pgx.Conn) error {
			defer rollback(ctx, c)
			b := &pgx.Batch{}
			for _, statement := range begin {
				b.Queue(statement)
			}
			queue(b, locks)
			ask(b)
			if err := c.SendBatch(ctx, b).Close(); err != nil {
				return err
			}
			began = true
			t := &tx{c, &pgx.Batch{}}
			if err := do(t); err != nil {
				return err
			}
			return t.commit(ctx)
		}
		err = s.use(ctx, once)
		if !began && lost(ctx, err) {
			err = s.use(ctx, once) // nothing can be committed yet
		}
		if !again(err) {
			break
		}
	}
	return classify(err)
}

// statement runs one statement that changes something and commits by itself. Only what the server has
// surely undone is run again.
func (s *Store) statement(ctx context.Context, do func(*pgx.Conn) error) error {
	var err error
	for range attempts {
		if err = s.use(ctx, do); !again(err) {
			break
		}
	}
	return classify(err)
}

var errNotCommitted = errors.New("the server did not commit")

func (t *tx) commit(ctx context.Context) error {
	committed := false
	t.last.Queue("COMMIT").Exec(func(tag pgconn.CommandTag) error {
		committed = tag.String() == "COMMIT"
		return nil
	})
	if err := t.SendBatch(ctx, t.last).Close(); err != nil {
		return err
	}
	if !committed {
		return errNotCommitted
	}
	return nil
}

// rollback ends what was not committed; a connection on which it fails is not used again.
func rollback(ctx context.Context, c *pgx.Conn) {
	if c.IsClosed() || c.PgConn().TxStatus() == 'I' {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if _, err := c.Exec(ctx, "ROLLBACK"); err != nil {
		_ = c.Close(ctx) // it is given up whatever this says
	}
}
