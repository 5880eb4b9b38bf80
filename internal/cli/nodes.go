package cli

import (
	"context"
	"fmt"
	"net/url"

	"github.com/counterfoil/counterfoil/internal/operate"
)

func nodeList(ctx context.Context, c *call) error {
	var nodes []operate.Node
	if err := c.ask(ctx, func(client *operate.Client) error { return client.Get(ctx, "/v1/nodes", nil, &nodes) }); err != nil {
		return err
	}
	if c.json() {
		return writeJSON(c.Stdout, nodes)
	}
	rows := make([][]string, 0, len(nodes))
	for _, n := range nodes {
		here, waiting := "", ""
		if n.Here {
			here = "this one"
		}
		if n.Waiting != nil {
			waiting = shown(*n.Waiting)
		}
		rows = append(rows, []string{n.Name, here, fmt.Sprint(n.Behind), waiting})
	}
	return writeTable(c.Stdout, []string{"NODE", "WHERE", "BEHIND", "WAITING SINCE"}, rows)
}

func nodeRemove(ctx context.Context, c *call) error {
	var done operate.Removed
	path := "/v1/nodes/" + url.PathEscape(c.args[0]) + "/remove"
	if err := c.ask(ctx, func(client *operate.Client) error { return client.Post(ctx, path, nil, &done) }); err != nil {
		return err
	}
	if c.json() {
		return writeJSON(c.Stdout, done)
	}
	_, err := fmt.Fprintf(c.Stdout, "node %s is struck off: the log is kept for it no longer\n", done.Name)
	return err
}
