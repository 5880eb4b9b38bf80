package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/internal/config"
)

// C11: fractional days, cut to whole seconds.
func TestSpansAreWholeSeconds(t *testing.T) {
	for text, seconds := range map[string]int64{
		"0.0001d":               8, // 8.64 s
		"0.0000116d":            1, // 1.00224 s
		"0.5d":                  43200,
		"1d":                    86400,
		"7d":                    7 * 86400,
		"30d":                   30 * 86400,
		"400d":                  400 * 86400,
		"1s":                    1,
		"1.999s":                1,
		"90m":                   5400,
		"1h30m":                 5400,
		"0.333333333333333333d": 28799,
		"0000007d":              7 * 86400,
	} {
		d, err := config.ParseSpan(text)
		if err != nil || d != time.Duration(seconds)*time.Second {
			t.Errorf("ParseSpan(%q) = %v, %v; want %ds", text, d, err, seconds)
		}
	}
}

// CD1, CD2: nothing means "no limit", and nothing is guessed.
func TestSpansThatAreRefused(t *testing.T) {
	for _, text := range []string{
		"", " ", "0", "0s", "0d", "0.0d", "-1s", "-0.5d", "-7d", "+1d", "NaN", "NaNd", "nan", "Inf", "Infd", "+Inf", "-Inf", "infinity",
		"1e300", "1e300d", "1e300s", "1e3d", "7 days", "7days", "7", "true", "[7]", "0.000001d", "0.0000115d", "0.5s", "999ms", "1ns",
		"401d", "400.1d", "9601h", "99999999999999999999d", "1.d", ".5d", "1,5d", "0x10d", "1_0d", "1d12h", "１d", "1d ", " 1d", "1D", "d",
		"never", "none", "unlimited", "0." + strings.Repeat("1", 70) + "d",
	} {
		if d, err := config.ParseSpan(text); err == nil {
			t.Errorf("ParseSpan(%q) = %v; want a refusal", text, d)
		} else if msg := err.Error(); strings.ContainsAny(msg, "\n\r") || len(msg) > 200 {
			t.Errorf("ParseSpan(%q): the message is not one short line: %q", text, msg)
		}
	}
}

func TestFormatSpan(t *testing.T) {
	for text, want := range map[string]string{"30m": "30m", "8h": "8h", "0.5d": "12h", "7d": "7d", "90s": "1m30s", "0.0001d": "8s", "36h": "36h", "1h0m5s": "1h0m5s"} {
		d, err := config.ParseSpan(text)
		if got := config.FormatSpan(d); err != nil || got != want {
			t.Errorf("FormatSpan(%s) = %q, %v; want %q", text, got, err, want)
		}
	}
}

// CD1: whatever the text, the result is a refusal or whole seconds within the bounds that read back
// as themselves.
func FuzzParseSpan(f *testing.F) {
	for _, seed := range []string{"30m", "0.5d", "0.0001d", "0", "NaN", "1e300", "-7d", "7 days", "9223372036854775807ns", "400d"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := config.ParseSpan(text)
		if err != nil {
			if d != 0 {
				t.Fatalf("%q: an error and %v", text, d)
			}
			return
		}
		if d < config.MinSpan || d > config.MaxSpan || d%time.Second != 0 {
			t.Fatalf("%q: %v is out of bounds or no whole seconds", text, d)
		}
		if again, err := config.ParseSpan(config.FormatSpan(d)); err != nil || again != d {
			t.Fatalf("%q: %v reads back as %v, %v", text, d, again, err)
		}
	})
}
