package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// side is one library under test: what a program does with a session, as its documentation says.
type side struct {
	name      string
	signIn    http.Handler // as the subject named by the header Subject
	signOut   http.Handler
	identity  http.Handler // reads who is signed in into seen
	readText  http.Handler // reads one string
	writeText http.Handler // writes one string, the header Text
	readPrefs http.Handler // reads one small struct
	setPrefs  http.Handler
	seen      *string
	close     func()
}

// prefs is the small struct.
type prefs struct {
	Theme string
	Size  int
}

// What each side keeps of a signed-in session besides the subject.
const (
	method = "pwd"
	level  = 1
	label  = "Chrome on Linux"
	peer   = "192.0.2.7"
)

// newRequest is a browser's request; line is the Set-Cookie of the answer that signed it in, "": none.
func newRequest(line string) *http.Request {
	cookie := "theme=dark; lang=en-GB"
	if line != "" {
		pair, _, _ := strings.Cut(line, ";")
		cookie += "; " + pair
	}
	r := &http.Request{
		Method: "GET", URL: &url.URL{Path: "/"}, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Host: "app.example", RemoteAddr: peer + ":50000",
		Header: http.Header{
			"Cookie":     {cookie},
			"Accept":     {"text/html,application/xhtml+xml"},
			"User-Agent": {"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"},
		},
	}
	return r.WithContext(context.Background())
}

// serve does what net/http does around a handler, and no more: a request of its own for each call.
func serve(h http.Handler, w *writer, r *http.Request) {
	own := new(http.Request)
	*own = *r
	clear(w.header)
	h.ServeHTTP(w, own)
}

// writer drops what it gets. It offers what the writer of HTTP/1 offers.
type writer struct{ header http.Header }

func newWriter() *writer { return &writer{http.Header{}} }

func (w *writer) Header() http.Header               { return w.header }
func (w *writer) WriteHeader(int)                   {}
func (w *writer) Write(b []byte) (int, error)       { return len(b), nil }
func (w *writer) WriteString(s string) (int, error) { return len(s), nil }
func (w *writer) Flush()                            {}
func (w *writer) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(io.Discard, r)
}
func (w *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return nil, nil, http.ErrNotSupported
}

// newSession signs a subject in and returns the Set-Cookie of the answer.
func (s *side) newSession(w *writer, subject string) (string, error) {
	r := newRequest("")
	r.Header.Set("Subject", subject)
	serve(s.signIn, w, r)
	return s.line(w)
}

func (s *side) line(w *writer) (string, error) {
	if lines := w.header["Set-Cookie"]; len(lines) > 0 {
		return lines[len(lines)-1], nil
	}
	return "", fmt.Errorf("%s: an answer sets no cookie", s.name)
}
