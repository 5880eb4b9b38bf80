package main

import (
	"bufio"
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

// visit is a browser's request that is made over and over: as from net/http, all of it is near at
// hand for the processor, but for the cookies, which are other ones each time.
type visit struct {
	r      http.Request
	cookie []string // the one value of the header Cookie
	w      writer
}

func newVisit() *visit {
	v := &visit{cookie: []string{withCookie("")}, w: writer{http.Header{}}}
	v.r = http.Request{
		Method: "GET", URL: &url.URL{Path: "/"}, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Host: "app.example", RemoteAddr: peer + ":50000",
		Header: http.Header{
			"Cookie":     v.cookie,
			"Accept":     {"text/html,application/xhtml+xml"},
			"User-Agent": {"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"},
		},
	}
	return v
}

// withCookie is the Cookie header of a browser that got line as its last Set-Cookie; "": none.
func withCookie(line string) string {
	cookie := "theme=dark; lang=en-GB"
	if line != "" {
		pair, _, _ := strings.Cut(line, ";")
		cookie += "; " + pair
	}
	return cookie
}

// serve does what net/http does around a handler, and no more: a request of its own for each call.
func (v *visit) serve(h http.Handler, cookie string) {
	v.cookie[0] = cookie
	r := new(http.Request)
	*r = v.r
	clear(v.w.header)
	h.ServeHTTP(&v.w, r)
}

// setCookie is the last Set-Cookie of the answer, "": none.
func (v *visit) setCookie() string {
	if lines := v.w.header["Set-Cookie"]; len(lines) > 0 {
		return lines[len(lines)-1]
	}
	return ""
}

// writer drops what it gets. It offers what the writer of HTTP/1 offers.
type writer struct{ header http.Header }

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

// newSession signs a subject in and returns the browser's Cookie header.
func (s *side) newSession(v *visit, subject string) string {
	v.r.Header["Subject"] = []string{subject}
	v.serve(s.signIn, withCookie(""))
	line := v.setCookie()
	if line == "" {
		panic(s.name + ": a sign-in sets no cookie")
	}
	return withCookie(line)
}
