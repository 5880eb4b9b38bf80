package config

import (
	"strings"
	"time"
)

// Setting describes one setting.
type Setting struct {
	Name    string // of the flag, without the dashes
	Group   string // under which help shows it
	Value   string // what stands for the value in help; "": a switch
	Kind    Kind
	Default string // as it would be written; "": none
	Unit    string // of the value, in words
	Help    string // one line
	Common  bool   // every command takes it, not `serve` alone

	set func(*Config, string) error // parses and stores one value
}

// Kind is how a value may be written in the configuration file.
type Kind string

const (
	Text   Kind = "text"
	Switch Kind = "true or false"
	Number Kind = "whole number"
	Span   Kind = "lifetime in quotes or with a unit" // "30m", "0.5d"
	List   Kind = "list"
)

// Env returns the name in the environment.
func (s Setting) Env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(s.Name, "-", "_"))
}

// Key returns the key in the configuration file, "" if it cannot stand there.
func (s Setting) Key() string {
	if s.Name == "config" {
		return ""
	}
	return strings.ReplaceAll(s.Name, "-", "_")
}

// envPrefix begins the name of every setting in the environment.
const envPrefix = "COUNTERFOIL_"

// Groups of settings, in the order of help and of the reference page.
const (
	groupPlace    = "Where it keeps things"
	groupNetwork  = "Network"
	groupSessions = "Sessions"
	groupRunning  = "Running"
)

// Groups returns the groups in order.
func Groups() []string { return []string{groupPlace, groupNetwork, groupSessions, groupRunning} }

