// Package audit keeps a tamper-evident record of what happened to sessions. (skeleton)
package audit

import (
	"context"
	"io"
	"log/slog"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/keyring"
)

// Config of an Exporter.
type Config struct {
	Path     string // audit.jsonl
	Store    counterfoil.Store
	Describe func(counterfoil.Entry) (ev counterfoil.Event, readable bool) // Manager.Describe
	Keys     *keyring.Ring                                                 // AuditKey is the root of the MACs
	Clock    counterfoil.Clock
	Logger   *slog.Logger
}

// Exporter copies the store's log into the chain and takes refusals directly.
type Exporter struct{}

// Open checks the file's tail, writes a recovery line after a crash and starts exporting.
func Open(ctx context.Context, cfg Config) (*Exporter, error) { panic("skeleton") }

// Record appends an event that is no change in the store (refusals). It never blocks on the disk for long.
func (x *Exporter) Record(ev counterfoil.Event) { panic("skeleton") }

// Flush exports everything up to the store's present head, durably.
func (x *Exporter) Flush(ctx context.Context) error { panic("skeleton") }

// Close flushes and stops.
func (x *Exporter) Close(ctx context.Context) error { panic("skeleton") }

// Verify reads a chain and names the first broken, missing or cut line.
func Verify(r io.Reader, key *[32]byte, last []byte) (Report, error) { panic("skeleton") }

// Report of a verification.
type Report struct {
	Lines        int
	Unverifiable int // lines of chains whose key is gone
	Broken       int // number of the first broken line; 0: none
	Why          string
}
