package blob_test

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/store/blob"
	"github.com/counterfoil/counterfoil/store/internal/sample"
)

// records is what a storage's own record of requests would have: which request did what.
type records struct {
	mu  sync.Mutex
	did map[string][]string // by ID
}

var inUserAgent = regexp.MustCompile(`^counterfoil/1 \(request ([0-9a-f]{32})\)$`)

// listen stands in front of a storage and records what it is asked for.
func listen(t *testing.T, address, idHeader string) (at string, seen *records) {
	seen = &records{did: map[string][]string{}}
	to := &url.URL{Scheme: "http", Host: address}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = r.In.Host // it is signed
	}}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m := inUserAgent.FindStringSubmatch(r.UserAgent())
		if m == nil || idHeader != "" && r.Header.Get(idHeader) != m[1] {
			t.Errorf("%s %s names itself %q and %q", r.Method, r.URL, r.UserAgent(), r.Header.Get(idHeader))
		} else {
			seen.mu.Lock()
			seen.did[m[1]] = append(seen.did[m[1]], r.Method+" "+r.URL.String())
			seen.mu.Unlock()
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://"), seen
}

// P72: every request to the bucket has an ID where the storage's own record keeps it. The audit says how
// those of its process begin, and with each change which request wrote it, also one of another node.
func TestRequestsAreInTheAudit(t *testing.T) {
	for kind, idHeader := range map[string]string{"s3": "", "gs": "X-Goog-Custom-Audit-Request", "azblob": "X-Ms-Client-Request-Id"} {
		t.Run(kind, func(t *testing.T) {
			server := serverOf(t, kind)
			if kind == "azblob" {
				blob.CreateContainer(t.Context(), server.DSN("")) // it may be there
			}
			at, seen := listen(t, server.Address(), idHeader)
			dsn := server.DSNAt(at, strings.ToLower(rand.Text()))
			other, s := open(t, dsn), open(t, dsn)
			begins := s.Capabilities().Requests
			if len(begins) != 16 || begins == other.Capabilities().Requests {
				t.Fatalf("two stores' requests begin with %q and %q", begins, other.Capabilities().Requests)
			}
			want := map[string]string{} // how the request that wrote it begins, by session
			for _, by := range []*blob.Store{s, other, s} {
				r := sample.Session(sample.Subject())
				if _, err := by.Create(t.Context(), r, sample.SignIn()); err != nil {
					t.Fatal(err)
				}
				want[r.ID.String()] = by.Capabilities().Requests
				if _, err := by.Load(t.Context(), r.ID); err != nil {
					t.Fatal(err)
				}
				if _, err := by.Revoke(t.Context(), sample.SignOut(r.ID)); err != nil {
					t.Fatal(err)
				}
			}
			lines := audited(t, s)
			if lines[0].Kind != audit.KindBegin || lines[0].Requests != begins {
				t.Errorf("the audit begins with %+v", lines[0])
			}
			seen.mu.Lock() // one that was given up may come late
			defer seen.mu.Unlock()
			changes := 0
			for _, l := range lines[1:] {
				if l.Seq == 0 {
					continue
				}
				changes++
				did := seen.did[l.Request]
				if !strings.HasPrefix(l.Request, want[l.Session]) || len(did) == 0 || !strings.Contains(did[0], "journal") || strings.HasPrefix(did[0], "GET") {
					t.Errorf("line %d was written by request %q, which did %q", l.Number, l.Request, did)
				}
			}
			if changes != 6 {
				t.Errorf("%d changes in the audit", changes)
			}
			for id, did := range seen.did {
				if !strings.HasPrefix(id, begins) && !strings.HasPrefix(id, other.Capabilities().Requests) {
					t.Errorf("request %s is nobody's", id)
				}
				if len(slices.Compact(did)) != 1 { // no try was repeated here, and nothing but a repeated one has an ID again
					t.Errorf("request %s did %q", id, did)
				}
			}
		})
	}
}

