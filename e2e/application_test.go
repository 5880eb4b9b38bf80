package e2e

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/counterfoil/counterfoil/internal/programtest"
)

// application is something behind the gateway that streams both ways.
type application struct {
	*httptest.Server
	more  chan struct{} // lets the stream go on
	piece chan string   // what has arrived of an upload
}

func newApplication(t *testing.T) *application {
	a := &application{more: make(chan struct{}), piece: make(chan string, 8)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, `<!doctype html><html lang="en"><title>Seats</title><link rel="icon" href="data:,"><h1>Seats of %s</h1><p>%s</p>`, r.Header.Get("X-Auth-Subject"), r.Header.Get("Cookie"))
	})
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for n := 1; ; n++ {
			fmt.Fprintf(w, "data: %d\n\n", n)
			w.(http.Flusher).Flush()
			select {
			case <-a.more:
			case <-r.Context().Done():
				return
			}
		}
	})
	mux.HandleFunc("POST /upload", func(w http.ResponseWriter, r *http.Request) {
		b := make([]byte, 64)
		for {
			n, err := r.Body.Read(b)
			if n > 0 {
				a.piece <- string(b[:n])
			}
			if err != nil {
				fmt.Fprint(w, err)
				return
			}
		}
	})
	mux.HandleFunc("GET /socket", echo)
	a.Server = httptest.NewServer(mux)
	t.Cleanup(a.Server.Close)
	t.Cleanup(a.CloseClientConnections)
	return a
}

// echo is a WebSocket that sends short texts back (RFC 6455).
func echo(w http.ResponseWriter, r *http.Request) {
	accept := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	w.Header().Set("Connection", "Upgrade")
	w.Header().Set("Upgrade", "websocket")
	w.Header().Set("Sec-WebSocket-Accept", base64.StdEncoding.EncodeToString(accept[:]))
	w.WriteHeader(http.StatusSwitchingProtocols)
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	for {
		head := make([]byte, 6) // opcode, length, mask
		if _, err := io.ReadFull(buffered, head); err != nil || head[0] != 0x81 || head[1]&0x7f > 125 {
			return
		}
		text := make([]byte, head[1]&0x7f)
		if _, err := io.ReadFull(buffered, text); err != nil {
			return
		}
		for i := range text {
			text[i] ^= head[2+i%4]
		}
		if _, err := conn.Write(append([]byte{0x81, byte(len(text))}, text...)); err != nil {
			return
		}
	}
}

// within fails the test if what is waited for does not come.
func within[T any](t *testing.T, what string, from <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(patience):
		t.Fatalf("%s does not come", what)
	}
	return v
}

