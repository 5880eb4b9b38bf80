package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/account"
	"github.com/counterfoil/counterfoil/account/memaccount"
	"github.com/counterfoil/counterfoil/gateway"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/store/memory"
)

// answer is one handler that is measured through HTTP.
type answer struct {
	what    string
	addr    string
	request []byte
	rates   map[int][]float64 // requests a second, by connections
	cpu     map[int][]float64 // µs of this process a request
}

var connections = [...]int{1, 64}

// throughHTTP is what the rounds through HTTP measured.
type throughHTTP struct{ empty, headers, check *answer }

func (p plan) throughHTTP() (*throughHTTP, error) {
	gate, stop, err := newGateway()
	if err != nil {
		return nil, err
	}
	defer stop()
	v := newVisit()
	v.r.URL.Path = "/auth/check"
	v.r.RemoteAddr = "127.0.0.1:50000"
	v.r.Header["X-Forwarded-Proto"] = []string{"https"}
	v.serve(gate.Handler(), newOurs(gate.Sessions(), nil).newSession(v, "user-000001"))
	if v.w.header.Get("X-Auth-Subject") == "" {
		return nil, errors.New("the check says that nobody is signed in")
	}
	var same [][2]string
	for name, values := range v.w.header {
		same = append(same, [2]string{name, values[0]})
	}
	headers := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		for _, pair := range same {
			h.Set(pair[0], pair[1])
		}
	})
	t := &throughHTTP{
		empty:   &answer{what: "an empty handler"},
		headers: &answer{what: "the same headers"},
		check:   &answer{what: "GET /auth/check"},
	}
	empty := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})

	answers := []*answer{t.empty, t.headers, t.check}
	for i, h := range []http.Handler{empty, headers, gate.Handler()} {
		a := answers[i]
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
		defer server.Close()
		go server.Serve(listener)
		a.addr = listener.Addr().String()
		a.request = wire(&v.r)
		a.rates, a.cpu = map[int][]float64{}, map[int][]float64{}
	}
	for round := range p.httpRounds {
		for _, n := range connections {
			for i := range answers {
				if err := answers[(i+round)%len(answers)].load(n, p.httpRound); err != nil {
					return nil, err
				}
			}
		}
	}
	return t, nil
}

// newGateway starts the gateway behind a proxy that speaks TLS, which is how the check is used.
func newGateway() (*gateway.Gateway, func(), error) {
	ctx, clock := context.Background(), counterfoil.SystemClock()
	now, _ := clock.Now()
	keys, err := keyring.Generate(now, nil)
	if err != nil {
		return nil, nil, err
	}
	hasher, err := account.NewHasher(account.Params{Memory: 64, Passes: 1, Threads: 1}, 1) // nobody signs in by password here
	if err != nil {
		return nil, nil, err
	}
	accounts, err := account.NewService(account.Config{Store: memaccount.New(), Clock: clock, Hasher: hasher})
	if err != nil {
		return nil, nil, err
	}
	store := memory.New(memory.Options{})
	g, err := gateway.New(ctx, gateway.Config{
		Store: store, Keys: keys, Accounts: accounts, Clock: clock, Logger: slog.New(slog.DiscardHandler),
		Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	})
	if err != nil {
		return nil, nil, err
	}
	return g, func() { g.Close(ctx); store.Close() }, nil
}

// wire is r as a client sends it.
func wire(r *http.Request) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "GET /auth/check HTTP/1.1\r\nHost: %s\r\n", r.Host)
	r.Header.Write(&b)
	b.WriteString("\r\n")
	return b.Bytes()
}

// load has another process ask for a while.
func (a *answer) load(conns int, length time.Duration) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	child := exec.Command(self, "-load", a.addr, "-conns", strconv.Itoa(conns), "-http-round", length.String())
	child.Stdin, child.Stderr = bytes.NewReader(a.request), os.Stderr
	used := processorTime()
	out, err := child.Output()
	if err != nil {
		return fmt.Errorf("the load: %w", err)
	}
	used = processorTime() - used
	fields := strings.Fields(string(out))
	if len(fields) != 2 {
		return fmt.Errorf("the load says %q", out)
	}
	rate, err := strconv.ParseFloat(fields[0], 64)
	if err != nil {
		return err
	}
	all, err := strconv.ParseFloat(fields[1], 64)
	if err != nil {
		return err
	}
	a.rates[conns] = append(a.rates[conns], rate)
	a.cpu[conns] = append(a.cpu[conns], float64(used)/1e3/all)
	return nil
}

func (t *throughHTTP) print(w io.Writer) {
	fmt.Fprintf(w, "%-20s %6s %12s %12s %12s %8s %8s\n", "", "conns", "req/s median", "lowest", "highest", "CPU µs", "÷ empty")
	for _, n := range connections {
		for _, a := range []*answer{t.empty, t.headers, t.check} {
			rates := a.rates[n]
			fmt.Fprintf(w, "%-20s %6d %12.0f %12.0f %12.0f %8.1f %8.3f\n", a.what, n, median(rates),
				slices.Min(rates), slices.Max(rates), median(a.cpu[n]), median(rates)/median(t.empty.rates[n]))
		}
	}
	fmt.Fprintln(w)
}

func (t *throughHTTP) goals() (goals []goal) {
	for _, g := range []struct {
		conns   int
		to      *answer
		atLeast float64
	}{{1, t.empty, 0.85}, {1, t.headers, 0.93}, {64, t.empty, 0.80}, {64, t.headers, 0.90}} {
		text := fmt.Sprintf("check ÷ %s at %d: at least %.2f", g.to.what, g.conns, g.atLeast)
		goals = append(goals, atLeast(text, median(t.check.rates[g.conns])/median(g.to.rates[g.conns]), g.atLeast))
	}
	return goals
}