// audited exports the audit of a store and returns its lines.
func audited(t *testing.T, s counterfoil.Store) (lines []audit.Line) {
	t.Helper()
	keys, err := keyring.Generate(sample.Noon(), nil)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	x, err := audit.Open(t.Context(), audit.Config{
		Path: path, Store: s, Keys: keys, Logger: slog.New(slog.DiscardHandler),
		Describe: func(e counterfoil.Entry) (counterfoil.Event, bool) {
			return counterfoil.Event{Kind: counterfoil.EventEnded, Time: e.Time}, true
		},
	})
	if err == nil {
		err = x.Close(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := audit.Verify(bytes.NewReader(text), keys.AuditKey(), nil); err != nil || r.Broken != 0 {
		t.Errorf("the audit does not verify: %+v, %v", r, err)
	}
	for scan := bufio.NewScanner(bytes.NewReader(text)); scan.Scan(); {
		var l audit.Line
		if err := json.Unmarshal(scan.Bytes(), &l); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, l)
	}
	return lines
}

// P69: what is uploaded is ciphertext already: no name, address, label, value or token of anybody is in it,
// in the log and in snapshots neither.
func TestUploadsAreSealed(t *testing.T) {
	server := serverOf(t, "s3")
	to := &url.URL{Scheme: "http", Host: server.Address()}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = r.In.Host
	}}
	var mu sync.Mutex
	var uploaded []byte
	guard := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		uploaded = append(uploaded, body...)
		mu.Unlock()
		r.Body = io.NopCloser(bytes.NewReader(body))
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(guard.Close)
	s := open(t, server.DSNAt(strings.TrimPrefix(guard.URL, "http://"), strings.ToLower(rand.Text())))
	keys, err := keyring.Generate(sample.Noon(), nil)
	if err != nil {
		t.Fatal(err)
	}
	sessions, err := counterfoil.New(t.Context(), counterfoil.Config{Store: s, Keys: keys, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	note := counterfoil.NewKey[string]("note")
	canary := []string{"canary-subject", "canary-label", "canary-value", "203.0.113.77", "canary-agent"}
	var id string
	var secrets []string // tokens
	h := sessions.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := sessions.FromContext(r.Context()).SignIn(counterfoil.Identity{Subject: canary[0], Label: canary[1], Methods: []string{"pwd"}})
		if err == nil {
			err = note.Set(sessions.FromContext(r.Context()), canary[2])
		}
		if err != nil {
			t.Error(err)
		}
		id = sessions.FromContext(r.Context()).ID().String()
	}))
	for range 300 { // a snapshot among them
		r := httptest.NewRequest("GET", "https://example.test/", nil)
		r.RemoteAddr = canary[3] + ":1234"
		r.Header.Set("User-Agent", canary[4])
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		for _, c := range w.Result().Cookies() {
			if c.Value != "" {
				secrets = append(secrets, c.Value)
			}
		}
	}
	if err := errors.Join(sessions.Close(t.Context()), s.Close()); err != nil { // a snapshot is under way
		t.Fatal(err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(id)
	if err != nil || !bytes.Contains(uploaded, raw) || !bytes.Contains(uploaded, []byte("CFS1")) || len(secrets) < 300 {
		t.Fatalf("the uploads are not all here: %d bytes, %d tokens, %v", len(uploaded), len(secrets), err)
	}
	for _, token := range secrets {
		bytes, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil || len(bytes) != 32 {
			t.Fatalf("no token: %q, %v", token, err)
		}
		canary = append(canary, token, string(bytes[:16]), string(bytes[16:]))
	}
	for _, c := range canary {
		for _, form := range []string{c, base64.StdEncoding.EncodeToString([]byte(c)), base64.RawURLEncoding.EncodeToString([]byte(c)), hex.EncodeToString([]byte(c))} {
			if bytes.Contains(uploaded, []byte(form)) {
				t.Errorf("%q was uploaded", c)
			}
		}
	}
}
