package counterfoil

import (
	"encoding/base64"
	"errors"
)

// ID names a session in lists, logs and URLs: a truncated SHA-256 of the token's selector. It is no
// secret and opens nothing. The zero ID names no session.
type ID [16]byte

// String returns 22 characters of base64url.
func (id ID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// IsZero reports whether id names no session.
func (id ID) IsZero() bool { return id == ID{} }

// MarshalText writes what [ID.String] returns.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what [ParseID] takes.
func (id *ID) UnmarshalText(text []byte) (err error) {
	*id, err = ParseID(string(text))
	return err
}

// ParseID reads what [ID.String] wrote and nothing else.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) == 22 {
		if n, err := base64.RawURLEncoding.Strict().Decode(id[:], []byte(s)); err == nil && n == len(id) {
			return id, nil
		}
	}
	return ID{}, errors.New("counterfoil: a session ID is 22 characters of base64url, as in a session list")
}
