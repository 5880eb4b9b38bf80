package blob

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
)

// web sends requests to a storage's HTTP interface.
type web struct {
	client   *http.Client
	base     *url.URL
	idHeader string // where the storage looks for a request's ID; "": in the user agent alone
	// sign adds what proves who asks.
	sign func(ctx context.Context, r *http.Request, body []byte) error
}

// requestTime bounds one request. One that was given up may still take effect; see retrying.
const requestTime = 10 * time.Second

// newClient never follows redirections, which would carry credentials elsewhere, and takes no TLS
// below 1.2.
func newClient() *http.Client {
	return &http.Client{
		Timeout: requestTime,
		Transport: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout: 5 * time.Second,
			MaxIdleConnsPerHost: 2 * window,
			IdleConnTimeout:     90 * time.Second,
			ForceAttemptHTTP2:   true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// parseEndpoint reads the address of a storage. Without TLS only this machine is allowed.
func parseEndpoint(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%w: endpoint is a URL such as https://storage.example.com", ErrDSN)
	}
	switch {
	case u.Scheme == "https":
	case u.Scheme == "http" && loopback(u.Hostname()):
	default:
		return nil, fmt.Errorf("%w: endpoint without https:// only on this machine", ErrDSN)
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	return u, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// answer is what came back, read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
	asked  counterfoil.RequestID // the ID of the request; zero: it had none
}

// send makes one request. An error is temporary unless ctx ended.
func (w *web) send(ctx context.Context, method, path string, query url.Values, header http.Header, body []byte) (*answer, error) {
	return w.sendTo(ctx, method, path, strings.ReplaceAll(url.PathEscape(path), "%2F", "/"), query, header, body)
}

// sendTo is send with a path that is escaped as the storage wants it.
func (w *web) sendTo(ctx context.Context, method, path, escaped string, query url.Values, header http.Header, body []byte) (*answer, error) {
	u := *w.base
	u.Path, u.RawPath = w.base.Path+path, w.base.EscapedPath()+escaped
	u.RawQuery = query.Encode()
	r, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("blob: %w", err)
	}
	for name, values := range header {
		r.Header[name] = values
	}
	w.name(r)
	if err := w.sign(ctx, r, body); err != nil {
		return nil, err
	}
	return roundTrip(w.client, r)
}

func roundTrip(client *http.Client, r *http.Request) (*answer, error) {
	resp, err := client.Do(r)
	if err != nil {
		if ctx := r.Context(); ctx.Err() != nil {
			return nil, fmt.Errorf("blob: %w", ctx.Err())
		}
		var inner *url.Error
		if errors.As(err, &inner) {
			err = inner.Err // the URL may hold a signature
		}
		return nil, temporary{fmt.Errorf("blob: %w", err)}
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxObject+1))
	if err != nil {
		return nil, temporary{fmt.Errorf("blob: reading the answer: %w", err)}
	}
	if len(data) > maxObject {
		return nil, fmt.Errorf("%w (bigger than %d MiB)", ErrDamaged, maxObject>>20)
	}
	return &answer{resp.StatusCode, resp.Header, data, requestOf(r.Context())}, nil
}

// fault is an answer that is no success, in words; what the storage says is quoted in part.
func (a *answer) fault(code string) error {
	if code == "" {
		code = http.StatusText(a.status)
	}
	err := fmt.Errorf("blob: the storage answers %d (%.100q) to request %s, its own name for that is %.100q", a.status, code, a.asked, a.theirs())
	if a.status >= 500 || a.status == http.StatusTooManyRequests || a.status == http.StatusRequestTimeout {
		return temporary{err}
	}
	return err
}

func (w *web) close() { w.client.CloseIdleConnections() }
