package cli

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"

	"github.com/counterfoil/counterfoil/internal/operate"
	"github.com/counterfoil/counterfoil/keyring"
)

func keyGenerate(_ context.Context, c *call) error {
	key, err := keyring.NewKey(nil)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.Stdout, key.Line())
	return err
}

func keyList(ctx context.Context, c *call) error {
	var keys operate.Keys
	if err := c.ask(ctx, func(client *operate.Client) error { return client.Get(ctx, "/v1/keys", nil, &keys) }); err != nil {
		return err
	}
	if c.json() {
		return writeJSON(c.Stdout, keys)
	}
	rows := make([][]string, 0, len(keys.Keys))
	for _, k := range keys.Keys {
		rows = append(rows, []string{k.ID, k.State, shown(k.Created), fmt.Sprint(k.Sessions)})
	}
	if err := writeTable(c.Stdout, []string{"ID", "STATE", "CREATED", "SESSIONS"}, rows); err != nil {
		return err
	}
	_, err := fmt.Fprintf(c.Stdout, "\nfrom %s\nfingerprint %s\n", printable(keys.Source), keys.Fingerprint)
	return err
}

func keyRotate(ctx context.Context, c *call) error {
	var done operate.Rotated
	if err := c.ask(ctx, func(client *operate.Client) error { return client.Post(ctx, "/v1/keys/rotate", nil, &done) }); err != nil {
		return err
	}
	if c.json() {
		return writeJSON(c.Stdout, done)
	}
	_, err := fmt.Fprintf(c.Stdout, "key %s is primary now; the former ones go on opening what they sealed, nobody is signed out\n", done.ID)
	return err
}

func keyRevoke(ctx context.Context, c *call) error {
	path := "/v1/keys/" + url.PathEscape(c.args[0])
	if c.options["yes"] == "" {
		var key operate.Key
		if err := c.ask(ctx, func(client *operate.Client) error { return client.Get(ctx, path, nil, &key) }); err != nil {
			return err
		}
		return exit(exitFailed, "revoking key %s ends %s; nothing was done. To do it: counterfoil key revoke %s --yes", key.ID, counted(key.Sessions, "signed in or visiting"), key.ID)
	}
	var done operate.Ended
	if err := c.ask(ctx, func(client *operate.Client) error { return client.Post(ctx, path+"/revoke", nil, &done) }); err != nil {
		return err
	}
	if c.json() {
		return writeJSON(c.Stdout, done)
	}
	_, err := fmt.Fprintf(c.Stdout, "key %s is revoked; %s\n", c.args[0], counted(done.Ended, "ended"))
	return err
}

func keyWrap(ctx context.Context, c *call) error {
	file, err := filepath.Abs(c.args[0])
	if err != nil {
		return err
	}
	return c.wrap(ctx, file)
}

func keyUnwrap(ctx context.Context, c *call) error { return c.wrap(ctx, "") }

func (c *call) wrap(ctx context.Context, file string) error {
	var done operate.Wrapped
	if err := c.ask(ctx, func(client *operate.Client) error {
		return client.Post(ctx, "/v1/keys/wrap", operate.Wrap{File: file}, &done)
	}); err != nil {
		return err
	}
	if c.json() {
		return writeJSON(c.Stdout, done)
	}
	says := fmt.Sprintf("the key file stands in the clear now; start without %s from now on", keyring.EnvWrapFile)
	if done.By != "" {
		says = fmt.Sprintf("the key file is wrapped by %s now, nobody is signed out; start with %s=%s from now on, and keep a copy of that file", done.By, keyring.EnvWrapFile, printable(file))
	}
	_, err := fmt.Fprintln(c.Stdout, says)
	return err
}

func keyReset(ctx context.Context, c *call) error {
	return c.alone(ctx, "the keys are reset", func(ctx context.Context, p operate.Place) error {
		what, ended, err := operate.ResetKeys(ctx, p, c.options["yes"] != "")
		switch {
		case err != nil:
			return err
		case c.options["yes"] == "":
			return exit(exitFailed, "a reset removes %s and ends %s; nothing was done. To do it: counterfoil key reset --yes", printable(what), counted(ended, "signed in or visiting"))
		case c.json():
			return writeJSON(c.Stdout, operate.Ended{Ended: ended})
		}
		_, err = fmt.Fprintf(c.Stdout, "%s is removed; %s; the next start makes new keys\n", printable(what), counted(ended, "ended"))
		return err
	})
}
