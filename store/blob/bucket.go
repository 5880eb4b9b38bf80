package blob

import (
	"context"
	"errors"
	"time"
)

// bucket is all that the store asks of object storage: nothing is ever overwritten. Names are made
// of lower case letters, digits, '-' and '/'. Reads see every write that was acknowledged.
type bucket interface {
	// get returns an object's bytes, or errAbsent.
	get(ctx context.Context, name string) ([]byte, error)
	// create writes an object that is not there yet, or says errTaken. After any other error the
	// object may or may not be there, or may still come; the same call again is safe, because the
	// store's objects tell who wrote them.
	create(ctx context.Context, name string, data []byte) error
	// remove deletes an object; one that is not there is removed already.
	remove(ctx context.Context, name string) error
	// list calls do for all objects whose names begin with prefix and lie after a name, in order of
	// name, until do returns an error.
	list(ctx context.Context, prefix, after string, do func(object) error) error
	// close frees connections that no request uses; later ones make their own.
	close()
}

// object is one line of a list.
type object struct {
	name     string
	modified time.Time // by the storage's clock
}

var (
	errAbsent = errors.New("blob: no such object")
	errTaken  = errors.New("blob: the object exists")
)

// maxObject bounds what is read or written as one object.
const maxObject = 64 << 20
