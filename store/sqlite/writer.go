package sqlite

import (
	"context"
	"fmt"
	"slices"
	"sync"
)

// maxBatch bounds a transaction, and with it how long the first in it waits for the last.
const maxBatch = 256

// writer lets those who change something share transactions. Each leaves its request with those that
// wait, and then waits for its answer or for its turn, whichever comes first. Whoever has the turn
// commits all that wait, its own request among them, and answers them. So a caller that is alone
// commits by itself at once, and what gathers while one commits goes into the next transaction
// together, with one fsync for all.
type writer struct {
	closing <-chan struct{}
	turn    chan struct{} // of one place; full: somebody has the turn

	mu      sync.Mutex
	waiting []*request // in the order of their coming

	// For who has the turn:
	db      *tx
	relaxed bool // synchronous is NORMAL
	broken  error
}

func newWriter(db *conn, closing <-chan struct{}) *writer {
	return &writer{db: &tx{conn: db}, closing: closing, turn: make(chan struct{}, 1)}
}

// request is one change. do may run any number of statements; if it returns an error nothing of it
// stays.
type request struct {
	do      func(*tx) error
	durable bool
	err     error      // what do said
	answer  chan error // of one place
}

// write returns when r is committed or refused. When ctx ends while another has taken r on, it is not
// known which.
func (w *writer) write(ctx context.Context, r *request) error {
	r.answer = make(chan error, 1)
	w.mu.Lock()
	w.waiting = append(w.waiting, r)
	w.mu.Unlock()
	select {
	case w.turn <- struct{}{}: // free, as for one who is alone: no need to look at ctx, which may cost a timer
		w.commitWaiting()
	default:
	}
	for {
		select {
		case err := <-r.answer:
			return err
		case w.turn <- struct{}{}:
			w.commitWaiting()
		case <-ctx.Done():
			if w.withdraw(r) {
				return ctx.Err()
			}
			return fmt.Errorf("sqlite: the write goes on, its outcome is unknown: %w", ctx.Err())
		case <-w.closing:
			if w.withdraw(r) {
				return ErrClosed
			}
			return <-r.answer
		}
	}
}

// withdraw takes r back, if nobody has taken it on.
func (w *writer) withdraw(r *request) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.Index(w.waiting, r)
	if i < 0 {
		return false
	}
	w.waiting = slices.Delete(w.waiting, i, i+1)
	return true
}

// close waits for who has the turn and leaves it to nobody.
func (w *writer) close() { w.turn <- struct{}{} }

// commitWaiting is for who has the turn, and gives it back, even if it panics: then those whose
// requests it had taken on wait until their contexts end, and do not know.
func (w *writer) commitWaiting() {
	defer func() { <-w.turn }()
	batch := w.collect()
	_ = w.commit(batch) // each request has it
	for _, r := range batch {
		r.answer <- r.err
	}
}

// collect takes what waits already, at most maxBatch.
func (w *writer) collect() []*request {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := min(len(w.waiting), maxBatch)
	batch := slices.Clone(w.waiting[:n])
	w.waiting = slices.Delete(w.waiting, 0, n)
	return batch
}

// commit runs the batch in one transaction. If that fails its error is that of every request: what
// one of them said by itself, it said of a state that never came to be.
func (w *writer) commit(batch []*request) error {
	err := w.broken
	if err == nil && len(batch) > 0 {
		err = w.transaction(batch)
	}
	if flushFailed(err) && w.broken == nil {
		w.broken = fmt.Errorf("%w (%w)", ErrBroken, err)
		err = w.broken
	}
	if err != nil {
		for _, r := range batch {
			r.err = err
		}
	}
	return err
}

func (w *writer) transaction(batch []*request) error {
	if err := w.relax(!slices.ContainsFunc(batch, func(r *request) bool { return r.durable })); err != nil {
		return err
	}
	if _, err := w.db.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	committed, before := false, w.db.log.changes
	defer func() {
		if !committed {
			_, _ = w.db.exec("ROLLBACK") // fails if SQLite has done so by itself
			w.db.log.undone(before)
		}
	}()
	if len(batch) == 1 { // the transaction is savepoint enough
		if err := w.run(batch[0]); err != nil {
			return err
		}
	} else {
		for _, r := range batch {
			if err := w.savepoint(r); err != nil { // the transaction is gone, and with it what the others did
				return err
			}
		}
	}
	if err := w.db.index(); err != nil {
		return err
	}
	_, err := w.db.exec("COMMIT")
	committed = err == nil
	return err
}

// run lets r do its work where the log ends.
func (w *writer) run(r *request) error {
	if err := w.db.log.read(w.db.conn); err != nil {
		return err
	}
	return r.do(w.db)
}

// savepoint runs one request so that its failure undoes it alone. Some errors, a full disk for
// one, make SQLite roll back the whole transaction; then the savepoint is gone and its error is
// returned.
func (w *writer) savepoint(r *request) error {
	if _, err := w.db.exec("SAVEPOINT request"); err != nil {
		return err
	}
	before := w.db.log.changes
	r.err = w.run(r)
	if r.err != nil {
		w.db.log.undone(before)
		if _, err := w.db.exec("ROLLBACK TO request"); err != nil {
			if fromSQLite(r.err) {
				return r.err // which is why
			}
			return err // a refusal is no answer to the others
		}
	}
	_, err := w.db.exec("RELEASE request")
	return err
}

// relax leaves out the fsync at commit, or asks for it again. A later commit that has one covers
// all before it, so that order is kept.
func (w *writer) relax(relaxed bool) error {
	if relaxed == w.relaxed {
		return nil
	}
	mode := "FULL"
	if relaxed {
		mode = "NORMAL"
	}
	// SQLite may obey a pragma while it compiles it, so that a kept statement would do nothing.
	if err := w.db.script("PRAGMA synchronous = " + mode); err != nil {
		return err
	}
	w.relaxed = relaxed
	return nil
}
