package operate

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// Client asks the control API, of a running server or of an installation that this process has open.
type Client struct {
	http    http.Client
	local   *Operations // nil: a server is asked
	Running bool        // a server answers, not this process
}

// Remote returns a client of the server that runs on a data folder.
func Remote(dir string) *Client {
	return &Client{Running: true, http: http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			return DialControl(dir, 2*time.Second)
		},
	}}}
}

// Local returns a client of the installation that o operates on.
func Local(o *Operations) *Client {
	return &Client{local: o, http: http.Client{Transport: inProcess{o.Handler()}}}
}

// Answers reports whether a server answers at all before ctx ends. One that hangs still has a socket,
// which the kernel goes on connecting to.
func (c *Client) Answers(ctx context.Context) bool {
	r, err := http.NewRequestWithContext(ctx, http.MethodHead, "http://control/", nil)
	if err != nil {
		return false
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return false
	}
	answer.Body.Close()
	return true // whatever it says
}

// Get asks for path and reads the answer into out.
func (c *Client) Get(ctx context.Context, path string, query url.Values, out any) error {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return c.do(ctx, http.MethodGet, path, nil, out)
}

// Post sends in to path and reads the answer into out.
func (c *Client) Post(ctx context.Context, path string, in, out any) error {
	return c.do(ctx, http.MethodPost, path, in, out)
}

func (c *Client) do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	answer, err := c.ask(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer answer.Close()
	if out == nil {
		return nil
	}
	return json.NewDecoder(answer).Decode(out)
}

// ask returns the body of a good answer, to be closed by the caller.
func (c *Client) ask(ctx context.Context, method, path string, body io.Reader) (io.ReadCloser, error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://control"+path, body)
	if err != nil {
		return nil, err
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return nil, fmt.Errorf("the server does not answer on its control socket: %w (%w)", err, ErrUnreachable)
	}
	if answer.StatusCode == http.StatusOK {
		return answer.Body, nil
	}
	defer answer.Body.Close()
	var p problem
	if err := json.NewDecoder(answer.Body).Decode(&p); err != nil || p.Error.Message == "" {
		return nil, fmt.Errorf("the server answered %s on its control socket; is it of another version?", answer.Status)
	}
	return nil, p.err()
}

// inProcess answers requests with a handler of this process.
type inProcess struct{ handler http.Handler }

func (t inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	w := &answer{header: http.Header{}, status: http.StatusOK}
	t.handler.ServeHTTP(w, r)
	return &http.Response{
		StatusCode: w.status, Status: http.StatusText(w.status), Header: w.header, Request: r,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, ContentLength: int64(w.body.Len()), Body: io.NopCloser(&w.body),
	}, nil
}

type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) WriteHeader(status int)      { a.status = status }
func (a *answer) Write(p []byte) (int, error) { return a.body.Write(p) }
