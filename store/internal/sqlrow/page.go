package sqlrow

import (
	"iter"
	"time"

	"github.com/counterfoil/counterfoil/account"
)

// Pages yields what next reads, page after page, until one has fewer than full rows or next fails. next
// reads behind after, which is first at the beginning, and moves it to its last row; between two pages
// nothing is held.
func Pages[T, P any](first P, full int, next func(after *P) ([]T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		after := first
		for {
			found, err := next(&after)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, v := range found {
				if !yield(v, nil) {
					return
				}
			}
			if len(found) < full {
				return
			}
		}
	}
}

// AccountAfter is Account of a list by name; it moves after to the name.
func AccountAfter(row Row, after *string) (*account.Account, error) {
	a, err := Account(row)
	if err == nil {
		*after = a.Name
	}
	return a, err
}

// Attempt reads the columns row, key, at and ends; it moves after to the row.
func Attempt(row Row, after *int64) (account.Attempt, error) {
	var key []byte
	var at, ends int64
	err := row.Scan(after, &key, &at, &ends)
	return account.Attempt{Key: string(key), At: nano(at), Ends: nano(ends)}, err
}

// Link reads the columns hash, purpose, subject and expires; it moves after to the hash.
func Link(row Row, after *[]byte) (account.Link, error) {
	var l account.Link
	var expires int64
	err := row.Scan(after, &l.Purpose, &l.Subject, &expires)
	copy(l.Hash[:], *after)
	l.Expires = nano(expires)
	return l, err
}

func nano(ns int64) time.Time { return time.Unix(0, ns).UTC() }
