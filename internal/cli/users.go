package cli

import (
	"context"
	"fmt"
	"net/url"

	"github.com/counterfoil/counterfoil/internal/operate"
)

func userAdd(ctx context.Context, c *call) error {
	password, err := c.password()
	if err != nil {
		return err
	}
	return c.userChange(ctx, "/v1/users", operate.NewUser{Name: c.args[0], Password: password, Operator: c.options["operator"] != ""}, "user %s is made\n")
}

func userPasswd(ctx context.Context, c *call) error {
	password, err := c.password()
	if err != nil {
		return err
	}
	return c.userEnd(ctx, c.userPath("password"), operate.NewPassword{Password: password}, "user %s has a new password; the sessions under the old one are ended")
}

func userDisable(ctx context.Context, c *call) error {
	return c.userEnd(ctx, c.userPath("disable"), nil, "user %s is disabled and signed out")
}

func userEnable(ctx context.Context, c *call) error {
	return c.userChange(ctx, c.userPath("enable"), nil, "user %s is enabled\n")
}

func (c *call) userPath(verb string) string {
	return "/v1/users/" + url.PathEscape(c.args[0]) + "/" + verb
}

func (c *call) userChange(ctx context.Context, path string, in any, says string) error {
	var user operate.User
	if err := c.ask(ctx, func(client *operate.Client) error { return client.Post(ctx, path, in, &user) }); err != nil {
		return err
	}
	if c.json() {
		return writeJSON(c.Stdout, user)
	}
	_, err := fmt.Fprintf(c.Stdout, says, printable(user.Name))
	return err
}

// userEnd is userChange for what ends sessions, and returns when no node admits them any more.
func (c *call) userEnd(ctx context.Context, path string, in any, says string) error {
	var done operate.UserEnd
	if err := c.ask(ctx, func(client *operate.Client) error { return client.Post(ctx, path, in, &done) }); err != nil {
		return err
	}
	if c.json() {
		return writeJSON(c.Stdout, done)
	}
	line := fmt.Sprintf(says, printable(done.Name))
	if done.Nodes != 1 {
		line += ", " + inForce(done.Ended)
	}
	_, err := fmt.Fprintln(c.Stdout, line)
	return err
}

func userList(ctx context.Context, c *call) error {
	var users []operate.User
	if err := c.ask(ctx, func(client *operate.Client) error { return client.Get(ctx, "/v1/users", nil, &users) }); err != nil {
		return err
	}
	if c.json() {
		return writeJSON(c.Stdout, users)
	}
	rows := make([][]string, 0, len(users))
	for _, u := range users {
		rows = append(rows, []string{u.Name, yes(u.Operator), yes(u.Disabled), shown(u.Created), shown(u.Changed)})
	}
	return writeTable(c.Stdout, []string{"NAME", "OPERATOR", "DISABLED", "CREATED", "PASSWORD OF"}, rows)
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return ""
}
