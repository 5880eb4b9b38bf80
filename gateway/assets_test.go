package gateway_test

import (
	"regexp"
	"strings"
	"testing"
)

// P86: what pages load comes from here, under a name that changes with its content.
func TestAssets(t *testing.T) {
	s := newSite(t)
	page := s.browser().get("/auth/setup").want(t, 200).body
	kinds := map[string]string{".css": "text/css; charset=utf-8", ".svg": "image/svg+xml", ".js": "text/javascript; charset=utf-8"}
	for _, found := range regexp.MustCompile(`(?:href|src)="(/auth/static/[a-z]+\.[0-9a-f]{16}(\.[a-z]+))"`).FindAllStringSubmatch(page, -1) {
		a := s.client().get(found[1]).want(t, 200)
		if a.Header.Get("Content-Type") != kinds[found[2]] || !strings.Contains(a.Header.Get("Cache-Control"), "immutable") || a.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", found[1], a.Header)
		}
		if strings.Contains(a.body, "url(") || strings.Contains(a.body, "@import") || strings.Contains(a.body, "//fonts") {
			t.Errorf("%s loads something from elsewhere", found[1])
		}
		delete(kinds, found[2])
	}
	if len(kinds) > 0 {
		t.Errorf("the page does not name: %v", kinds)
	}
	if script := s.browser().get("/auth/login").body; strings.Contains(script, "<script") {
		t.Error("the sign-in page has a script")
	}
}
