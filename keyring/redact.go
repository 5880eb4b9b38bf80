package keyring

import (
	"fmt"
	"log/slog"
)

const redacted = "[redacted]"

// String returns "[redacted]".
func (Key) String() string { return redacted }

// Format writes "[redacted]" for every verb.
func (Key) Format(f fmt.State, _ rune) { fmt.Fprint(f, redacted) }

// LogValue logs "[redacted]".
func (Key) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText writes "[redacted]", in JSON too. It cannot be read back.
func (Key) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// String returns the ring's fingerprint in words.
func (r *Ring) String() string { return "keyring " + r.Fingerprint() }

// Format writes what [Ring.String] returns for every verb.
func (r *Ring) Format(f fmt.State, _ rune) { fmt.Fprint(f, r.String()) }

// LogValue logs what [Ring.String] returns.
func (r *Ring) LogValue() slog.Value { return slog.StringValue(r.String()) }

// MarshalText writes what [Ring.String] returns, in JSON too. [Ring.Marshal] writes the keys.
func (r *Ring) MarshalText() ([]byte, error) { return []byte(r.String()), nil }
