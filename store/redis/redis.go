// Package redis keeps sessions in Redis or Valkey, version 7 or newer, for several nodes:
//
//	store, err := redis.Open(ctx, "redis://127.0.0.1:6379", redis.Options{})
//	if err != nil {
//		return err
//	}
//	defer store.Close()
//	sessions, err := counterfoil.New(ctx, counterfoil.Config{Store: store, Keys: keys})
//
// Every change is one script, so it happens as a whole or not at all. All keys carry one hash tag and
// lie in one slot: a cluster gives fail-over, not scale. What survives a crash is decided by the
// server's settings; docs/redis.md says what each one loses.
package redis

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/account"
)

// What the store says besides the sentinels of its contract. Match them with errors.Is.
var (
	// ErrEviction refuses a server that drops keys when its memory is full: ends would come undone.
	ErrEviction = errors.New("redis: the server may evict keys; set maxmemory-policy noeviction")
	// ErrUnfit refuses a server that cannot hold the store.
	ErrUnfit = errors.New("redis: this server cannot hold the store")
	// ErrNewer refuses data that a newer version wrote.
	ErrNewer = errors.New("redis: the data was written by another version of this program; run that version")
	// ErrDamaged says that something under the store's keys is not what the store wrote.
	ErrDamaged = errors.New("redis: a value under the store's prefix is not the store's; nothing else may write there")
)

// firstGeneration is in the names of records and indexes until everything has ended once.
const firstGeneration = "0"

// format is the version of the keys and values in Redis.
const format = "1"

// DefaultPrefix begins the names of all keys unless [Options] says otherwise.
const DefaultPrefix = "counterfoil"

// Options says how a [Store] works. The zero value is right for one installation per database.
type Options struct {
	// Prefix begins the names of all keys; "": [DefaultPrefix]. Two installations in one database
	// need two prefixes. Letters, digits, '.', '_' and '-', at most 64.
	Prefix string
}

// Store is a [counterfoil.Store] in Redis. It is safe for use by many goroutines. Calls are never
// repeated by themselves: after a lost connection the caller gets an error that means "unknown", and
// the next call connects again.
type Store struct {
	client     *client
	keys       []string // the prefix, for all scripts
	scripts    map[string]*rueidis.Lua
	generation atomic.Value // of the keys of records, a string; the last one seen
	can        counterfoil.Capabilities
}

// Open connects to the server that the DSN names, see [ParseDSN], and makes the store if there is
// none. [ErrEviction], [ErrUnfit], [ErrNewer]; counterfoil.ErrUnavailable means that the server does
// not answer, or not yet.
func Open(ctx context.Context, dsn string, o Options) (*Store, error) {
	return open(ctx, dsn, o, patience)
}

func open(ctx context.Context, dsn string, o Options, patience time.Duration) (_ *Store, err error) {
	place, err := ParseDSN(dsn)
	if err != nil {
		return nil, err
	}
	if o.Prefix == "" {
		o.Prefix = DefaultPrefix
	}
	if !validPrefix(o.Prefix) {
		return nil, fmt.Errorf("redis: the prefix %q is not 1 to 64 of letters, digits, '.', '_', '-'", o.Prefix)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	client, err := dial(place, patience)
	if err != nil {
		return nil, whether(fmt.Errorf("redis: %w; see that the server runs and that address and password are right", err))
	}
	s := &Store{client: client, keys: []string{"{" + o.Prefix + "}:"}}
	s.generation.Store(firstGeneration)
	defer func() {
		if err != nil {
			client.Close()
		}
	}()
	settings, err := s.settings(ctx)
	if err != nil {
		return nil, whether(err)
	}
	if err := settings.fit(); err != nil {
		return nil, err
	}
	s.can = settings.capabilities()
	if s.scripts, err = compile(); err != nil {
		return nil, err
	}
	answer, err := s.call(ctx, "begin", args{}.text(rand.Text()).text(format))
	if err != nil {
		return nil, whether(err)
	}
	if have := answer.text(1); answer.err != nil || have != format {
		return nil, errors.Join(fmt.Errorf("%w (format %q)", ErrNewer, have), answer.err)
	}
	return s, nil
}

// unreached is an error of Open that another try may not meet: the server does not answer, or not yet.
type unreached struct{ error }

func (e unreached) Unwrap() error        { return e.error }
func (e unreached) Is(target error) bool { return target == counterfoil.ErrUnavailable }

// whether puts what a server that is merely not ready says under counterfoil.ErrUnavailable.
func whether(err error) error {
	var said *rueidis.RedisError
	if errors.Is(err, ErrDamaged) || errors.As(err, &said) && !said.IsLoading() && !said.IsClusterDown() && !said.IsTryAgain() {
		return err
	}
	return unreached{err}
}

func validPrefix(p string) bool {
	for _, c := range []byte(p) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-') {
			return false
		}
	}
	return len(p) <= 64
}

// Capabilities says what the server's settings promised when the store was opened.
func (s *Store) Capabilities() counterfoil.Capabilities { return s.can }

// Close closes the connections and waits for calls under way.
func (s *Store) Close() error {
	s.client.Close()
	return nil
}

// Accounts returns the accounts kept beside the sessions. They end with the Store.
func (s *Store) Accounts() account.Store { return accounts{s} }
