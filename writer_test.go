package counterfoil_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/sessiontest"
)

// Each way in which a first byte can leave commits before it does.
func TestCommitBeforeFirstByte(t *testing.T) { // P19
	ways := map[string]func(w http.ResponseWriter, r *http.Request){
		"nothing written":    func(http.ResponseWriter, *http.Request) {},
		"Write":              func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("x")) },
		"WriteString":        func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "x") },
		"WriteHeader":        func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) },
		"ReadFrom":           func(w http.ResponseWriter, _ *http.Request) { io.Copy(w, onlyReader{strings.NewReader("x")}) },
		"Flush":              func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush() },
		"ResponseController": func(w http.ResponseWriter, _ *http.Request) { http.NewResponseController(w).Flush() },
		"after 103": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			w.Write([]byte("x"))
		},
		"Redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusSeeOther) },
		"through a foreign wrapper": func(w http.ResponseWriter, _ *http.Request) {
			http.NewResponseController(struct{ wrapper }{wrapper{w}}).Flush()
		},
	}
	for name, way := range ways {
		for _, http2 := range []bool{false, true} {
			t.Run(name+map[bool]string{false: " HTTP/1", true: " HTTP/2"}[http2], func(t *testing.T) {
				m, _ := sessiontest.New(t)
				srv := httptest.NewUnstartedServer(m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if err := m.FromContext(r.Context()).SignIn(counterfoil.Identity{Subject: "alice"}); err != nil {
						t.Error(err)
					}
					way(w, r)
				})))
				srv.EnableHTTP2 = http2
				srv.StartTLS()
				defer srv.Close()
				c := srv.Client()
				c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
				a, err := c.Get(srv.URL)
				if err != nil {
					t.Fatal(err)
				}
				defer a.Body.Close()
				if got := a.Cookies(); len(got) != 1 || got[0].Name != "__Host-Http-session" {
					t.Errorf("cookies: %v", got)
				}
				if http2 != (a.ProtoMajor == 2) {
					t.Errorf("protocol %s", a.Proto)
				}
			})
		}
	}
}

type onlyReader struct{ io.Reader }

type wrapper struct{ w http.ResponseWriter }

func (w wrapper) Header() http.Header         { return w.w.Header() }
func (w wrapper) Write(b []byte) (int, error) { return w.w.Write(b) }
func (w wrapper) WriteHeader(code int)        { w.w.WriteHeader(code) }
func (w wrapper) Unwrap() http.ResponseWriter { return w.w }

// The writer offers what the server's offers, and no more.
func TestWriterOffersWhatIsThere(t *testing.T) {
	m, _ := sessiontest.New(t)
	has := func(w http.ResponseWriter) (list string) {
		if _, ok := w.(http.Flusher); ok {
			list += "F"
		}
		if _, ok := w.(http.Hijacker); ok {
			list += "H"
		}
		if _, ok := w.(io.ReaderFrom); ok {
			list += "R"
		}
		if _, ok := w.(io.StringWriter); ok {
			list += "S"
		}
		if _, ok := w.(http.Pusher); ok {
			list += "P"
		}
		return list
	}
	for name, w := range map[string]http.ResponseWriter{
		"plain":   discard{http.Header{}},
		"wrapped": wrapper{httptest.NewRecorder()},
		"flusher": struct{ flusher }{flusher{discard{http.Header{}}}},
	} {
		m.Handler(http.HandlerFunc(func(got http.ResponseWriter, _ *http.Request) {
			if has(got) != has(w) {
				t.Errorf("%s: %q became %q", name, has(w), has(got))
			}
		})).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	}
	for _, http2 := range []bool{false, true} {
		var outer, inner string
		h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { inner = has(w) }))
		srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			outer = has(w)
			h.ServeHTTP(w, r)
		}))
		srv.EnableHTTP2 = http2
		srv.StartTLS()
		a, err := srv.Client().Get(srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		a.Body.Close()
		srv.Close()
		if outer != inner || outer == "" {
			t.Errorf("HTTP/2 %v: %q became %q", http2, outer, inner)
		}
	}
}

type flusher struct{ discard }

func (flusher) Flush() {}

