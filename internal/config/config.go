// Package config reads the program's configuration. One table ([Settings]) describes every setting;
// flags, environment names, keys of the configuration file, help and the reference page come from it.
//
//	cfg, err := config.Load(config.Input{Flags: map[string][]string{"idle": {"1h"}}, Env: os.Environ()})
//
// A flag goes before the environment, the environment before the file, the file before the default.
// What is wrong anywhere is reported at once, as [Faults], even where something else would win.
package config

import (
	"net/netip"
	"net/url"
	"path/filepath"
	"time"

	"github.com/counterfoil/counterfoil"
)

// Config is what the program works by. [Load] fills every field.
type Config struct {
	Data  string // folder of keys, store, audit, control socket and lock
	Store string // DSN as written, or "sqlite:DATA/sessions.db"

	Listen       string
	Metrics      string         // address of the listener for metrics; "": none
	Redirect     string         // address of the plain listener that redirects to https; "": none
	Upstream     *url.URL       // nil: the built-in demo
	PublicURL    *url.URL       // nil: from the request
	Prefix       string         // of the gateway's own paths
	Dev          bool           // plain http, loopback only
	TLSCert      string         // file
	TLSKey       string         // file
	TrustedProxy []netip.Prefix // whose forwarded headers are believed

	Idle         time.Duration
	Absolute     time.Duration
	Persistent   bool
	MaxSessions  int
	AtLimit      counterfoil.Overflow
	LimitsReason string        // why a limit is looser than the standard's
	Lease        time.Duration // by when an end holds on every node
	ClockSkew    time.Duration // how far this machine's clock and a shared store's may be apart
	CacheSize    int           // MiB of sessions kept in memory

	EphemeralKey bool
	StoreWait    time.Duration // how long a store that does not answer is asked again
	Drain        time.Duration // how long a stop waits for requests in flight
	LogFormat    string        // "auto", "text" or "json"

	File     string            // the configuration file that was read; "": none
	Sources  map[string]string // of each setting: "default" or where the value in force was written
	Warnings []string          // what is allowed and worth saying
}

// Policy returns the limits in force.
func (c *Config) Policy() counterfoil.Policy {
	return counterfoil.Policy{Idle: c.Idle, Absolute: c.Absolute, PerSubject: c.MaxSessions, AtLimit: c.AtLimit, Why: c.LimitsReason}
}

// TLS reports whether this process serves https itself.
func (c *Config) TLS() bool { return c.TLSCert != "" }

// Path returns the path of a file in the data folder.
func (c *Config) Path(name string) string { return filepath.Join(c.Data, name) }
