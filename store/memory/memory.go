// Package memory keeps sessions in the memory of one process, for tests and for programs whose
// sessions may end with them:
//
//	store := memory.New(memory.Options{})
//	defer store.Close()
//	sessions, err := counterfoil.New(ctx, counterfoil.Config{Store: store, Keys: keys})
//
// Nothing is written anywhere. Several managers of one process may share a store.
package memory

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store/internal/registry"
)

// Options says how a [Store] works. The zero value is right for one manager.
type Options struct {
	// Shared: more than one manager writes to the store, so none may cache values.
	Shared bool
}

// Store is a [counterfoil.Store] in memory. It is safe for use by many goroutines.
//
// Reading, touching and saving values take the lock of one of 1024 shards. Everything that appends to
// the log takes mu first and so happens in the log's order; what an entry ends is removed before the
// entry can be read, so that whoever has applied it cannot load the session again.
type Store struct {
	shared bool
	closed atomic.Bool
	shards [shardCount]shard
	nodes  registry.Registry

	mu       sync.Mutex // before any shard's lock
	log      journal
	subjects [shardCount]subjects
	lastHead lastHead
	actors   map[counterfoil.SubjectHash]set // the records in which an actor acts
	children map[counterfoil.ID]set          // by parent, and by root
	readers  map[string]uint64
	meta     map[string][]byte
	sweep    int // the shard at which the next Reap begins
}

type shard struct {
	mu   sync.RWMutex
	recs index[byID]
}

type set map[*record]struct{}

var errClosed = errors.New("memory: the store is closed; open a new one")

// New returns an empty store.
func New(o Options) *Store {
	return &Store{
		shared:   o.Shared,
		log:      journal{incarnation: rand.Text()},
		actors:   map[counterfoil.SubjectHash]set{},
		children: map[counterfoil.ID]set{},
		readers:  map[string]uint64{},
		meta:     map[string][]byte{},
	}
}

// Capabilities says that nothing outlives the process.
func (s *Store) Capabilities() counterfoil.Capabilities {
	return counterfoil.Capabilities{Linearizable: true, Shared: s.shared}
}

// Close makes every later call fail. The store has no goroutines.
func (s *Store) Close() error {
	s.closed.Store(true)
	return nil
}

// enter says whether a call may begin.
func (s *Store) enter(ctx context.Context) error {
	if s.closed.Load() {
		return errClosed
	}
	return ctx.Err()
}

func (s *Store) shard(id counterfoil.ID) *shard { return &s.shards[shardOf(id)] }

func (s *Store) subject(h counterfoil.SubjectHash) *subjects { return &s.subjects[shardOf(h)] }

func (s *Store) peek(id counterfoil.ID) *record {
	sh := s.shard(id)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	return sh.recs.get(id)
}

// read returns a copy of what the shard's lock guards.
func (s *Store) read(id counterfoil.ID) (stored, bool) {
	sh := s.shard(id)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	r := sh.recs.get(id)
	if r == nil {
		return stored{}, false
	}
	return stored{r.names, r.state}, true
}
