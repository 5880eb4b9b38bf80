package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"net/textproto"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
)

// proxy passes requests of signed-in visitors on to the application. Answers are passed on as they
// come; sockets and streams end with the session.
func (g *Gateway) proxy() http.Handler {
	transport := &http.Transport{ // not the default one, which reads proxies from the environment
		DialContext:           (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:   5 * time.Second,
		ExpectContinueTimeout: time.Second,
		MaxIdleConnsPerHost:   256,
		IdleConnTimeout:       90 * time.Second,
		ForceAttemptHTTP2:     true,
		DisableCompression:    true, // what the client asked for is asked for, and comes back as it is
	}
	context.AfterFunc(g.streams, transport.CloseIdleConnections)
	p := &httputil.ReverseProxy{
		Rewrite:        g.outgoing,
		Transport:      informer{transport, g.filter},
		FlushInterval:  -1, // each write at once: streams of any type
		ErrorLog:       slog.NewLogLogger(g.log.Handler(), slog.LevelWarn),
		ModifyResponse: g.incoming,
		ErrorHandler:   g.upstreamFailed,
	}
	below := strings.Trim(g.cfg.Upstream.Path, "/") != ""
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if below && climbs(r.URL.Path) {
			g.fail(w, r, noAddress)
			return
		}
		ctx, cancel := context.WithCancelCause(r.Context())
		defer cancel(nil)
		s := &stream{session: g.sessions.FromContext(r.Context()), cancel: cancel, over: ctx.Done(), done: make(chan struct{})}
		awaitBody(w, time.Time{}) // an upload takes what it takes
		w.Header().Del(hstsField) // an informational answer would carry it away; incoming sets it
		p.ServeHTTP(w, r.WithContext(context.WithValue(ctx, streamKey{}, s)))
		cancel(nil)
		s.wait()
	})
}

// informer looks over informational answers (103 Early Hints), which ModifyResponse does not see.
type informer struct {
	transport http.RoundTripper
	filter    cookieFilter
}

func (i informer) RoundTrip(r *http.Request) (*http.Response, error) {
	trace := &httptrace.ClientTrace{Got1xxResponse: func(_ int, h textproto.MIMEHeader) error { // before the proxy's own
		i.filter.response(http.Header(h))
		return nil
	}}
	return i.transport.RoundTrip(r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
}

// climbs reports whether path has a segment that applications read as the folder above: what the
// operator put behind us is a folder of the application, and stays the only one. Browsers send none.
func climbs(path string) bool {
	for segment := range strings.FieldsFuncSeq(path, func(c rune) bool { return c == '/' || c == '\\' }) {
		if name, _, _ := strings.Cut(segment, ";"); name == ".." { // servlets cut parameters off
			return true
		}
	}
	return false
}

// stream is one proxied exchange that may last longer than its session.
type stream struct {
	session *counterfoil.Session
	cancel  context.CancelCauseFunc
	over    <-chan struct{}
	watched bool
	done    chan struct{}
}

type streamKey struct{}

var errSessionOver = errors.New("gateway: the session ended")

// watch breaks the exchange off when its session or the gateway ends.
func (s *stream) watch(gateway context.Context) {
	ended := s.session.Done()
	s.watched = true
	go func() {
		defer close(s.done)
		select {
		case <-ended:
			s.cancel(errSessionOver)
		case <-gateway.Done():
			s.cancel(gateway.Err())
		case <-s.over:
		}
	}()
}

func (s *stream) wait() {
	if s.watched {
		<-s.done
	}
}

// outgoing makes the request to the application. Hop-by-hop fields are gone already.
func (g *Gateway) outgoing(p *httputil.ProxyRequest) {
	p.SetURL(g.cfg.Upstream)
	p.Out.Host = p.In.Host // applications make links from it
	h := p.Out.Header
	for name := range h {
		if proxyField(name) {
			delete(h, name)
		}
	}
	p.Out.Trailer = nil // fields that come after the body are looked at by nobody
	if !strings.EqualFold(h.Get("Upgrade"), "websocket") {
		delete(h, "Upgrade") // an application that switched to h2c would take any header from the client
		delete(h, "Connection")
	}
	if cookies := g.filter.request(h["Cookie"]); cookies != "" {
		h["Cookie"] = []string{cookies}
	} else {
		delete(h, "Cookie")
	}
	if host := g.trusted.Host(p.In); host != "" {
		h.Set("X-Forwarded-Host", host)
		p.Out.Host = host
	}
	scheme := "http"
	if g.trusted.HTTPS(p.In) {
		scheme = "https"
	}
	h.Set("X-Forwarded-Proto", scheme)
	if addr := g.trusted.Addr(p.In); addr.IsValid() {
		h.Set("X-Forwarded-For", addr.String())
		h.Set("X-Real-Ip", addr.String())
	}
	identify(h, g.sessions.FromContext(p.In.Context()).View())
}

// proxyField reports whether applications believe this field because a proxy is to have written it:
// in any case and with any sign for a hyphen, as CGI-like interfaces make an underscore of each.
func proxyField(name string) bool {
	name = strings.Map(func(c rune) rune {
		switch {
		case 'A' <= c && c <= 'Z':
			return c + 'a' - 'A'
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
			return c
		}
		return '-'
	}, name)
	switch name {
	case "forwarded", "x-real-ip", "true-client-ip", "client-ip", "x-client-ip", "x-cluster-client-ip", "cf-connecting-ip", "fastly-client-ip",
		"x-original-url", "x-original-host", "x-rewrite-url", "proxy": // the last is HTTP_PROXY to a CGI program
		return true
	}
	for _, prefix := range []string{"x-auth-", "x-authenticated-", "x-forwarded-", "x-remote-", "remote-", "x-webauth-"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// incoming looks over the application's answer.
func (g *Gateway) incoming(a *http.Response) error {
	h := a.Header
	g.filter.response(h)
	g.secure(h)
	if len(h["Cache-Control"]) == 0 && len(h["Expires"]) == 0 {
		h.Set("Cache-Control", "private, no-cache") // nobody but this browser, and not after a sign-out
	}
	if len(h["Content-Security-Policy"]) == 0 && len(h["X-Frame-Options"]) == 0 {
		h.Set("Content-Security-Policy", "frame-ancestors 'self'")
	}
	if a.StatusCode == http.StatusSwitchingProtocols || a.ContentLength < 0 {
		a.Request.Context().Value(streamKey{}).(*stream).watch(g.streams)
	}
	return nil
}

// upstreamFailed answers for an application that does not.
func (g *Gateway) upstreamFailed(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // nobody waits for an answer
	}
	g.log.Warn("the application does not answer", "error", err)
	g.secure(w.Header())
	f := fault{status: http.StatusBadGateway, code: "upstream_unreachable", title: "The application does not answer",
		text: []string{"You are still signed in. Try again in a moment; if it stays so, tell whoever runs it."}}
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
		f.status, f.code = http.StatusGatewayTimeout, "upstream_timeout"
	}
	g.fail(w, r, f)
}
