package redis

import (
	"context"
	"crypto/tls"
	"net"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

const (
	patience = 2 * time.Second        // with a server, for a connection, a write and an answer each
	silence  = 500 * time.Millisecond // after which the other end is asked whether it is there
	few      = 2                      // callers at once that get a connection each
)

// client sends each call over a connection of its own while few are under way: it is sent and its answer
// read by the caller itself. What comes beside them shares connections: others put many calls together
// there, which spares both ends work, but is twice as long a way for one call.
type client struct {
	rueidis.Client
	alone atomic.Int32
}

func dial(p Place, patience time.Duration) (*client, error) {
	o := rueidis.ClientOption{
		InitAddress: []string{p.address}, Username: p.user, Password: p.password, SelectDB: p.db,
		ForceSingleClient:     true,
		DisableCache:          true, // the near cache is the manager's
		DisableRetry:          true, // "unknown" is told, not tried again
		DisableAutoPipelining: true, // but for what client says
		BlockingPoolSize:      few,
		ConnWriteTimeout:      patience,
		// A connection may be half open. Shared ones are pinged; of the others the system finds it out.
		Dialer: net.Dialer{Timeout: patience, KeepAlive: silence, KeepAliveConfig: net.KeepAliveConfig{
			Enable: true, Idle: time.Second, Interval: time.Second, Count: 2,
		}},
		ClientName: "counterfoil",
	}
	if p.network == "unix" {
		o.DialCtxFn = dialUnix
	}
	if p.tls {
		host, _, _ := net.SplitHostPort(p.address)
		o.TLSConfig = &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	}
	c, err := rueidis.NewClient(o)
	if err != nil {
		return nil, err
	}
	return &client{Client: c}, nil
}

func dialUnix(ctx context.Context, address string, d *net.Dialer, _ *tls.Config) (net.Conn, error) {
	return d.DialContext(ctx, "unix", address)
}

// Do sends one command.
func (c *client) Do(ctx context.Context, cmd rueidis.Completed) rueidis.RedisResult {
	defer c.alone.Add(-1)
	if c.alone.Add(1) > few {
		cmd = cmd.ToPipe()
	}
	return c.Client.Do(ctx, cmd)
}

// DoMulti sends several commands together.
func (c *client) DoMulti(ctx context.Context, cmds ...rueidis.Completed) []rueidis.RedisResult {
	defer c.alone.Add(-1)
	if c.alone.Add(1) > few {
		cmds[0] = cmds[0].ToPipe()
	}
	return c.Client.DoMulti(ctx, cmds...)
}

// shared sends every call over a shared connection: a node's poll must not wait for one that is half
// open, of which there may be as many as few.
type shared struct{ rueidis.Client }

// Do sends one command.
func (c shared) Do(ctx context.Context, cmd rueidis.Completed) rueidis.RedisResult {
	return c.Client.Do(ctx, cmd.ToPipe())
}
