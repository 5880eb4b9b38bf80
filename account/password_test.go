package account

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// NIST SP 800-63B-4 section 3.1.1.2: length, a list, no composition rules.
func TestCheckPassword(t *testing.T) {
	for password, ok := range map[string]bool{
		"three tickets to the opera":            true,
		"correct horse battery stapler":         true,
		"aaaaabbbbbcccccdddddeeeee":             true,  // five characters; odd, but nobody's first guess
		"ブダペストの橋の下で猫が三匹":                        false, // 14 characters
		"ブダペストの橋の下で猫が三匹だ":                       true,  // 15, no Latin letter needed
		"fourteen chars":                        false,
		"fifteen chars!!":                       true,
		"":                                      false,
		"aaaaaaaaaaaaaaaaaaaa":                  false,
		"abababababababababab":                  false,
		"abcabcabcabcabcabc":                    false,
		"1234567890123456789":                   false,
		"abcdefghijklmnopqrst":                  false,
		"zyxwvutsrqponmlkjihg":                  false,
		"qwertyuiopasdfghjkl":                   false,
		"1qaz2wsx3edc4rfv5tgb":                  false,
		"Password1 Password1":                   false,
		"p@ssw0rd-p@ssw0rd":                     false,
		"Correct Horse Battery Staple":          false,
		"thequickbrownfoxjumps":                 false,
		"The Quick-Brown_Fox.Jumps":             false,
		"alice likes long walks":                false, // the name
		"my counterfoil password":               false, // the service
		"changemechangeme":                      false,
		"supercalifragilisticexpialidocious":    false,
		"a blue bicycle, 3 bells and a basket.": true,
	} {
		err := checkPassword(password, DefaultMinLength, "alice", "counterfoil")
		if (err == nil) != ok {
			t.Errorf("%q: %v", password, err)
		}
		weak := (*PasswordError)(nil)
		if err != nil && (!errors.As(err, &weak) || password != "" && strings.Contains(err.Error(), password)) {
			t.Errorf("%q: %v", password, err)
		}
	}
	if checkPassword("the long al fresco dinner", DefaultMinLength, "al") != nil {
		t.Error("a name of two letters is in too much to be refused")
	}
}

// The list is in the form that flatten gives, so that each entry can match.
func TestCommonList(t *testing.T) {
	words := strings.Split(strings.TrimSuffix(common, "\n"), "\n")
	long := 0
	for _, w := range words {
		if flatten(w) != w || utf8.RuneCountInString(w) < lowestMinLength {
			t.Errorf("%q cannot match", w)
		}
		if len(w) >= DefaultMinLength {
			long++
			if checkPassword(w, DefaultMinLength) == nil {
				t.Errorf("%q is let in", w)
			}
		}
	}
	if long < 60 {
		t.Errorf("only %d are long enough to matter", long)
	}
	slices.Sort(words)
	if len(slices.Compact(words)) != len(words) {
		t.Error("an entry stands there twice")
	}
}

func TestNormalizeName(t *testing.T) {
	for in, want := range map[string]string{
		"Alice": "alice", "alice@Example.com": "alice@example.com", "ZOE\u0308": "zoë", "Ａｌｉｃｅ": "alice", strings.Repeat("a", 64): strings.Repeat("a", 64),
		"": "", "a b": "", " a": "", "a\n": "", "a\x00": "", "a\u202eb": "", strings.Repeat("a", 65): "", "\xff": "",
	} {
		got, err := NormalizeName(in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
}

func FuzzNormalizeName(f *testing.F) {
	for _, s := range []string{"Alice", "zoe\u0308", "İ", "ς", "\u202e", "a\x00", "ﬀ"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := NormalizeName(s)
		if err != nil {
			return
		}
		if n == "" || len(n) > maxName || !norm.NFC.IsNormalString(n) || strings.ContainsAny(n, " \r\n\t\x00") {
			t.Fatalf("%q became %q", s, n)
		}
		if again, err := NormalizeName(n); err != nil || again != n {
			t.Fatalf("%q became %q, and that %q, %v", s, n, again, err)
		}
	})
}