// A failed commit replaces the answer, and no page body follows.
func TestFailedCommitReplacesTheAnswer(t *testing.T) { // PD8 of G9
	broken := false
	m, _ := sessiontest.New(t, func(c *counterfoil.Config) {
		c.Store = sessiontest.Flaky(c.Store, func(method string) error {
			if broken && method == "Update" {
				return errors.New("disk on fire")
			}
			return nil
		})
	})
	h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := note.Set(m.FromContext(r.Context()), "new"); err != nil {
			t.Error(err)
		}
		w.Header().Set("ETag", `"secret"`)
		w.Header().Set("Content-Length", "11")
		w.Header().Set("Surrogate-Control", "max-age=3600")
		if _, err := io.WriteString(w, "SECRET PAGE"); broken == (err == nil) {
			t.Errorf("broken %v, write: %v", broken, err)
		}
	}))
	r := httptest.NewRequest("GET", "/", nil)
	sessiontest.SignIn(t, m, r, counterfoil.Identity{Subject: "alice"})
	broken = true
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "SECRET") || w.Header().Get("ETag") != "" {
		t.Errorf("%d %q %v", w.Code, w.Body, w.Header())
	}
	if w.Header().Get("Retry-After") == "" || len(w.Header()["Set-Cookie"]) != 0 || w.Header().Get("Surrogate-Control") != "" {
		t.Errorf("header %v", w.Header())
	}
}

// A socket lives on as a read-only view and is told when the session ends.
func TestHijackAndDone(t *testing.T) {
	m, clock := sessiontest.New(t)
	watching, ended := make(chan bool), make(chan counterfoil.Reason, 1)
	srv := httptest.NewServer(m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := m.FromContext(r.Context())
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
		if err := note.Set(s, "late"); !errors.Is(err, counterfoil.ErrReadOnly) {
			t.Errorf("Set after Hijack: %v", err)
		}
		done := s.Done()
		watching <- true
		<-done
		ended <- s.Cause()
	})))
	defer srv.Close()
	for _, c := range []struct {
		name string
		end  func(counterfoil.Info)
		want counterfoil.Reason
	}{
		{"revoked", func(i counterfoil.Info) { m.Revoke(t.Context(), counterfoil.ByID(i.ID), counterfoil.ReasonRevoked) }, counterfoil.ReasonRevoked},
		{"all of the subject", func(counterfoil.Info) {
			m.Revoke(t.Context(), counterfoil.AllOf("alice"), counterfoil.ReasonDisabled)
		}, counterfoil.ReasonDisabled},
		{"idle", func(counterfoil.Info) { clock.Advance(31 * time.Minute) }, counterfoil.ReasonIdle},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			info := sessiontest.SignIn(t, m, r, counterfoil.Identity{Subject: "alice"})
			conn, err := net.Dial("tcp", srv.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			r.Write(conn)
			if line, err := textproto.NewReader(bufio.NewReader(conn)).ReadLine(); err != nil || !strings.Contains(line, "101") {
				t.Fatalf("%q %v", line, err)
			}
			<-watching
			c.end(info)
			if got := <-ended; got != c.want {
				t.Errorf("ended for %q, want %q", got, c.want)
			}
		})
	}
}

func TestTwoManagersShareARequest(t *testing.T) {
	shop, _ := sessiontest.New(t)
	admin, _ := sessiontest.New(t, func(c *counterfoil.Config) {
		c.Cookie = counterfoil.Cookie{Name: "__Host-admin", VisitName: "__Host-admin-visit"}
	})
	h := shop.Handler(admin.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, shop.FromContext(r.Context()).Subject()+"/"+admin.FromContext(r.Context()).Subject())
	})))
	r := httptest.NewRequest("GET", "/", nil)
	sessiontest.SignIn(t, shop, r, counterfoil.Identity{Subject: "alice"})
	sessiontest.SignIn(t, admin, r, counterfoil.Identity{Subject: "root"})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if got := w.Body.String(); got != "alice/root" {
		t.Errorf("got %q", got)
	}
	if err := shop.FromContext(t.Context()).SignOut(); !errors.Is(err, counterfoil.ErrNoHandler) {
		t.Errorf("without Handler: %v", err)
	}
}
