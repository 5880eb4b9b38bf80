// Package sqlite keeps sessions and accounts in one SQLite file that belongs to one process at a
// time: the embedded default.
//
//	store, err := sqlite.Open(ctx, "data/sessions.db", sqlite.Options{})
//	if err != nil {
//		return err
//	}
//	defer store.Close()
//	accounts := store.Accounts()
//
// One caller at a time writes. What waits while it commits goes into the next transaction together
// (group commit), so that one fsync serves many; each request stands in a savepoint of its own, and is
// answered only when the transaction is on the disk. Touches and counters of attempts do not pay for
// an fsync of their own: they survive the death of the process, but perhaps not that of the machine.
// Reads run beside the writer on connections of their own and see what is committed.
//
// A context ends the wait for a turn to write, not a commit that has begun: that takes as long as the
// disk does.
package sqlite

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/account"
	"github.com/counterfoil/counterfoil/store/internal/registry"
)

// Options of a Store. The zero value is good.
type Options struct {
	// Random makes the incarnation of a new file. nil: crypto/rand.
	Random io.Reader
	// Shared: more than one manager of this process uses the store, so that none may cache values,
	// and waiting for a revocation waits for all of them.
	Shared bool
}

// Store is a counterfoil.Store in a SQLite file. All methods are safe for use by many goroutines.
type Store struct {
	shared bool
	lock   io.Closer
	conns  []*conn // the writer's and the readers'
	nodes  registry.Registry

	writer  *writer
	readers chan *conn // the connections that nobody reads on
	closing chan struct{}

	closeOnce sync.Once
	closeErr  error
}

var _ counterfoil.Store = (*Store)(nil)

// readers is how many reads may run at once; more wait for their turn.
func readers() int { return max(4, runtime.GOMAXPROCS(0)) }

// Open opens the file at path, or makes it: mode 0600, its folder 0700 if that is missing too. The
// file is this process' own until Close: a second opener gets [ErrOwned]. A file of a newer program
// gives [ErrNewer], one of another program [ErrForeign], a damaged one [ErrDamaged], and one that
// others could read or replace [ErrUnsafe]; none of them is changed.
func Open(ctx context.Context, path string, o Options) (*Store, error) {
	if o.Random == nil {
		o.Random = rand.Reader
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	path, err := prepareFile(path)
	if err != nil {
		return nil, err
	}
	lock, err := takeLock(path + ".lock")
	if err != nil {
		return nil, err
	}
	s, err := open(path, o)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	s.lock = lock
	return s, nil
}

// open does what remains once the file is known to be ours alone.
func open(path string, o Options) (_ *Store, err error) {
	if err := createFile(path); err != nil {
		return nil, err
	}
	s := &Store{
		shared:  o.Shared,
		readers: make(chan *conn, readers()),
		closing: make(chan struct{}),
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("sqlite: %s: %w", path, err), s.disconnect())
		}
	}()
	w, err := s.connect(path)
	if err != nil {
		return nil, err
	}
	if err := setUp(w); err != nil {
		return nil, err
	}
	if err := migrate(w, migrations(), o.Random); err != nil {
		return nil, err
	}
	s.writer = newWriter(w, s.closing)
	for range cap(s.readers) {
		r, err := s.connect(path)
		if err != nil {
			return nil, err
		}
		if err := r.script("PRAGMA query_only = ON"); err != nil {
			return nil, err
		}
		s.readers <- r
	}
	return s, nil
}

// Capabilities says that what is acknowledged is durable and seen by all; whether others write is as
// Options said.
func (s *Store) Capabilities() counterfoil.Capabilities {
	return counterfoil.Capabilities{Durable: true, Linearizable: true, Shared: s.shared}
}

// Accounts is the account store in the same file; it lives until the Store is closed.
func (s *Store) Accounts() account.Store { return accounts{s} }

// Check reads the whole file and reports damage as [ErrDamaged]. It takes time in proportion to the
// file's size; reads and writes go on meanwhile.
func (s *Store) Check(ctx context.Context) error {
	return s.read(ctx, func(db *conn) error {
		var finding string
		if err := db.row("PRAGMA quick_check(1)").Scan(&finding); err != nil {
			return err
		}
		if finding != "ok" {
			return fmt.Errorf("%w: %s", ErrDamaged, finding)
		}
		return nil
	})
}

// Close finishes the writes that were taken on, closes the file and gives it up. Further calls of
// Close return the same, all others [ErrClosed].
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		close(s.closing)
		s.writer.close()
		for range cap(s.readers) {
			<-s.readers // waits for the reads that run
		}
		s.closeErr = errors.Join(s.disconnect(), s.lock.Close())
	})
	return s.closeErr
}

func (s *Store) connect(path string) (*conn, error) {
	c, err := connect(dsn(path))
	if err == nil {
		s.conns = append(s.conns, c)
	}
	return c, err
}

func (s *Store) disconnect() error {
	var errs []error
	for _, c := range s.conns {
		errs = append(errs, c.close())
	}
	return errors.Join(errs...)
}

// enter says whether a call may begin.
func (s *Store) enter(ctx context.Context) error {
	select {
	case <-s.closing:
		return ErrClosed
	default:
		return ctx.Err()
	}
}

// read runs do on a connection of its own. The statements are not tied to ctx: each is short, and
// an interrupted one would cost more than it saves.
func (s *Store) read(ctx context.Context, do func(*conn) error) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	select {
	case <-s.closing:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	case db := <-s.readers:
		defer func() { s.readers <- db }()
		return classify(do(db))
	}
}

// write runs do in a transaction and returns when that is committed, on the disk if durable.
func (s *Store) write(ctx context.Context, durable bool, do func(*tx) error) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	return classify(s.writer.write(ctx, &request{do: do, durable: durable}))
}
