package serve_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/config"
	"github.com/counterfoil/counterfoil/internal/logtest"
	"github.com/counterfoil/counterfoil/internal/operate"
	"github.com/counterfoil/counterfoil/internal/programtest"
	"github.com/counterfoil/counterfoil/internal/serve"
	"github.com/counterfoil/counterfoil/sessiontest"
)

// run is a server in this process.
type run struct {
	data   string // the folder
	url    string
	log    *logtest.Log
	reload chan os.Signal
	stop   func() error // asks it to stop, returns what Run returned
}

func options(t *testing.T, flags map[string]string) (serve.Options, *logtest.Log) {
	t.Helper()
	in := config.Input{Flags: map[string][]string{"data": {filepath.Join(t.TempDir(), "data")}, "listen": {"127.0.0.1:0"}, "store-wait": {"5m"}}}
	for name, value := range flags {
		in.Flags[name] = []string{value}
	}
	cfg, err := config.Load(in)
	if err != nil {
		t.Fatal(err)
	}
	log := &logtest.Log{}
	return serve.Options{
		Place:  operate.Place{Config: cfg, Clock: counterfoil.SystemClock(), Logger: slog.New(slog.NewTextHandler(log, nil))},
		Stdout: io.Discard, Reload: make(chan os.Signal),
	}, log
}

func start(t *testing.T, flags map[string]string) *run {
	t.Helper()
	o, log := options(t, flags)
	return startWith(t, o, log)
}

func startWith(t *testing.T, o serve.Options, log *logtest.Log) *run {
	t.Helper()
	out, in := io.Pipe()
	o.Stdout = in
	reload := make(chan os.Signal)
	o.Reload = reload
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		err := serve.Run(ctx, o)
		in.CloseWithError(io.EOF)
		ended <- err
	}()
	lines := bufio.NewScanner(out)
	r := &run{data: o.Config.Data, log: log, reload: reload}
	for r.url == "" && lines.Scan() {
		r.url, _ = strings.CutPrefix(lines.Text(), "listening: ")
	}
	if r.url == "" {
		t.Fatalf("it does not listen: %v\n%s", <-ended, log)
	}
	go func() {
		for lines.Scan() {
		}
	}()
	var once sync.Once
	var result error
	r.stop = func() error {
		once.Do(func() {
			cancel()
			result = <-ended
		})
		return result
	}
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("the stop: %v", err)
		}
	})
	return r
}

