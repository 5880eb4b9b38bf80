package blob

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"net/http"
	"sync/atomic"

	"github.com/counterfoil/counterfoil"
)

// requests gives each request of one store to its storage an ID that no other has: how it begins tells
// the store, and the audit of its process says that too. The tries of one request share their ID.
type requests struct {
	begin [8]byte
	n     atomic.Uint64
}

func newRequests() *requests {
	r := &requests{}
	rand.Read(r.begin[:])
	return r
}

// String is how the text of all IDs begins.
func (r *requests) String() string { return hex.EncodeToString(r.begin[:]) }

func (r *requests) next() (id counterfoil.RequestID) {
	copy(id[:], r.begin[:])
	binary.BigEndian.PutUint64(id[8:], r.n.Add(1))
	return id
}

type requestKey struct{}

// under has the requests that are made with the context it returns bear an ID.
func under(ctx context.Context, id counterfoil.RequestID) context.Context {
	return context.WithValue(ctx, requestKey{}, id)
}

// under is the function of that name with the next ID, unless the context has one.
func (r *requests) under(ctx context.Context) context.Context {
	if requestOf(ctx) != (counterfoil.RequestID{}) {
		return ctx
	}
	return under(ctx, r.next())
}

// requestOf returns the ID that requests made with ctx bear; zero: none.
func requestOf(ctx context.Context) counterfoil.RequestID {
	id, _ := ctx.Value(requestKey{}).(counterfoil.RequestID)
	return id
}

// name writes the ID where the storage's own record of requests shows it: in the user agent, which S3
// keeps in access logs and in CloudTrail, and in the header that Google and Azure have for it.
func (w *web) name(r *http.Request) {
	if id := requestOf(r.Context()).String(); id != "" {
		r.Header.Set("User-Agent", "counterfoil/1 (request "+id+")")
		if w.idHeader != "" {
			r.Header.Set(w.idHeader, id)
		}
	}
}

// theirs is the ID that the storage gave the request; "": none.
func (a *answer) theirs() string {
	for _, name := range []string{"X-Amz-Request-Id", "X-Guploader-Uploadid", "X-Ms-Request-Id"} {
		if id := a.header.Get(name); id != "" {
			return id
		}
	}
	return ""
}