// An application behind the gateway: events arrive one by one, uploads too, a socket works in a real
// browser and ends with its session, and nobody else's page may open one. When the application dies
// people are told, and stay signed in.
func TestApplication(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	addUser(t, dir, "alice")
	app := newApplication(t)
	s := serve(t, dir, "--upstream", app.URL)

	b := openBrowser(t)
	b.open(s.URL + "/")
	b.signIn("alice", passphrase)
	b.on("Seats of alice")
	if cookies := b.text("p"); cookies != "" {
		t.Errorf("the application gets the cookies %q", cookies)
	}
	socket := "ws" + strings.TrimPrefix(s.URL, "http") + "/socket"
	said := get(b, chromedp.Evaluate[string](`new Promise((ok, no) => {
		window.ended = new Promise(done => {
			window.socket = new WebSocket("`+socket+`");
			socket.onclose = () => done("closed");
		});
		socket.onerror = () => no("error");
		socket.onmessage = m => ok(m.data);
		socket.onopen = () => socket.send("row 1");
	})`, chromedp.EvalAwaitPromise))
	if said != "row 1" {
		t.Errorf("the socket says %q", said)
	}

	stranger := b.profile()
	stranger.open(s.URL + "/")
	stranger.signIn("alice", passphrase)
	stranger.open(foreignPage(t, ""))
	if got := get(stranger, openSocket(s)); got != "refused" {
		t.Errorf("a socket from another site's page: %s", got)
	}
	stranger.forgive()

	cookie, _ := s.SignIn("alice", passphrase)
	events := s.stream(t, cookie)
	for n := 1; n <= 3; n++ {
		if line := within(t, "an event", events); line != fmt.Sprint("data: ", n) {
			t.Fatalf("event %d: %q", n, line)
		}
		app.more <- struct{}{} // the next is sent only now
	}
	within(t, "an event", events)
	s.upload(t, cookie, app)

	// The end of the sessions cuts socket and stream.
	must(t, "session", "end", "--all", "--data", dir)
	if got := get(b, chromedp.Evaluate[string]("window.ended", chromedp.EvalAwaitPromise)); got != "closed" {
		t.Errorf("the socket of an ended session: %s", got)
	}
	if line, open := <-events; open {
		t.Errorf("the stream of an ended session goes on: %q", line)
	}

	// The application dies.
	cookie, _ = s.SignIn("alice", passphrase)
	app.CloseClientConnections()
	app.Server.Close()
	if status, body := s.curl(cookie, "/"); status != http.StatusBadGateway || !strings.Contains(body, "upstream_unreachable") {
		t.Errorf("without the application: %d %s", status, body)
	}
	if status, _ := s.curl(cookie, "/auth/check"); status != http.StatusOK {
		t.Errorf("without the application the session is %d", status)
	}
}

// stream reads the application's events line by line, until they end.
func (s *server) stream(t *testing.T, cookie string) <-chan string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Cookie", cookie)
	answer, err := programtest.Client().Do(r)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("events: %v %v", answer, err)
	}
	lines := make(chan string)
	go func() {
		defer close(lines)
		defer answer.Body.Close()
		for scan := bufio.NewScanner(answer.Body); scan.Scan(); {
			if scan.Text() != "" {
				lines <- scan.Text()
			}
		}
	}()
	return lines
}

// upload sends a body in pieces, the second after the first has arrived.
func (s *server) upload(t *testing.T, cookie string, app *application) {
	t.Helper()
	body, write := io.Pipe()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/upload", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Cookie", cookie)
	done := make(chan string, 1)
	go func() {
		answer, err := programtest.Client().Do(r)
		if err != nil {
			done <- err.Error()
			return
		}
		defer answer.Body.Close()
		text, _ := io.ReadAll(answer.Body)
		done <- fmt.Sprint(answer.StatusCode, " ", string(text))
	}()
	for _, piece := range []string{"first", "second"} {
		if _, err := write.Write([]byte(piece)); err != nil {
			t.Fatal(err)
		}
		if got := within(t, "a piece of the upload", app.piece); got != piece {
			t.Errorf("the piece %q arrived as %q", piece, got)
		}
	}
	write.Close()
	if got := within(t, "the answer to the upload", done); got != "200 EOF" {
		t.Errorf("upload: %s", got)
	}
}

// An application cannot plant or overwrite the gateway's cookie, nor be told who somebody is by a
// header that the client wrote.
func TestApplicationCannotLie(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	addUser(t, dir, "alice")
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Set-Cookie", "counterfoil-session=planted; Path=/")
		w.Header().Add("Set-Cookie", "basket=2; Path=/")
		fmt.Fprint(w, r.Header.Values("X-Auth-Subject"), r.Header.Values("X_auth_subject"), r.Header.Get("Cookie"))
	}))
	t.Cleanup(app.Close)
	s := serve(t, dir, "--upstream", app.URL)
	cookie, _ := s.SignIn("alice", passphrase)
	status, body := s.curl(cookie+"; basket=1", "/", "--include", "--header", "X-Auth-Subject: root", "--header", "X_auth_subject: root")
	if status != http.StatusOK || !strings.HasSuffix(body, "[alice] []basket=1") || strings.Contains(body, "planted") || !strings.Contains(body, "Set-Cookie: basket=2; Path=/") {
		t.Errorf("%d %s", status, body)
	}
}