func client(edit func(*tls.Config)) *http.Client {
	c := &tls.Config{InsecureSkipVerify: true} // the test looks at the certificate itself
	if edit != nil {
		edit(c)
	}
	return &http.Client{
		Transport:     &http.Transport{TLSClientConfig: c, DisableKeepAlives: true, ForceAttemptHTTP2: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// signedIn makes an account over the control socket and returns a request of its session.
func (r *run) signedIn(t *testing.T, path string) *http.Request {
	t.Helper()
	if err := operate.Remote(r.data).Post(context.Background(), "/v1/users", operate.NewUser{Name: "alice", Password: programtest.Passphrase}, nil); err != nil {
		t.Fatal(err)
	}
	cookie, _ := programtest.At(t, r.url).SignIn("alice", programtest.Passphrase)
	next, err := http.NewRequest(http.MethodGet, r.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	next.Header.Set("Cookie", cookie)
	return next
}

// P84: TLS 1.2 at the least; the plain listener only sends on to https.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	cert, key := programtest.Certificate(t, dir, 1)
	redirect := programtest.FreeAddress(t)
	r := start(t, map[string]string{"tls-cert": cert, "tls-key": key, "redirect": redirect})
	if !strings.HasPrefix(r.url, "https://127.0.0.1:") {
		t.Fatalf("listening: %s", r.url)
	}
	serial := func() int64 {
		t.Helper()
		answer, err := client(nil).Get(r.url + "/healthz")
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK || answer.ProtoMajor != 2 || answer.TLS.Version != tls.VersionTLS13 {
			t.Errorf("%d, %s, TLS %x", answer.StatusCode, answer.Proto, answer.TLS.Version)
		}
		return answer.TLS.PeerCertificates[0].SerialNumber.Int64()
	}
	if n := serial(); n != 1 {
		t.Errorf("certificate %d", n)
	}
	if _, err := client(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }).Get(r.url); err == nil {
		t.Error("TLS 1.1 is spoken")
	}

	// C15: nothing configured but the certificate; keys are made, sign-in works, the cookie is safe.
	request := r.signedIn(t, "/auth/check")
	if cookie := request.Header.Get("Cookie"); !strings.HasPrefix(cookie, "__Host-") {
		t.Errorf("cookie %q", cookie)
	}
	answer, err := client(nil).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("signed in over TLS: %d", answer.StatusCode)
	}

	programtest.Certificate(t, dir, 2)
	r.reload <- syscall.SIGHUP
	r.reload <- syscall.SIGHUP // the first has been worked on when this one is taken
	if n := serial(); n != 2 {
		t.Errorf("after SIGHUP: certificate %d", n)
	}
	if err := os.WriteFile(cert, []byte("not a certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.reload <- syscall.SIGHUP
	r.reload <- syscall.SIGHUP
	if n := serial(); n != 2 || !strings.Contains(r.log.String(), "the old one stays in force") {
		t.Errorf("after a bad file: certificate %d\n%s", n, r.log)
	}

	answer, err = client(nil).Get("http://" + redirect + "/a?b=c")
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if to := answer.Header.Get("Location"); answer.StatusCode != http.StatusPermanentRedirect || to != r.url+"/a?b=c" {
		t.Errorf("%d to %q", answer.StatusCode, to)
	}
	for _, target := range []string{"x:.elsewhere.example", "*"} { // neither lengthens the host's name
		conn, err := net.Dial("tcp", redirect)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", target)
		if got, _ := io.ReadAll(conn); !strings.HasPrefix(string(got), "HTTP/1.1 400 ") {
			t.Errorf("%s: %q", target, got)
		}
		conn.Close()
	}
}

// SIGTERM: a request in flight gets its answer, a new one none.
func TestDrain(t *testing.T) {
	in, release := make(chan struct{}), make(chan struct{})
	application := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(in)
		<-release
		fmt.Fprint(w, "done")
	}))
	defer application.Close()
	r := start(t, map[string]string{"dev": "true", "upstream": application.URL, "drain": "5m"})
	request := r.signedIn(t, "/slow")
	type result struct {
		status int
		body   string
		err    error
	}
	got := make(chan result, 1)
	go func() {
		answer, err := client(nil).Do(request)
		if err != nil {
			got <- result{err: err}
			return
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		got <- result{answer.StatusCode, string(body), err}
	}()
	<-in
	stopped := make(chan error, 1)
	go func() { stopped <- r.stop() }()
	for { // until nobody listens
		c, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
		if err != nil {
			break
		}
		c.Close()
	}
	close(release)
	if g := <-got; g.err != nil || g.status != http.StatusOK || g.body != "done" {
		t.Errorf("the request in flight: %+v", g)
	}
	if err := <-stopped; err != nil {
		t.Errorf("the stop: %v", err)
	}
}

// The drain is bounded: a request that never ends does not hold the stop.
func TestDrainIsBounded(t *testing.T) {
	in, release := make(chan struct{}), make(chan struct{})
	application := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(in)
		<-release
	}))
	defer application.Close()
	defer close(release)
	r := start(t, map[string]string{"dev": "true", "upstream": application.URL, "drain": "1s"})
	request := r.signedIn(t, "/never")
	got := make(chan error, 1)
	go func() {
		answer, err := client(nil).Do(request)
		if err == nil {
			answer.Body.Close()
			err = fmt.Errorf("status %d", answer.StatusCode)
			if answer.StatusCode == http.StatusOK {
				err = nil
			}
		}
		got <- err
	}()
	<-in
	if err := r.stop(); err != nil {
		t.Errorf("the stop: %v", err)
	}
	if err := <-got; err == nil {
		t.Error("a request that was cut off got an answer")
	}
}

