// Package sqlrow turns what the stores keep into columns and back, the same way in every database:
//
//	row := db.QueryRow("SELECT " + sqlrow.AccountColumns + " FROM account WHERE name = ?", name)
//	a, err := sqlrow.Account(row)
//
// Absent IDs and hashes are NULL, times are milliseconds since 1970, unsigned numbers are stored as the
// signed ones of the same bits.
package sqlrow

import (
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/account"
)

// Bytes16 are the types that are stored as 16 bytes, or NULL if zero.
type Bytes16 interface {
	counterfoil.ID | counterfoil.SubjectHash | counterfoil.OpID
}

// Blob returns the bytes of v, nil if it is zero.
func Blob[T Bytes16](v T) []byte {
	if v == (T{}) {
		return nil
	}
	b := [16]byte(v)
	return b[:]
}

// FromBlob returns what Blob was given; anything but 16 bytes stands for zero.
func FromBlob[T Bytes16](b []byte) (v T) {
	if len(b) == 16 {
		v = T(b)
	}
	return v
}

// JoinIDs puts IDs one behind the other, nil if there are none.
func JoinIDs(ids []counterfoil.ID) []byte {
	var b []byte
	for _, id := range ids {
		b = append(b, id[:]...)
	}
	return b
}

// SplitIDs returns what JoinIDs was given.
func SplitIDs(b []byte) (ids []counterfoil.ID) {
	for ; len(b) >= 16; b = b[16:] {
		ids = append(ids, counterfoil.ID(b[:16]))
	}
	return ids
}

// Time returns the time that so many milliseconds since 1970 stand for, in UTC.
func Time(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// Row is a row that was found, or the error that came in its place.
type Row interface{ Scan(to ...any) error }

// AccountColumns are the columns of an account, in the order in which Account reads them.
const AccountColumns = "name, operator, disabled, password, epoch, created, changed, revision"

// Account reads AccountColumns.
func Account(row Row) (*account.Account, error) {
	var a account.Account
	var epoch, revision int64
	var created, changed string
	if err := row.Scan(&a.Name, &a.Operator, &a.Disabled, &a.Password, &epoch, &created, &changed, &revision); err != nil {
		return nil, err
	}
	a.Epoch, a.Revision = uint64(epoch), uint64(revision)
	var err error
	if a.Created, err = time.Parse(time.RFC3339Nano, created); err != nil {
		return nil, err
	}
	a.Changed, err = time.Parse(time.RFC3339Nano, changed)
	return &a, err
}

// Stamp writes an account's times, which keep their nanoseconds.
func Stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
