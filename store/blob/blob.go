// Package blob keeps sessions in object storage, for one process or for several nodes:
//
//	store, err := blob.Open(ctx, "s3://bucket/prefix?region=eu-central-1", blob.Options{})
//	if err != nil {
//		return err
//	}
//	defer store.Close()
//	sessions, err := counterfoil.New(ctx, counterfoil.Config{Store: store, Keys: keys})
//
// Everything is one journal of objects that are created and never overwritten; the place of an
// object in it is its one moment. Each node holds in memory what the journal says. docs/blob.md says
// what that costs and how far it goes.
package blob

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/account"
)

// What the store says besides the sentinels of its contract. Match them with errors.Is.
var (
	// ErrClosed is what calls after Close get.
	ErrClosed = errors.New("blob: the store is closed")
	// ErrDamaged says that an object under the store's prefix is not what the store wrote.
	ErrDamaged = errors.New("blob: an object is not the store's; nothing else may write under its prefix")
	// ErrNewer refuses data that a newer version wrote.
	ErrNewer = errors.New("blob: the data was written by a newer version of this program; run that version")
	// ErrUnfit refuses storage on which the store's promises would not hold.
	ErrUnfit = errors.New("blob: this storage cannot hold the store")
)

// Options says how a [Store] works. The zero value is right for production.
type Options struct {
	Clock  counterfoil.Clock   // nil: [counterfoil.SystemClock]
	Getenv func(string) string // where credentials are looked up; nil: [os.Getenv]
}

// Store is a [counterfoil.Store] in object storage. It is safe for use by many goroutines. All calls
// that wait are answered together, by one request to the storage.
type Store struct {
	bucket   retrying
	clock    counterfoil.Clock
	requests *requests
	root     string // names the store

	calls   chan *call
	closing chan struct{}
	stopped chan struct{} // closed when work is over
	context context.Context
	cancel  context.CancelFunc
	once    sync.Once

	// Of work alone, once it runs.
	state       *state
	seen        look   // the last time that state was proved the newest
	snapshotted uint64 // place of the last snapshot that was begun

	own     own
	writing sync.Mutex // held while a snapshot is written
	tasks   sync.WaitGroup
	unsaved atomic.Pointer[error] // why the last snapshot failed
}

// Open opens the store that the DSN names, see [ParseDSN], and makes it if there is none. It tries
// out whether the storage can be written, read and deleted, and whether it creates an object once
// only. [ErrUnfit], [ErrNewer], [ErrDamaged]; other errors say what the storage answered.
func Open(ctx context.Context, dsn string, o Options) (*Store, error) {
	place, err := ParseDSN(dsn)
	if err != nil {
		return nil, err
	}
	if o.Clock == nil {
		o.Clock = counterfoil.SystemClock()
	}
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	b, err := place.open(o)
	if err != nil {
		return nil, err
	}
	s, err := open(ctx, b, o.Clock)
	if err != nil {
		b.close()
		return nil, fmt.Errorf("%w; the storage is %s", err, place)
	}
	return s, nil
}

func open(ctx context.Context, b bucket, clock counterfoil.Clock) (*Store, error) {
	ids := newRequests()
	s := &Store{
		bucket: retrying{b, clock, ids}, clock: clock, requests: ids,
		calls: make(chan *call), closing: make(chan struct{}), stopped: make(chan struct{}),
		seen: look{mono: -2 * maxBehind}, own: own{m: map[string]polled{}},
	}
	err := probe(ctx, s.bucket)
	if err != nil {
		return nil, err
	}
	if s.root, err = beginning(ctx, s.bucket); err != nil {
		return nil, err
	}
	if err := s.current(ctx); err != nil {
		return nil, err
	}
	s.context, s.cancel = context.WithCancel(context.Background())
	go s.work()
	return s, nil
}

// probe refuses storage that forbids something, or that does not keep to create-if-absent.
func probe(ctx context.Context, b retrying) error {
	name := probeDir + strings.ToLower(rand.Text())
	if err := b.create(ctx, name, []byte(name)); err != nil && !errors.Is(err, errTaken) { // by a lost answer
		return fmt.Errorf("blob: writing a probe: %w", err)
	}
	err := b.create(ctx, name, []byte("again"))
	data, readErr := b.taken(ctx, name)
	if removeErr := b.remove(ctx, name); removeErr != nil {
		return fmt.Errorf("blob: deleting a probe: %w", removeErr)
	}
	switch {
	case readErr != nil:
		return fmt.Errorf("blob: reading a probe: %w", readErr)
	case err == nil || string(data) != name:
		return fmt.Errorf("%w: it overwrites objects that were to be created only", ErrUnfit)
	case !errors.Is(err, errTaken):
		return fmt.Errorf("blob: writing a probe again: %w", err)
	}
	if _, err := b.get(ctx, name); !errors.Is(err, errAbsent) {
		return fmt.Errorf("%w: a deleted object is still there (%v)", ErrUnfit, err)
	}
	return nil
}

// beginning returns the store's own ID, which is made once.
func beginning(ctx context.Context, b retrying) (string, error) {
	const mark = "counterfoil 1 "
	data, err := b.get(ctx, rootName)
	if errors.Is(err, errAbsent) {
		if err = b.create(ctx, rootName, []byte(mark+rand.Text())); err == nil || errors.Is(err, errTaken) {
			data, err = b.taken(ctx, rootName)
		}
	}
	if err != nil {
		return "", fmt.Errorf("blob: reading %q: %w", rootName, err)
	}
	id, ours := strings.CutPrefix(string(data), mark)
	switch {
	case ours && len(id) == len(rand.Text()):
		return id, nil
	case strings.HasPrefix(string(data), "counterfoil "):
		return "", ErrNewer
	}
	return "", fmt.Errorf("%w (%q)", ErrDamaged, rootName)
}

// Capabilities says that the store is durable, linearizable and shared.
func (s *Store) Capabilities() counterfoil.Capabilities {
	return counterfoil.Capabilities{Durable: true, Linearizable: true, Shared: true, Requests: s.requests.String()}
}

// Accounts returns the accounts kept beside the sessions. They end with the Store.
func (s *Store) Accounts() account.Store { return accounts{s} }

// Close finishes the calls under way and waits for the store's goroutines.
func (s *Store) Close() error {
	s.once.Do(func() { close(s.closing) })
	<-s.stopped
	s.cancel()
	s.tasks.Wait()
	s.bucket.close()
	return nil
}
