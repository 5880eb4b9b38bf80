package account

import (
	_ "embed"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// DefaultMinLength is the shortest password in characters where it is the only factor (NIST SP
	// 800-63B-4 section 3.1.1.2).
	DefaultMinLength = 15
	// lowestMinLength is what the same section asks for where a second factor is always used.
	lowestMinLength = 8
	// maxPassword bounds a password in bytes; 64 characters of any script fit.
	maxPassword = 256
)

// PasswordError says why a password will not do, in words for the one who chose it. It does not
// quote the password.
type PasswordError struct{ Why string }

func (e *PasswordError) Error() string { return "account: password refused: " + e.Why }

var (
	errLong    = &PasswordError{fmt.Sprintf("It is longer than %d bytes.", maxPassword)}
	errControl = &PasswordError{"It holds control characters, or none at all."}
)

// common lists passwords of at least lowestMinLength characters that guessers try first, one a line,
// in the form that flatten gives.
//
//go:embed common.txt
var common string

// checkPassword refuses what is short or easily guessed. Nothing is asked of its composition (NIST SP
// 800-63B-4 section 3.1.1.2: no such rules). words are the user's name and the service's.
func checkPassword(password string, minLength int, words ...string) error {
	if n := utf8.RuneCountInString(password); n < minLength {
		return &PasswordError{fmt.Sprintf("It has %d characters; at least %d are needed. A few words in a row are easy to remember.", n, minLength)}
	}
	flat := flatten(password)
	switch {
	case strings.Contains("\n"+common, "\n"+flat+"\n"), repeated(flat, func(unit string) bool {
		return strings.Contains("\n"+common, "\n"+unit+"\n")
	}):
		return &PasswordError{"It is on the list of passwords that are tried first."}
	case distinct(flat) < 5, repeated(flat, func(unit string) bool { return 2*utf8.RuneCountInString(unit) < minLength }):
		return &PasswordError{"It repeats the same few characters."}
	case sequence(flat):
		return &PasswordError{"It is a row of neighbours in the alphabet, in the digits or on the keyboard."}
	}
	for _, w := range words {
		if w = flatten(w); utf8.RuneCountInString(w) >= 4 && strings.Contains(flat, w) {
			return &PasswordError{"It contains your name or the name of this service."}
		}
	}
	return nil
}

// flatten removes what people change to make a known password look new: case and spacing.
func flatten(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || r == '-' || r == '_' || r == '.' {
			return -1
		}
		return unicode.ToLower(r)
	}, s)
}

func distinct(s string) int {
	seen := map[rune]bool{}
	for _, r := range s {
		seen[r] = true
	}
	return len(seen)
}

// repeated reports whether s is a unit over and over (the last one perhaps cut) that is bad.
func repeated(s string, bad func(unit string) bool) bool {
	for i := range s {
		if unit := s[:i]; i > 0 && 2*i <= len(s) && strings.HasPrefix(strings.Repeat(unit, len(s)/i+1), s) {
			return bad(unit)
		}
	}
	return false
}

// rows are what fingers and alphabets run along.
var rows = []string{
	"abcdefghijklmnopqrstuvwxyz", "01234567890123456789", "1234567890-=", "qwertyuiop[]", "asdfghjkl;'", "zxcvbnm,./",
	"qwertzuiop", "yxcvbnm", "azertyuiop", "qsdfghjklm", "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,9ol.0p;/",
}

// sequence reports whether s consists of at most one piece of a row for each five characters.
func sequence(s string) bool {
	runes := []rune(s)
	pieces := 0
	for i := 0; i < len(runes); pieces++ {
		i += longest(runes[i:])
	}
	return pieces <= len(runes)/5
}

// longest returns the length, at least 1, of the piece of a row that s begins with, either way.
func longest(s []rune) int {
	best := 1
	for _, row := range rows {
		for _, line := range []string{row, reverse(row)} {
			for n := best + 1; n <= len(s) && strings.Contains(line, string(s[:n])); n++ {
				best = n
			}
		}
	}
	return best
}

func reverse(s string) string {
	r := []rune(s)
	for i, j := 0, len(r)-1; i < j; i, j = i+1, j-1 {
		r[i], r[j] = r[j], r[i]
	}
	return string(r)
}
