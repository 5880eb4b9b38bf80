package gateway_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

// The text is what a scraper can read: each family is described once, before its samples, and no two
// samples are of one series. P3
func TestMetricsFormat(t *testing.T) {
	s := newSite(t).withAccounts()
	b := s.signedIn("alice")
	if b.check() != 200 {
		t.Fatal("nobody is signed in")
	}
	s.client().get("/auth/check", "Cookie", "__Host-Http-session=nonsense")
	ask := func(method string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		s.g.Metrics().ServeHTTP(w, httptest.NewRequest(method, "/metrics", nil))
		return w
	}
	w := ask("GET")
	if w.Code != 200 || w.Header().Get("Content-Type") != "text/plain; version=0.0.4; charset=utf-8" {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	if ask("POST").Code != http.StatusMethodNotAllowed {
		t.Error("they can be posted to")
	}
	described, seen := map[string]bool{}, map[string]bool{}
	sample := regexp.MustCompile(`^((counterfoil_[a-z_]+?)(_bucket|_sum|_count)?(\{[a-z]+="[^"\\]*"(,[a-z]+="[^"\\]*")*\})?) -?[0-9.e+-]+$`)
	for line := range strings.Lines(w.Body.String()) {
		line = strings.TrimSuffix(line, "\n")
		if kind, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, _, _ := strings.Cut(kind, " ")
			if described[name] {
				t.Errorf("%s is described twice", name)
			}
			described[name] = true
			continue
		}
		if strings.HasPrefix(line, "# HELP ") {
			continue
		}
		m := sample.FindStringSubmatch(line)
		if m == nil || !described[m[2]] && !described[m[2]+m[3]] {
			t.Errorf("%q is no sample of what was described", line)
			continue
		}
		if seen[m[1]] {
			t.Errorf("%s stands there twice", m[1])
		}
		seen[m[1]] = true
	}
	for _, series := range []string{`counterfoil_events_total{kind="refused",reason="malformed"}`, "counterfoil_cache_hits_total", `counterfoil_store_seconds_sum{method="Poll"}`} {
		if !seen[series] {
			t.Errorf("no %s in\n%s", series, w.Body)
		}
	}
}
