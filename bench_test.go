package counterfoil_test

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/sessiontest"
)

// signedIn returns requests of n different sessions.
func signedIn(tb testing.TB, m *counterfoil.Manager, n int) []*http.Request {
	rs := make([]*http.Request, n)
	for i := range rs {
		rs[i] = httptest.NewRequest("GET", "/", nil)
		sessiontest.SignIn(tb, m, rs[i], counterfoil.Identity{Subject: "user" + string(rune('a'+i%26)) + string(rune('a'+i/26%26))})
	}
	return rs
}

func TestCheckAllocatesNothing(t *testing.T) {
	m, _ := sessiontest.New(t)
	r := signedIn(t, m, 1)[0]
	if n := testing.AllocsPerRun(1000, func() {
		if _, v := m.Check(r); v != counterfoil.Valid {
			t.Fatal(v)
		}
	}); n != 0 {
		t.Errorf("a warm check allocates %v times", n)
	}
	none := httptest.NewRequest("GET", "/", nil)
	if n := testing.AllocsPerRun(1000, func() { m.Check(none) }); n != 0 {
		t.Errorf("a check without a cookie allocates %v times", n)
	}
}

func BenchmarkCheck(b *testing.B) {
	m, _ := sessiontest.New(b, func(c *counterfoil.Config) { c.Clock = counterfoil.SystemClock() })
	rs := signedIn(b, m, 500)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, v := m.Check(rs[i%len(rs)]); v != counterfoil.Valid {
			b.Fatal(v)
		}
	}
}

func BenchmarkHandlerIdentity(b *testing.B) {
	m, _ := sessiontest.New(b, func(c *counterfoil.Config) { c.Clock = counterfoil.SystemClock() })
	rs := signedIn(b, m, 500)
	h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if m.FromContext(r.Context()).Subject() == "" {
			b.Fatal("nobody")
		}
	}))
	w := discard{http.Header{}}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		h.ServeHTTP(w, rs[i%len(rs)])
	}
}

type discard struct{ h http.Header }

func (d discard) Header() http.Header         { return d.h }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

func BenchmarkSignIn(b *testing.B) {
	n := 0
	m, _ := sessiontest.New(b, func(c *counterfoil.Config) { c.Clock = counterfoil.SystemClock() })
	h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n++
		if err := m.FromContext(r.Context()).SignIn(counterfoil.Identity{Subject: strconv.Itoa(n)}); err != nil {
			b.Fatal(err)
		}
	}))
	r := httptest.NewRequest("POST", "/", nil)
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(discard{http.Header{}}, r)
	}
}
