package sqlite

import "fmt"

// maxBatch bounds a transaction, and with it how long the first in it waits for the last.
const maxBatch = 256

// request is one change on its way to the writer. do may run any number of statements; if it
// returns an error nothing of it stays.
type request struct {
	do      func(*conn) error
	durable bool
	answer  chan error // of one place
	err     error      // what do said
}

// writerLoop is the goroutine that writes.
type writerLoop struct {
	db       *conn
	requests <-chan *request
	closing  <-chan struct{}
	done     chan<- struct{}

	relaxed bool // synchronous is NORMAL
	broken  error
}

func (w *writerLoop) run() {
	defer close(w.done)
	batch := make([]*request, 0, maxBatch)
	for {
		select {
		case <-w.closing:
			return
		case r := <-w.requests:
			batch = w.collect(append(batch[:0], r))
		}
		_ = w.commit(batch) // each request has it
		for i, r := range batch {
			r.answer <- r.err
			batch[i] = nil
		}
	}
}

// collect adds what waits already. Nobody is waited for: while a commit runs the next batch gathers
// by itself.
func (w *writerLoop) collect(batch []*request) []*request {
	for len(batch) < maxBatch {
		select {
		case r := <-w.requests:
			batch = append(batch, r)
		default:
			return batch
		}
	}
	return batch
}

// commit runs the batch in one transaction. If that fails its error is that of every request: what
// one of them said by itself, it said of a state that never came to be.
func (w *writerLoop) commit(batch []*request) error {
	err := w.broken
	if err == nil {
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

func (w *writerLoop) transaction(batch []*request) error {
	if err := w.relax(!anyDurable(batch)); err != nil {
		return err
	}
	if _, err := w.db.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	good := 0
	for _, r := range batch {
		if err := w.savepoint(r); err != nil { // the transaction is gone, and with it what the others did
			_, _ = w.db.exec("ROLLBACK")
			return err
		}
		if r.err == nil {
			good++
		}
	}
	end := "COMMIT"
	if good == 0 {
		end = "ROLLBACK"
	}
	if _, err := w.db.exec(end); err != nil {
		_, _ = w.db.exec("ROLLBACK") // fails if SQLite has done so by itself
		return err
	}
	return nil
}

// savepoint runs one request so that its failure undoes it alone. Some errors, a full disk for
// one, make SQLite roll back the whole transaction; then the savepoint is gone and its error is
// returned.
func (w *writerLoop) savepoint(r *request) error {
	if _, err := w.db.exec("SAVEPOINT request"); err != nil {
		return err
	}
	r.err = r.do(w.db)
	if r.err != nil {
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
func (w *writerLoop) relax(relaxed bool) error {
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

func anyDurable(batch []*request) bool {
	for _, r := range batch {
		if r.durable {
			return true
		}
	}
	return false
}
