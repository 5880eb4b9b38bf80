package cluster_test

import (
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// how is what a proxy does with what it is given.
type how int

const (
	pass    how = iota
	refuse      // connections are reset, new ones too
	swallow     // half open: connections stand, new ones are taken, and nothing ever comes out of them
	hold        // nothing comes out as long as this lasts; then everything does, late
)

func (h how) String() string { return [...]string{"pass", "refuse", "swallow", "hold"}[h] }

// proxy stands between one node and the store, or between two servers. It listens on an address of
// this machine and passes everything on to a socket.
type proxy struct {
	l net.Listener

	mu      sync.Mutex
	changed *sync.Cond
	to      string // path of the server's socket, or host:port
	how     how
	delay   time.Duration // in each direction
	links   map[*link]bool
	closed  bool
	passed  int // messages from the client
	running sync.WaitGroup
}

// link is one connection through the proxy.
type link struct {
	client, server net.Conn
	dead           bool // something in it was swallowed
}

func (l *link) close() {
	l.client.Close()
	if l.server != nil {
		l.server.Close()
	}
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{l: l, to: to, links: make(map[*link]bool)}
	p.changed = sync.NewCond(&p.mu)
	p.running.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

func (p *proxy) address() (host, port string) {
	host, port, _ = net.SplitHostPort(p.l.Addr().String())
	return host, port
}

func (p *proxy) accept() {
	for {
		c, err := p.l.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() { p.serve(c.(*net.TCPConn)) })
	}
}

func (p *proxy) serve(c *net.TCPConn) {
	x := &link{client: c}
	defer x.close()
	p.mu.Lock()
	if p.closed || p.how == refuse {
		c.SetLinger(0)
		p.mu.Unlock()
		return
	}
	p.links[x] = true
	x.dead = p.how == swallow
	to, dead := p.to, x.dead
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.links, x)
		p.mu.Unlock()
	}()
	if dead {
		io.Copy(io.Discard, c)
		return
	}
	network := "unix"
	if !filepath.IsAbs(to) {
		network = "tcp"
	}
	s, err := net.Dial(network, to)
	if err != nil {
		c.SetLinger(0) // a server that is not there
		return
	}
	p.mu.Lock()
	x.server = s
	gone := p.closed || p.how == refuse
	p.mu.Unlock()
	if gone {
		c.SetLinger(0)
		return
	}
	p.running.Go(func() { p.copy(x, s, c) })
	p.copy(x, c, s)
}

// copy passes on what comes from one side until one of them ends.
func (p *proxy) copy(x *link, to, from net.Conn) {
	defer x.close()
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		if n > 0 && from == x.client {
			p.mu.Lock()
			p.passed++
			p.mu.Unlock()
		}
		if n > 0 && p.gate(x) {
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// gate waits as the proxy is told to, and reports whether to pass on.
func (p *proxy) gate(x *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.delay > 0 {
		d := p.delay
		p.mu.Unlock()
		time.Sleep(d)
		p.mu.Lock()
	}
	for p.how == hold && !p.closed {
		p.changed.Wait()
	}
	if p.how == swallow {
		x.dead = true
	}
	return !x.dead
}

// set changes what the proxy does, also with the connections that stand.
func (p *proxy) set(h how) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.how = h
	p.changed.Broadcast()
	if h == refuse {
		p.cut()
	}
}

// state is what the proxy does now.
func (p *proxy) state() how {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.how
}

// messages counts what the client has sent.
func (p *proxy) messages() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.passed
}

// slow makes everything take longer in each direction.
func (p *proxy) slow(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// lead makes the proxy lead to another server.
func (p *proxy) lead(to string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.to = to
	p.cut()
}

// cut resets all connections. The lock is held.
func (p *proxy) cut() {
	for x := range p.links {
		x.client.(*net.TCPConn).SetLinger(0)
		x.close()
	}
}

func (p *proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.cut()
	p.changed.Broadcast()
	p.mu.Unlock()
	p.l.Close()
	p.running.Wait()
}
