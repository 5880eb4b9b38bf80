package blob

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/counterfoil/counterfoil"
)

// temporary marks an error that may not come again: a broken connection, a storage that is busy.
type temporary struct{ error }

func (t temporary) Unwrap() error { return t.error }

// Is makes it match counterfoil.ErrUnavailable.
func (t temporary) Is(target error) bool { return target == counterfoil.ErrUnavailable }

// retrying asks a bucket again, a few times, waiting longer each time and never as long as another
// node does. Every request may be repeated: reads and deletions anyhow, and a creation because the
// object tells who wrote it. If the first try of one took effect and its answer was lost, the second
// is told errTaken, and whoever asked reads the object back and finds its own name.
type retrying struct {
	bucket
	clock    counterfoil.Clock
	requests *requests
}

const (
	tries     = 5
	firstWait = 100 * time.Millisecond // at most; then twice as long each time
	// How long the first try may take, then twice as long each time: its connection may be half open,
	// and what is small is answered in a fraction of this.
	firstTry = time.Second
)

func (r retrying) again(ctx context.Context, do func(context.Context) error) error {
	ctx = r.requests.under(ctx)
	for i := 0; ; i++ {
		try, cancel := context.WithTimeout(ctx, firstTry<<i)
		err := do(try)
		cancel()
		late := errors.Is(err, context.DeadlineExceeded)
		if i+1 == tries || err == nil || ctx.Err() != nil || !late && !errors.As(err, &temporary{}) {
			return err
		}
		if late {
			r.bucket.close() // those that are idle may be as dead
		}
		if !r.wait(ctx, jitter(firstWait<<i)) {
			return err
		}
	}
}

// wait reports whether the time went by before ctx ended.
func (r retrying) wait(ctx context.Context, d time.Duration) bool {
	over := make(chan struct{})
	stop := r.clock.AfterFunc(d, func() { close(over) })
	select {
	case <-over:
		return true
	case <-ctx.Done():
		stop()
		return false
	}
}

// jitter returns some time between a tenth of d and d.
func jitter(d time.Duration) time.Duration {
	var b [8]byte
	rand.Read(b[:])
	return d/10 + time.Duration(binary.LittleEndian.Uint64(b[:])%uint64(d-d/10))
}

func (r retrying) get(ctx context.Context, name string) (data []byte, err error) {
	err = r.again(ctx, func(ctx context.Context) error {
		data, err = r.bucket.get(ctx, name)
		return err
	})
	return data, err
}

// taken gets an object whose creation was answered with errTaken. Some storages say that a moment before
// the object can be read, while another's creation of it comes to its end: then it is asked again.
func (r retrying) taken(ctx context.Context, name string) (data []byte, err error) {
	err = r.again(ctx, func(ctx context.Context) error {
		if data, err = r.bucket.get(ctx, name); errors.Is(err, errAbsent) {
			return temporary{fmt.Errorf("%w, though the storage says that it exists", err)}
		}
		return err
	})
	return data, err
}

func (r retrying) create(ctx context.Context, name string, data []byte) error {
	return r.again(ctx, func(ctx context.Context) error { return r.bucket.create(ctx, name, data) })
}

func (r retrying) remove(ctx context.Context, name string) error {
	return r.again(ctx, func(ctx context.Context) error { return r.bucket.remove(ctx, name) })
}

// list goes on where a fault broke it off.
func (r retrying) list(ctx context.Context, prefix, after string, do func(object) error) error {
	return r.again(ctx, func(ctx context.Context) error {
		return r.bucket.list(ctx, prefix, after, func(o object) error {
			after = o.name
			return do(o)
		})
	})
}
