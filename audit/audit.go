// Package audit keeps a tamper-evident record of what happened to sessions: one JSON object a line,
// each with a MAC that covers the line and the MAC before it.
//
//	x, err := audit.Open(ctx, audit.Config{
//		Path: "data/audit.jsonl", Store: store, Describe: sessions.Describe, Keys: keys,
//	})
//	defer x.Close(ctx)
//
// Lifecycle changes are copied from the store's ordered log, where they were written in the
// transaction of the change itself: a crash between the two can delay a line and never lose one.
// Refusals, which change nothing in the store, are handed to [Exporter.Record].
//
// # The chain
//
// A file is a row of chains. Each begins with a line of kind begin (or recover, after a crash) that
// names the SHA-256 of the line before it. The key of a chain's first line comes from the ring's
// audit root and the chain's ID; each further line has a key of its own, k' = HMAC-SHA-256(k,
// "next"), and the former is erased. The last line's number and MAC are kept in the store after each
// batch, so that a file that was cut is found. [Verify] reads all that.
//
// Whoever holds the keys can forge a chain, whoever can write the file and the store can cut off its
// end; copy the file to another machine if that matters.
//
// # Size
//
// The file only grows: 300 to 500 bytes an event. It must not be moved, cut or edited; what is
// missing is found. Refusals of one kind from one address are counted together within half a second,
// and at most [MaxPending] different ones are kept, so that a flood cannot fill a disk fast.
package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/keyring"
)

// Reader is the name under which an Exporter acknowledges the store's log.
const Reader = "audit"

// TailKey is the key of the store's small value that holds the last line's number and MAC: what
// [Verify] takes as last.
const TailKey = "audit.tail"

// TailKeyOf is [TailKey] of the exporter with that Config.Name.
func TailKeyOf(name string) string { return named(TailKey, name) }

func named(what, name string) string {
	if name == "" {
		return what
	}
	return what + "." + name
}

const (
	pollEvery  = 500 * time.Millisecond
	retryEvery = time.Second // after a failure
	pageSize   = 256
)

// Config says how an [Exporter] works. Path, Store, Describe and Keys are required.
type Config struct {
	// Path of the file. It is made with mode 0600 if it is not there; its folder must exist, and
	// nobody but its owner may write to it.
	Path string

	// Store is read from the position that was acknowledged under [Reader], or "audit." and Name. One
	// Exporter a store and name.
	Store counterfoil.Store

	// Name tells the exporters of a store apart where each of several nodes keeps a file of its own. An
	// exporter that comes no more keeps the store from trimming its log. "": there is only this one.
	Name string

	// Describe turns a log entry into an event: Manager.Describe. If readable is false the line says
	// so.
	Describe func(counterfoil.Entry) (ev counterfoil.Event, readable bool)

	Keys   *keyring.Ring     // AuditKey is the root of the MACs.
	Node   string            // Stands in each line. "": the host's name.
	Clock  counterfoil.Clock // Nil: the system's.
	Logger *slog.Logger      // Nil: slog.Default.
}

// Exporter copies the store's log into the file and takes refusals directly. Its methods may be
// called by many goroutines at once.
type Exporter struct {
	cfg  Config
	key  *[32]byte
	wait waiting // refusals that are not in the file yet

	wake    chan struct{}   // the timer fired
	flushes chan chan error // Flush wants a round of its own
	stop    chan struct{}   // Close was called
	done    chan struct{}   // run has returned
	once    sync.Once
	ctx     context.Context // of all store calls after Open
	cancel  context.CancelFunc

	mu  sync.Mutex
	err error // why the last round failed

	state state // owned by run
}

// Open checks the file, writes the first line of a new chain (which says what a crash left behind)
// and starts exporting: what the store acknowledges stands in the file, durably, within a second.
// ctx bounds Open alone. An error says what to do; nothing was started then.
func Open(ctx context.Context, cfg Config) (*Exporter, error) {
	if cfg.Path == "" || cfg.Store == nil || cfg.Describe == nil || cfg.Keys == nil {
		return nil, errors.New("audit: Path, Store, Describe and Keys of the Config are required")
	}
	if cfg.Clock == nil {
		cfg.Clock = counterfoil.SystemClock()
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Node == "" {
		name, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("audit: name this node in Config.Node: %w", err)
		}
		cfg.Node = name
	}
	cfg.Store = bounded{cfg.Store}
	x := &Exporter{
		cfg:     cfg,
		key:     cfg.Keys.AuditKey(),
		wake:    make(chan struct{}, 1),
		flushes: make(chan chan error),
		stop:    make(chan struct{}),
		done:    make(chan struct{}),
	}
	if err := x.round(ctx); err != nil {
		x.detach()
		return nil, err
	}
	x.ctx, x.cancel = context.WithCancel(context.Background())
	go x.run()
	return x, nil
}

// Record appends an event that is no change in the store: a refusal. It never waits for the disk or
// the store. Equal refusals are counted together; those that find no room are counted too, and that
// count becomes a line. Events with a position in the store's log come from there and are passed
// over, so that Record may be the manager's Config.Observe.
func (x *Exporter) Record(ev counterfoil.Event) {
	if ev.Seq != 0 {
		return
	}
	if ev.Time.IsZero() {
		ev.Time = x.now()
	}
	x.wait.add(ev)
}

// Flush returns when everything up to the store's present head, and everything recorded before, is
// durable in the file.
func (x *Exporter) Flush(ctx context.Context) error {
	answer := make(chan error, 1)
	select {
	case x.flushes <- answer:
	case <-x.done:
		return errors.New("audit: the exporter is closed")
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close exports what there is and stops; ctx bounds that. Its error says what could not be written:
// lifecycle changes stay in the store's log and are exported at the next Open.
func (x *Exporter) Close(ctx context.Context) error {
	x.once.Do(func() { close(x.stop) })
	select {
	case <-x.done:
	case <-ctx.Done():
		x.cancel()
		<-x.done
	}
	x.cancel()
	return x.Err()
}

// Err says why the last attempt to export failed, nil if it did not: for a readiness check. The
// Exporter tries again by itself.
func (x *Exporter) Err() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.err
}

func (x *Exporter) now() time.Time {
	wall, _ := x.cfg.Clock.Now()
	return lineTime(wall)
}

// run owns the file until Close.
func (x *Exporter) run() {
	defer close(x.done)
	defer x.detach()
	delay := pollEvery
	for {
		disarm := x.cfg.Clock.AfterFunc(delay, func() {
			select {
			case x.wake <- struct{}{}:
			default:
			}
		})
		var answer chan error
		last := false
		select {
		case <-x.wake:
		case answer = <-x.flushes:
		case <-x.stop:
			last = true
		}
		disarm()
		err := x.round(x.ctx)
		x.note(err)
		if answer != nil {
			answer <- err
		}
		if last {
			return
		}
		if delay = pollEvery; err != nil {
			delay = retryEvery
		}
	}
}

// note keeps err for Err and logs when exporting begins to fail or works again.
func (x *Exporter) note(err error) {
	x.mu.Lock()
	before := x.err
	x.err = err
	x.mu.Unlock()
	switch {
	case err != nil && before == nil:
		x.cfg.Logger.Error("audit: exporting fails; nothing is lost while the store keeps its log", "error", err)
	case err == nil && before != nil:
		x.cfg.Logger.Info("audit: exporting works again")
	}
}
