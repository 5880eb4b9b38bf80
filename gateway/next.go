package gateway

import (
	"net/url"
	"strings"
)

// localPath returns s if a browser that is sent there stays on this site and leaves the sign-in
// pages, else "/". Refused are other hosts in every spelling that browsers read as one ("//host",
// "/\host", "https:host"), control characters, which browsers strip before they look, and everything
// that is not ASCII: a path that was asked for is percent-encoded already.
func localPath(s, prefix string) string {
	if len(s) > 2048 || !strings.HasPrefix(s, "/") || strings.HasPrefix(s, "//") {
		return "/"
	}
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] >= 0x7f || s[i] == '\\' {
			return "/"
		}
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || !strings.HasPrefix(u.Path, "/") {
		return "/"
	}
	for _, page := range []string{"/login", "/logout", "/setup", "/check"} {
		if u.Path == prefix+page {
			return "/"
		}
	}
	return s
}
