package blob_test

import (
	"context"
	"crypto/rand"
	"errors"
	mathrand "math/rand/v2"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/sessiontest"
	"github.com/counterfoil/counterfoil/store/blob"
	"github.com/counterfoil/counterfoil/store/internal/nodetest"
	"github.com/counterfoil/counterfoil/store/internal/sample"
)

// Two managers on one folder see what the other does. G2
func TestTwoManagers(t *testing.T) {
	dsn, clock := "file://"+filepath.Join(t.TempDir(), "store"), sessiontest.NewClock(sample.Noon())
	nodetest.SeeEachOther(t, nodetest.Managers(t, clock, func() counterfoil.Store { return open(t, dsn) }), clock)
}

// Several nodes that start at once on an empty folder, or an empty prefix of a bucket, make one store.
func TestStartAtOnce(t *testing.T) {
	for kind, dsn := range map[string]string{
		"folder": "file://" + filepath.Join(t.TempDir(), "store"),
		"s3":     serverOf(t, "s3").DSN(strings.ToLower(rand.Text())),
	} {
		t.Run(kind, func(t *testing.T) {
			nodetest.StartAtOnce(t, func() (counterfoil.Store, error) {
				return blob.Open(context.Background(), dsn, blob.Options{})
			})
		})
	}
}

// With a store whose calls fail half of the time, before or after they took effect, a check never
// lets in whom an acknowledged end shut out, and never calls a live session invalid. G9
func TestManagerOnFaultyStore(t *testing.T) {
	var broken atomic.Bool
	lost := errors.New("the connection is lost")
	dsn := "file://" + filepath.Join(t.TempDir(), "store")
	nodes := nodetest.Managers(t, counterfoil.SystemClock(), func() counterfoil.Store {
		return sessiontest.Flaky(open(t, dsn), func(string) error {
			if broken.Load() && mathrand.IntN(2) == 0 {
				return lost
			}
			return nil
		})
	})
	for range 30 {
		stays, goes := httptest.NewRequest("GET", "/", nil), httptest.NewRequest("GET", "/", nil)
		sessiontest.SignIn(t, nodes[0], stays, counterfoil.Identity{Subject: "alice"})
		sessiontest.SignIn(t, nodes[0], goes, counterfoil.Identity{Subject: "bob"})
		broken.Store(true)
		for ended := false; !ended; {
			_, err := nodes[0].Revoke(context.Background(), counterfoil.AllOf("bob"), counterfoil.ReasonRevoked)
			ended = err == nil
		}
		for range 10 {
			if _, verdict := nodes[0].Check(goes); verdict == counterfoil.Valid {
				t.Fatal("a session whose end was acknowledged is let in")
			}
			if _, verdict := nodes[1].Check(stays); verdict == counterfoil.Invalid {
				t.Fatal("a live session is called invalid")
			}
		}
		broken.Store(false)
	}
}
