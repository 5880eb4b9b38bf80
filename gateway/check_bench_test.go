package gateway_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/counterfoil/counterfoil/gateway"
)

// discard is a writer that keeps the header of one answer.
type discard struct{ h http.Header }

func (d *discard) Header() http.Header         { return d.h }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}

// BenchmarkCheck is the whole way of GET /auth/check beside a handler that sets the same headers.
func BenchmarkCheck(b *testing.B) {
	s := newSite(b, func(c *gateway.Config) { c.TLS = false; c.Proxies = prefixes("127.0.0.0/8") }).withAccounts()
	c := s.client()
	c.header.Set("X-Forwarded-Proto", "https")
	c.header.Set("Content-Type", "application/x-www-form-urlencoded")
	a := c.do("POST", "/auth/login", form("username", alice, "password", alicePassword))
	r := httptest.NewRequest("GET", "/auth/check", nil)
	r.RemoteAddr = "127.0.0.1:1"
	r.Header.Set("X-Forwarded-Proto", "https")
	for _, k := range a.Cookies() {
		r.AddCookie(&http.Cookie{Name: k.Name, Value: k.Value})
	}
	for name, h := range map[string]http.Handler{
		"check": s.g.Handler(),
		"same headers": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h := w.Header()
			h.Set("Strict-Transport-Security", "max-age=63072000; includeSubDomains")
			h.Set("X-Auth-Subject", alice)
			h.Set("X-Auth-Session", "AAAAAAAAAAAAAAAAAAAAAA")
			h.Set("X-Auth-Level", "1")
			h.Set("X-Auth-Methods", "pwd")
			h.Set("Cache-Control", "no-store")
			w.WriteHeader(200)
		}),
	} {
		b.Run(name, func(b *testing.B) {
			w := &discard{http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.h)
				h.ServeHTTP(w, r)
			}
			if w.h.Get("X-Auth-Subject") != alice {
				b.Fatal("not signed in")
			}
		})
	}
}
