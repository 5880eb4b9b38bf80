package cli

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/counterfoil/counterfoil/internal/serve"
)

// runServe serves until a signal asks it to stop; a second one stops it at once.
func runServe(ctx context.Context, c *call) error {
	if err := c.cfg.CheckServe(); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	context.AfterFunc(ctx, stop)
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	defer signal.Stop(reload)
	place := c.place()
	place.Logger = slog.New(logHandler(c.Stderr, c.cfg.LogFormat))
	return serve.Run(ctx, serve.Options{Place: place, Stdout: c.Stdout, Reload: reload})
}

// logHandler writes text for people and JSON for machines.
func logHandler(w io.Writer, format string) slog.Handler {
	if format == "text" || format == "auto" && terminal(w) {
		return slog.NewTextHandler(w, nil)
	}
	return slog.NewJSONHandler(w, nil)
}
