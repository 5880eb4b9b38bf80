package account

import (
	"errors"

	"golang.org/x/text/secure/precis"
)

// ErrName says that a name cannot be one of an account.
var ErrName = errors.New("account: a name is 1 to 64 bytes of letters, digits and signs, without spaces")

// maxName is the limit of a normalised name in bytes.
const maxName = 64

// NormalizeName returns the form in which accounts are kept: lower case, NFC, full-width letters
// folded, no spaces and no control characters (RFC 8265 section 3.3, UsernameCaseMapped). ErrName if
// there is none.
func NormalizeName(name string) (string, error) {
	if len(name) > 4*maxName {
		return "", ErrName
	}
	n, err := precis.UsernameCaseMapped.String(name)
	if err != nil || n == "" || len(n) > maxName {
		return "", ErrName
	}
	return n, nil
}

// normalizePassword returns the form that is hashed (RFC 8265 section 4.2, OpaqueString): NFC, every
// kind of space the plain one, no control characters. Case and length stay.
func normalizePassword(password string) (string, error) {
	if len(password) > maxPassword {
		return "", errLong
	}
	n, err := precis.OpaqueString.String(password)
	if err != nil || len(n) > maxPassword {
		return "", errControl
	}
	return n, nil
}
