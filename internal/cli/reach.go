package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/operate"
	"github.com/counterfoil/counterfoil/internal/wait"
)

var errNoInstallation = errors.New("no installation")

const (
	patience = 15 * time.Second       // for a server that starts, or is busy, or another command that is at work
	pause    = 100 * time.Millisecond // between two tries
)

// ask reaches the installation and lets f ask it: in this process if nobody runs on it, else over the
// control socket.
func (c *call) ask(ctx context.Context, f func(*operate.Client) error) error {
	lock, client, err := c.reach(ctx)
	if err != nil {
		return err
	}
	if client != nil {
		return f(client)
	}
	defer lock.Release()
	if strings.HasPrefix(c.cfg.Store, "memory:") {
		return exit(exitUnreachable, "no server runs on %s, and the store memory: keeps nothing without one", c.cfg.Data)
	}
	operations, done, err := operate.Offline(ctx, c.place())
	if errors.Is(err, counterfoil.ErrClock) {
		return exit(exitFailed, "%w: counterfoil session end --all --reset-clock", err)
	}
	if err != nil {
		return err
	}
	return errors.Join(f(operate.Local(operations)), done(ctx))
}

// reach takes the lock, or returns a client of the server that has it.
func (c *call) reach(ctx context.Context) (*operate.Lock, *operate.Client, error) {
	there, err := operate.Exists(c.cfg.Data)
	switch {
	case err != nil:
		return nil, nil, err
	case !there && c.command.name != "user add":
		return nil, nil, exit(exitNotFound, "%w in %s: start `counterfoil serve`, or name its folder with --data", errNoInstallation, c.cfg.Data)
	}
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := operate.PrepareFolder(c.cfg.Data); err != nil {
		if client := c.running(waiting); client != nil { // root may ask another user's server
			return nil, client, nil
		}
		return nil, nil, err
	}
	for {
		lock, err := operate.TakeLock(c.cfg.Data)
		if !errors.Is(err, operate.ErrLocked) {
			return lock, nil, err
		}
		if client := c.running(waiting); client != nil {
			return nil, client, nil
		}
		if wait.For(waiting, c.clock, pause) == nil {
			continue
		}
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		return nil, nil, exit(exitUnreachable, "%w and does not answer on its control socket: it is starting or hung; try again, or stop it", err)
	}
}

// running returns a client of the server that runs on the data folder, or nil if none answers.
func (c *call) running(ctx context.Context) *operate.Client {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	client := operate.Remote(c.cfg.Data)
	if !client.Answers(ctx) {
		return nil
	}
	return client
}

// place says where the installation is. A command's own log is for warnings alone.
func (c *call) place() operate.Place {
	return operate.Place{
		Config: c.cfg, Env: c.lookup, Clock: c.clock,
		Logger: slog.New(slog.NewTextHandler(c.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
}

// lookup asks the environment that the command was given.
func (c *call) lookup(name string) (string, bool) {
	for _, line := range c.Env {
		if value, ok := strings.CutPrefix(line, name+"="); ok {
			return value, true
		}
	}
	return "", false
}

// resetClock is the way out when the store knows a later time than the clock shows, which no manager
// starts on.
func resetClock(ctx context.Context, p operate.Place) (int, error) {
	installation, err := operate.Open(ctx, p)
	if err != nil {
		return 0, err
	}
	ended, err := counterfoil.ResetClock(ctx, installation.Store, p.Clock)
	return ended, errors.Join(err, installation.Store.Close())
}

// reset does what ends all sessions and is possible only while nothing runs.
func (c *call) reset(ctx context.Context, what string, do func(context.Context, operate.Place) (int, error)) error {
	return c.alone(ctx, "the "+what+" is reset", func(ctx context.Context, p operate.Place) error {
		ended, err := do(ctx, p)
		if err != nil {
			return err
		}
		if c.json() {
			return writeJSON(c.Stdout, operate.Ended{Ended: ended})
		}
		_, err = fmt.Fprintf(c.Stdout, "the session %s is reset; %s\n", what, counted(ended, "ended"))
		return err
	})
}

// alone does what is possible only while nothing runs.
func (c *call) alone(ctx context.Context, what string, do func(context.Context, operate.Place) error) error {
	lock, client, err := c.reach(ctx)
	if err != nil {
		return err
	}
	if client != nil {
		return exit(exitFailed, "a server runs on %s: stop it before %s", c.cfg.Data, what)
	}
	defer lock.Release()
	return do(ctx, c.place())
}