// Behind a proxy the log says how the set-up link is meant; degraded is what was asked for.
func TestBehindAProxy(t *testing.T) {
	r := start(t, map[string]string{"trusted-proxy": "127.0.0.1", "ephemeral-key": "true", "store": "memory:"})
	if !strings.Contains(r.log.String(), "the set-up link names the address behind the proxy") {
		t.Errorf("log: %s", r.log)
	}
	answer, err := client(nil).Get(r.url + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(answer.Body)
	answer.Body.Close()
	if err != nil || !strings.Contains(string(body), "ephemeral key") || !strings.Contains(string(body), "store in memory") {
		t.Errorf("%d %s, %v", answer.StatusCode, body, err)
	}
}

// P3: counts for a monitor, on a listener of their own where nothing else is, and nowhere else.
func TestMetrics(t *testing.T) {
	address := programtest.FreeAddress(t)
	o, log := options(t, map[string]string{"dev": "true", "metrics": address, "store": "memory:"})
	wall, _ := o.Clock.Now()
	o.Clock = sessiontest.NewClock(wall) // stands, so that its lease is fresh
	r := startWith(t, o, log)
	request := r.signedIn(t, "/auth/check")
	for range 3 {
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
	}
	get := func(url string) (int, string) {
		t.Helper()
		answer, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(body)
	}
	status, text := get("http://" + address + "/metrics")
	for _, want := range []string{
		"\ncounterfoil_lease_fresh 1\n", "\ncounterfoil_lease_age_seconds ", "\ncounterfoil_cache_hits_total ", "\ncounterfoil_cache_sessions 1\n", `counterfoil_store_seconds_count{method="Create"} 1`,
		`counterfoil_store_seconds_bucket{method="Create",le="+Inf"} 1`, `counterfoil_store_errors_total{method="Poll"} 0`,
		`counterfoil_events_total{kind="signed-in",reason="sign-in"} 1`, "# TYPE counterfoil_revocation_lag_seconds histogram",
	} {
		if status != http.StatusOK || !strings.Contains(text, want) {
			t.Errorf("%d, no %s in\n%s", status, want, text)
		}
	}
	if strings.Contains(text, "alice") {
		t.Error("the metrics name a user")
	}
	if status, _ := get("http://" + address + "/auth/login"); status != http.StatusNotFound {
		t.Errorf("the gateway is at the metrics' address: %d", status)
	}
	if _, text := get(r.url + "/metrics"); strings.Contains(text, "counterfoil_") {
		t.Error("the metrics are at the gateway's address")
	}
}

// A start that cannot be is refused with its reason and leaves nothing open behind it.
func TestRefusedStarts(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := t.TempDir()
	cert, key := programtest.Certificate(t, dir, 1)
	for _, c := range []struct {
		name, want string
		flags      map[string]string
	}{
		{"port taken", "--listen", map[string]string{"dev": "true", "listen": taken.Addr().String()}},
		{"redirect taken", "--redirect", map[string]string{"tls-cert": cert, "tls-key": key, "redirect": taken.Addr().String()}},
		{"metrics taken", "--metrics", map[string]string{"dev": "true", "metrics": taken.Addr().String()}},
		{"no certificate", "--tls-cert", map[string]string{"tls-cert": key, "tls-key": key}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, _ := options(t, c.flags)
			if err := serve.Run(context.Background(), o); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("%v; want %q", err, c.want)
			}
			lock, err := operate.TakeLock(o.Config.Data)
			if err != nil {
				t.Fatalf("the folder is still owned: %v", err)
			}
			lock.Release()
			if _, err := os.Lstat(o.Config.Path(operate.SocketName)); err == nil {
				t.Error("the control socket is still there")
			}
		})
	}
}

// A server removes keys under which nothing is sealed any more by itself, an hour after the next one came
// and not before, and its log says so.
func TestKeysRetireInAServer(t *testing.T) {
	o, log := options(t, map[string]string{"dev": "true"})
	wall, _ := o.Clock.Now()
	clock := sessiontest.NewClock(wall)
	o.Clock = clock
	r := startWith(t, o, log)
	if err := operate.Remote(r.data).Post(t.Context(), "/v1/keys/rotate", nil, nil); err != nil {
		t.Fatal(err)
	}
	const gone = "a key that nothing needs any more was removed"
	_, began := clock.Now()
	var after time.Duration
	machine := counterfoil.SystemClock()
	_, asked := machine.Now()
	for !strings.Contains(log.String(), gone) { // what removes it runs beside this
		clock.Advance(time.Minute)
		_, now := clock.Now()
		after = now - began
		if _, now := machine.Now(); now-asked > programtest.Patience {
			t.Fatalf("after %v the old key is still there\n%s", after, log)
		}
	}
	if after < time.Hour {
		t.Errorf("the old key went after %v", after)
	}
	if n := strings.Count(log.String(), gone); n != 1 {
		t.Errorf("%d keys were removed, want the old one", n)
	}
}

// One server a folder; a second waits for a command that is at work, and then says who has it.
func TestOneServerAFolder(t *testing.T) {
	o, _ := options(t, map[string]string{"dev": "true"})
	if err := operate.PrepareFolder(o.Config.Data); err != nil {
		t.Fatal(err)
	}
	lock, err := operate.TakeLock(o.Config.Data)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release()
	clock := counterfoil.SystemClock()
	programtest.InTime(t, 5*time.Second, func() time.Duration {
		_, begin := clock.Now()
		err := serve.Run(context.Background(), o)
		_, end := clock.Now()
		if err == nil || !strings.Contains(err.Error(), "in use by another process") {
			t.Errorf("%v after %v", err, end-begin)
		}
		return end - begin
	})
}
