package gateway

import (
	"net/http"
	"strings"
	"testing"
)

// FD5, FD6: whatever a client sends, what goes to the application is a plain list of pairs in which
// no parser can find a cookie of ours, each name once.
func FuzzCookiesToApplication(f *testing.F) {
	filter := cookieFilter{[2]string{"__Host-Http-session", "__Host-Http-visit"}}
	for _, s := range []string{"a=1; __Host-Http-session=x; b=2", `a="; __Host-Http-session=x"`, "__host-HTTP-visit =x", "=;;= ;a", "a=\xff", "a=1,b=2", "\t__Host-Http-session\t=x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		out := filter.request([]string{line})
		if out == "" {
			return
		}
		seen := map[string]bool{}
		for _, pair := range strings.Split(out, "; ") {
			name, value, found := strings.Cut(pair, "=")
			if !found || !token(name) || strings.ContainsAny(value, ";\\\r\n") || seen[name] || filter.ours(name) {
				t.Fatalf("%q became %q", line, out)
			}
			seen[name] = true
		}
		// The standard library's parser, which drops what it does not like, drops nothing of it.
		parsed, err := http.ParseCookie(out)
		if err != nil || len(parsed) != len(seen) {
			t.Fatalf("%q became %q, read as %v, %v", line, out, parsed, err)
		}
		if again := filter.request([]string{out}); again != out {
			t.Fatalf("%q became %q and then %q", line, out, again)
		}
	})
}

func FuzzFields(f *testing.F) {
	for _, s := range []string{"username=a&password=b", "username=%00", `{"username":"a"}`, `{"username":"a","username":"b"}`, `{"Username":"a"}`, `{"username":null}`, "{", `{"a":{}}`} {
		f.Add(s)
	}
	names := []string{"username", "password"}
	f.Fuzz(func(t *testing.T, body string) {
		for _, parse := range []func([]byte, []string) (map[string]string, error){parseForm, parseObject} {
			fields, err := parse([]byte(body), names)
			if err != nil && fields != nil {
				t.Fatal("fields beside an error")
			}
			for name := range fields {
				if name != "username" && name != "password" {
					t.Fatalf("%q was not asked for", name)
				}
			}
		}
	})
}
