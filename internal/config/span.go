package config

import (
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"
)

const (
	day = 24 * time.Hour

	// MinSpan and MaxSpan bound every lifetime. 400 days is where browsers cap a cookie
	// (RFC 6265bis 5.5); a longer lifetime would not be what it says.
	MinSpan = time.Second
	MaxSpan = 400 * day
)

// ParseSpan reads a lifetime: a Go duration such as "1h30m", or days with a fraction such as "0.5d".
// The result is cut to whole seconds, because that is what a cookie's Max-Age can say, and lies
// between [MinSpan] and [MaxSpan]. No text means "no limit".
func ParseSpan(text string) (time.Duration, error) {
	switch {
	case text == "":
		return 0, errors.New(`is empty; write a lifetime such as "30m" or "0.5d"`)
	case len(text) > 64:
		return 0, errors.New(`is too long for a lifetime; write one such as "30m" or "0.5d"`)
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		return parseDays(text, days)
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf(`%q is no lifetime; write one such as "30m", "8h" or "0.5d"`, text)
	}
	return bounded(text, d.Truncate(time.Second), d < 0)
}

// parseDays computes with whole numbers: 0.0001d is 8.64 seconds and thus 8, whatever a float says.
func parseDays(text, days string) (time.Duration, error) {
	whole, fraction, dotted := strings.Cut(days, ".")
	if !digits(whole) || dotted && !digits(fraction) {
		if strings.HasPrefix(days, "-") {
			return bounded(text, 0, true)
		}
		return 0, fmt.Errorf(`%q is no number of days; write one such as "7d" or "0.5d"`, text)
	}
	number, _ := new(big.Int).SetString(whole+fraction, 10)
	number.Mul(number, big.NewInt(int64(day/time.Second)))
	number.Quo(number, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(len(fraction))), nil))
	if !number.IsInt64() || number.Int64() > int64(MaxSpan/time.Second) {
		return bounded(text, MaxSpan+time.Second, false)
	}
	return bounded(text, time.Duration(number.Int64())*time.Second, false)
}

func bounded(text string, d time.Duration, negative bool) (time.Duration, error) {
	switch {
	case negative:
		return 0, fmt.Errorf("%q is negative; the least is 1s", text)
	case d < MinSpan:
		return 0, fmt.Errorf(`%q is under a second; the least is 1s, and nothing means "no limit"`, text)
	case d > MaxSpan:
		return 0, fmt.Errorf("%q is over 400 days, the most", text)
	}
	return d, nil
}

func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// FormatSpan writes a lifetime as [ParseSpan] reads it, in the largest units that fit: "7d", "8h", "90s".
func FormatSpan(d time.Duration) string {
	if d >= day && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
