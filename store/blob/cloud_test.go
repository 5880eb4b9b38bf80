package blob_test

import (
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/store/blob"
	"github.com/counterfoil/counterfoil/store/blob/blobtest"
	"github.com/counterfoil/counterfoil/store/internal/sample"
)

// P26, P29
func TestS3(t *testing.T) {
	conforms(t, prefixes(serverOf(t, "s3")))
}

// The rights that docs/blob.md names are enough: to get, put and delete below the prefix and to list
// it. Everything else is denied here. P71
func TestLeastRights(t *testing.T) {
	server := serverOf(t, "s3")
	to := &url.URL{Scheme: "http", Host: server.Address()}
	prefix := strings.ToLower(rand.Text())
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = r.In.Host // it is signed
	}}
	guard := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		object := strings.HasPrefix(r.URL.Path, "/bucket/"+prefix+"/") && r.URL.RawQuery == "" &&
			(r.Method == "GET" || r.Method == "PUT" || r.Method == "DELETE")
		list := r.Method == "GET" && r.URL.Path == "/bucket/" && strings.HasPrefix(r.FormValue("prefix"), prefix+"/")
		if !object && !list {
			t.Errorf("the store asks for %s %s", r.Method, r.URL)
			w.WriteHeader(http.StatusForbidden)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	defer guard.Close()
	dsn := server.DSNAt(strings.TrimPrefix(guard.URL, "http://"), prefix)
	s := open(t, dsn)
	defer s.Close() // before the guard
	for range 300 { // a snapshot among them
		r := sample.Session(sample.Subject())
		if _, err := s.Create(t.Context(), r, sample.SignIn()); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Revoke(t.Context(), sample.SignOut(r.ID)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if p, err := open(t, dsn).Log(t.Context(), 0, 0); err != nil || p.Head != 600 {
		t.Errorf("opened again, the log stands at %d, %v", p.Head, err)
	}
}

// P26, P29
func TestGCS(t *testing.T) { conforms(t, prefixes(serverOf(t, "gs"))) }

// P26, P29
func TestAzure(t *testing.T) {
	s := serverOf(t, "azblob")
	if err := blob.CreateContainer(t.Context(), s.DSN("")); err != nil {
		t.Fatal(err)
	}
	conforms(t, prefixes(s))
}

// prefixes gives each store a part of the bucket of its own.
func prefixes(s *blobtest.Server) func(*testing.T) string {
	return func(*testing.T) string { return s.DSN(strings.ToLower(rand.Text())) }
}
