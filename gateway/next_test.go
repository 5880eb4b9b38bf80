package gateway

import (
	"net/url"
	"strings"
	"testing"
)

// S36: the sign-in page sends nobody to another site.
func TestLocalPath(t *testing.T) {
	for s, want := range map[string]string{
		"/":                             "/",
		"/a/b?c=d#e":                    "/a/b?c=d#e",
		"/a?u=https://evil.com/":        "/a?u=https://evil.com/",
		"/%2f%2fevil.com":               "/%2f%2fevil.com",
		"/auth/account":                 "/auth/account",
		"":                              "/",
		"a":                             "/",
		"//evil.com":                    "/",
		"///evil.com":                   "/",
		"https:evil.com":                "/",
		"https://evil.com/":             "/",
		"javascript:alert(1)":           "/",
		"\\evil.com":                    "/",
		"\\\\evil.com":                  "/",
		"/\\evil.com":                   "/",
		"/a\\..\\b":                     "/",
		"/\tevil.com":                   "/",
		"/\n/evil.com":                  "/",
		"\t//evil.com":                  "/",
		" //evil.com":                   "/",
		"/a b":                          "/",
		"/\x00":                         "/",
		"/\x7f":                         "/",
		"/é":                            "/",
		"/%zz":                          "/",
		"/auth/login?next=/x":           "/",
		"/auth/logout":                  "/",
		"/auth/setup":                   "/",
		"/" + strings.Repeat("a", 2048): "/",
	} {
		if got := localPath(s, "/auth"); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}

func FuzzLocalPath(f *testing.F) {
	for _, s := range []string{"/", "//evil", "/\\evil", "https:evil", "/..//evil", "/.//evil", "/a\r\nSet-Cookie: x", "/%5cevil", "/@evil", "/:80"} {
		f.Add(s)
	}
	base, _ := url.Parse("https://self.example/auth/login")
	f.Fuzz(func(t *testing.T, s string) {
		got := localPath(s, "/auth")
		// Browsers drop tabs and line ends and take a backslash for a slash.
		seen := strings.NewReplacer("\t", "", "\n", "", "\r", "", "\\", "/").Replace(strings.TrimLeft(got, "\x00 "))
		if seen != got || !strings.HasPrefix(got, "/") || strings.HasPrefix(got, "//") {
			t.Fatalf("%q became %q", s, got)
		}
		u, err := base.Parse(got)
		if err != nil || u.Scheme != "https" || u.Host != "self.example" || u.User != nil {
			t.Fatalf("%q leads to %v, %v", s, u, err)
		}
	})
}
