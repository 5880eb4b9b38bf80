package cli

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/counterfoil/counterfoil/internal/operate"
)

func sessionList(ctx context.Context, c *call) error {
	query := url.Values{}
	if name := c.options["user"]; name != "" {
		query.Set("user", name)
	}
	var sessions []operate.Session
	if err := c.ask(ctx, func(client *operate.Client) error { return client.Get(ctx, "/v1/sessions", query, &sessions) }); err != nil {
		return err
	}
	if c.json() {
		return writeJSON(c.Stdout, sessions)
	}
	rows := make([][]string, 0, len(sessions))
	for _, s := range sessions {
		user := s.User
		if s.Actor != "" && s.Actor != s.User {
			user += " (by " + s.Actor + ")"
		}
		rows = append(rows, []string{s.ID, user, s.Kind, strings.Join(s.Methods, "+"), shown(s.Created), shown(s.Seen), shown(s.AbsoluteEnd), s.IP, s.Label})
	}
	return writeTable(c.Stdout, []string{"ID", "USER", "KIND", "PROVED BY", "SINCE", "SEEN", "ENDS", "ADDRESS", "DEVICE"}, rows)
}

func sessionEnd(ctx context.Context, c *call) error {
	in := operate.End{User: c.options["user"], All: c.options["all"] != "", Wait: c.options["wait"] != ""}
	if len(c.args) > 0 {
		in.ID = c.args[0]
	}
	said := 0
	for _, given := range []bool{in.ID != "", in.User != "", in.All} {
		if given {
			said++
		}
	}
	if said != 1 {
		return exit(exitUsage, "say which sessions to end: an ID, --user NAME or --all, one of them")
	}
	var done operate.Ended
	end := func(client *operate.Client) error { return client.Post(ctx, "/v1/sessions/end", in, &done) }
	if c.options["reset-clock"] != "" {
		if !in.All {
			return exit(exitUsage, "--reset-clock goes with --all: sessions made under another time cannot be judged")
		}
		return c.reset(ctx, "clock", resetClock)
	}
	if c.options["reset-key"] != "" {
		if !in.All {
			return exit(exitUsage, "--reset-key goes with --all: sessions made under another key open no more")
		}
		return c.reset(ctx, "key", operate.ResetKey)
	}
	if err := c.ask(ctx, end); err != nil {
		return err
	}
	if c.json() {
		return writeJSON(c.Stdout, done)
	}
	line := counted(done.Ended, "ended")
	if in.Wait {
		line += ", " + inForce(done)
	}
	_, err := fmt.Fprintln(c.Stdout, line)
	return err
}

// inForce says where an end that was waited for holds.
func inForce(done operate.Ended) string {
	where := "on " + several(done.Nodes, "node")
	if done.Nodes < 0 {
		where = "on every node"
	}
	says := "in force " + where + " after " + done.Took
	if done.Fenced > 0 {
		says += fmt.Sprintf(" (%d silent and shut out)", done.Fenced)
	}
	if done.Behind > 0 {
		says += fmt.Sprintf(" (%d have not said so; streams may be open there)", done.Behind)
	}
	return says
}

// counted says how many sessions met a fate.
func counted(n int, fate string) string {
	if n < 0 {
		return "sessions " + fate
	}
	return several(n, "session") + " " + fate
}