// Settings returns the table, in the order of help.
func Settings() []Setting {
	return []Setting{
		{Name: "data", Group: groupPlace, Value: "DIR", Kind: Text, Default: "data", Unit: "path of a folder", Common: true,
			Help: "folder of keys, sessions, audit, control socket and lock; made with mode 0700",
			set:  setText(func(c *Config) *string { return &c.Data })},
		{Name: "config", Group: groupPlace, Value: "FILE", Kind: Text, Unit: "path of a YAML file", Common: true,
			Help: "configuration file; otherwise DIR/counterfoil.yaml if it is there",
			set:  setText(func(c *Config) *string { return &c.File })},
		{Name: "store", Group: groupPlace, Value: "DSN", Kind: Text, Default: "sqlite:DIR/sessions.db", Unit: "sqlite:PATH, postgres://USER@HOST/DATABASE, redis://HOST, file:///PATH, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, azblob://CONTAINER/PREFIX or memory:", Common: true,
			Help: "where sessions and accounts are kept; memory: loses them at every stop, all but sqlite: and memory: are for several nodes",
			set:  setStore},
		{Name: "store-wait", Group: groupPlace, Value: "D", Kind: Span, Default: "3s", Unit: "lifetime: Go duration, 1s to 400d",
			Help: "how long a start asks a store again that does not answer, before it is refused",
			set:  setSpan(func(c *Config) *time.Duration { return &c.StoreWait })},
		{Name: "ephemeral-key", Group: groupPlace, Kind: Switch, Default: "false", Unit: "switch",
			Help: "keys in memory only: every stop signs everybody out; health says degraded",
			set:  setSwitch(func(c *Config) *bool { return &c.EphemeralKey })},

		{Name: "listen", Group: groupNetwork, Value: "ADDR", Kind: Text, Default: "127.0.0.1:8080", Unit: "host:port, port 0: any free one",
			Help: "address to serve on",
			set:  setAddress(func(c *Config) *string { return &c.Listen })},
		{Name: "upstream", Group: groupNetwork, Value: "URL", Kind: Text, Unit: "http or https URL",
			Help: "the application behind the sign-in; none: the built-in demo",
			set:  setUpstream},
		{Name: "dev", Group: groupNetwork, Kind: Switch, Default: "false", Unit: "switch",
			Help: "development: plain http, on loopback only",
			set:  setSwitch(func(c *Config) *bool { return &c.Dev })},
		{Name: "tls-cert", Group: groupNetwork, Value: "FILE", Kind: Text, Unit: "path of a PEM file",
			Help: "certificate chain; read again when the file changes",
			set:  setText(func(c *Config) *string { return &c.TLSCert })},
		{Name: "tls-key", Group: groupNetwork, Value: "FILE", Kind: Text, Unit: "path of a PEM file",
			Help: "private key of the certificate",
			set:  setText(func(c *Config) *string { return &c.TLSKey })},
		{Name: "redirect", Group: groupNetwork, Value: "ADDR", Kind: Text, Unit: "host:port",
			Help: "second, plain listener that sends browsers to https",
			set:  setAddress(func(c *Config) *string { return &c.Redirect })},
		{Name: "metrics", Group: groupNetwork, Value: "ADDR", Kind: Text, Unit: "host:port",
			Help: "another listener, plain http, with /metrics for Prometheus; whoever reaches it may read them",
			set:  setAddress(func(c *Config) *string { return &c.Metrics })},
		{Name: "trusted-proxy", Group: groupNetwork, Value: "CIDR", Kind: List, Unit: "addresses or CIDR ranges, by comma or repeated",
			Help: "proxy that terminates TLS; its forwarded headers, and nobody else's, are believed",
			set:  setProxies},
		{Name: "public-url", Group: groupNetwork, Value: "URL", Kind: Text, Unit: "http or https URL without a path",
			Help: "how browsers reach this server, the one name that it answers to; none: any, from the request",
			set:  setPublicURL},
		{Name: "prefix", Group: groupNetwork, Value: "PATH", Kind: Text, Default: "/auth", Unit: "path",
			Help: "where the pages and the API of the gateway live",
			set:  setPrefix},

		{Name: "idle", Group: groupSessions, Value: "D", Kind: Span, Default: "30m", Unit: "lifetime: Go duration or days (0.5d), 1s to 400d",
			Help: "a session ends after this long without a request",
			set:  setSpan(func(c *Config) *time.Duration { return &c.Idle })},
		{Name: "absolute", Group: groupSessions, Value: "D", Kind: Span, Default: "8h", Unit: "lifetime: Go duration or days (0.5d), 1s to 400d",
			Help: "a session ends this long after sign-in, whatever happens",
			set:  setSpan(func(c *Config) *time.Duration { return &c.Absolute })},
		{Name: "persistent", Group: groupSessions, Kind: Switch, Default: "false", Unit: "switch",
			Help: "the cookie lives to the absolute end instead of with the browser",
			set:  setSwitch(func(c *Config) *bool { return &c.Persistent })},
		{Name: "max-sessions", Group: groupSessions, Value: "N", Kind: Number, Default: "20", Unit: "sessions per user and kind, 1 to 1000",
			Help: "how many sessions one user may have",
			set:  setWhole(func(c *Config) *int { return &c.MaxSessions }, 1000)},
		{Name: "at-limit", Group: groupSessions, Value: "WHAT", Kind: Text, Default: "evict-idle", Unit: "word",
			Help: "what a sign-in over that number does: evict-idle, evict-oldest or deny",
			set:  setAtLimit},
		{Name: "limits-reason", Group: groupSessions, Value: "TEXT", Kind: Text, Unit: "text",
			Help: "written reason, asked for when --absolute is over 30d (NIST SP 800-63B-4)",
			set:  setText(func(c *Config) *string { return &c.LimitsReason })},
		{Name: "lease", Group: groupSessions, Value: "D", Kind: Span, Default: "5s", Unit: "lifetime: Go duration, 1s to 60s",
			Help: "where nodes share a store: an end holds on all of them within this time, also on one that is cut off; for as long they go on without the store",
			set:  setMinute(func(c *Config) *time.Duration { return &c.Lease }, "so long an ended session could be let in elsewhere")},
		{Name: "clock-skew", Group: groupSessions, Value: "D", Kind: Span, Default: "10s", Unit: "lifetime: Go duration, 1s to 60s",
			Help: "where nodes share a store: a machine whose clock is further from the store's is not let in",
			set:  setMinute(func(c *Config) *time.Duration { return &c.ClockSkew }, "certificates and logs go by that clock")},
		{Name: "cache-size", Group: groupSessions, Value: "MIB", Kind: Number, Default: "64", Unit: "MiB, 1 to 65536",
			Help: "how much memory the sessions that are in use may take; a check of one that is there asks nobody",
			set:  setWhole(func(c *Config) *int { return &c.CacheSize }, 65536)},

		{Name: "drain", Group: groupRunning, Value: "D", Kind: Span, Default: "10s", Unit: "lifetime: Go duration, 1s to 400d",
			Help: "how long a stop waits for requests in flight",
			set:  setSpan(func(c *Config) *time.Duration { return &c.Drain })},
		{Name: "log-format", Group: groupRunning, Value: "HOW", Kind: Text, Default: "auto", Unit: "auto, text or json",
			Help: "form of the log on standard error; auto: text on a terminal, else json",
			set:  setLogFormat},
	}
}
