package counterfoil

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
)

// The writer that a handler gets is its state, seen through one of four method sets, chosen by what
// the given writer offers, so that a type assertion finds what is there and no more; io.ReaderFrom and
// io.StringWriter, which are there for speed alone, work with any. The fifth is behind Unwrap, for
// http.ResponseController.
type (
	plainWriter   state // what every writer has
	flushWriter   state // and Flusher
	http1Writer   state // and Flusher, Hijacker, io.ReaderFrom, io.StringWriter
	http2Writer   state // and Flusher, Pusher, io.StringWriter
	controlWriter state // FlushError and Hijack, which commit before they go on inwards
)

func (st *state) writer() http.ResponseWriter {
	if _, ok := st.w.(http.Flusher); !ok {
		return (*plainWriter)(st)
	}
	if _, ok := st.w.(http.Hijacker); ok {
		return (*http1Writer)(st)
	}
	if _, ok := st.w.(http.Pusher); ok {
		return (*http2Writer)(st)
	}
	return (*flushWriter)(st)
}

func (st *state) writeHeader(code int) {
	if code >= 100 && code < 200 && code != http.StatusSwitchingProtocols {
		st.w.WriteHeader(code) // informational: the answer is still to come
		return
	}
	if st.begin() {
		st.w.WriteHeader(code)
	}
}

func (st *state) write(b []byte) (int, error) {
	if !st.begin() {
		return 0, st.failed
	}
	return st.w.Write(b)
}

func (st *state) writeString(text string) (int, error) {
	if !st.begin() {
		return 0, st.failed
	}
	return io.WriteString(st.w, text)
}

func (st *state) flush() error {
	if !st.begin() {
		return st.failed
	}
	return http.NewResponseController(st.w).Flush()
}

func (st *state) readFrom(r io.Reader) (int64, error) {
	if !st.begin() {
		return 0, st.failed
	}
	return io.Copy(st.w, r)
}

var errHijackCookie = errors.New("counterfoil: the session's cookie cannot be set on a connection that is taken over; sign in or store a first value in a request before it")

func (st *state) hijack() (net.Conn, *bufio.ReadWriter, error) {
	s := &st.session
	s.mu.Lock()
	if !s.begun {
		if err := s.save(); err != nil {
			s.mu.Unlock()
			return nil, nil, err
		}
		if s.jar.send {
			s.mu.Unlock()
			return nil, nil, errHijackCookie
		}
	}
	s.mu.Unlock()
	conn, buf, err := http.NewResponseController(st.w).Hijack()
	if err == nil {
		s.mu.Lock()
		s.begun, s.hijacked = true, true
		s.mu.Unlock()
	}
	return conn, buf, err
}

func (w *plainWriter) Header() http.Header         { return w.w.Header() }
func (w *plainWriter) WriteHeader(code int)        { (*state)(w).writeHeader(code) }
func (w *plainWriter) Write(b []byte) (int, error) { return (*state)(w).write(b) }
func (w *plainWriter) FlushError() error           { return (*state)(w).flush() }
func (w *plainWriter) Unwrap() http.ResponseWriter { return (*controlWriter)(w) }

func (w *flushWriter) Header() http.Header         { return w.w.Header() }
func (w *flushWriter) WriteHeader(code int)        { (*state)(w).writeHeader(code) }
func (w *flushWriter) Write(b []byte) (int, error) { return (*state)(w).write(b) }
func (w *flushWriter) FlushError() error           { return (*state)(w).flush() }
func (w *flushWriter) Unwrap() http.ResponseWriter { return (*controlWriter)(w) }
func (w *flushWriter) Flush()                      { _ = (*state)(w).flush() }

func (w *http1Writer) Header() http.Header                          { return w.w.Header() }
func (w *http1Writer) WriteHeader(code int)                         { (*state)(w).writeHeader(code) }
func (w *http1Writer) Write(b []byte) (int, error)                  { return (*state)(w).write(b) }
func (w *http1Writer) FlushError() error                            { return (*state)(w).flush() }
func (w *http1Writer) Unwrap() http.ResponseWriter                  { return w.w }
func (w *http1Writer) Flush()                                       { _ = (*state)(w).flush() }
func (w *http1Writer) WriteString(s string) (int, error)            { return (*state)(w).writeString(s) }
func (w *http1Writer) ReadFrom(r io.Reader) (int64, error)          { return (*state)(w).readFrom(r) }
func (w *http1Writer) Hijack() (net.Conn, *bufio.ReadWriter, error) { return (*state)(w).hijack() }

func (w *http2Writer) Header() http.Header               { return w.w.Header() }
func (w *http2Writer) WriteHeader(code int)              { (*state)(w).writeHeader(code) }
func (w *http2Writer) Write(b []byte) (int, error)       { return (*state)(w).write(b) }
func (w *http2Writer) FlushError() error                 { return (*state)(w).flush() }
func (w *http2Writer) Unwrap() http.ResponseWriter       { return (*controlWriter)(w) }
func (w *http2Writer) Flush()                            { _ = (*state)(w).flush() }
func (w *http2Writer) WriteString(s string) (int, error) { return (*state)(w).writeString(s) }
func (w *http2Writer) Push(target string, o *http.PushOptions) error {
	return w.w.(http.Pusher).Push(target, o)
}

func (w *controlWriter) Header() http.Header                          { return w.w.Header() }
func (w *controlWriter) WriteHeader(code int)                         { (*state)(w).writeHeader(code) }
func (w *controlWriter) Write(b []byte) (int, error)                  { return (*state)(w).write(b) }
func (w *controlWriter) FlushError() error                            { return (*state)(w).flush() }
func (w *controlWriter) Unwrap() http.ResponseWriter                  { return w.w }
func (w *controlWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) { return (*state)(w).hijack() }
