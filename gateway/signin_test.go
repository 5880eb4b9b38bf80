package gateway_test

import (
	"net/http"
	"strings"
	"testing"
)

// The way of a newcomer through the pages.
func TestSignInAndOut(t *testing.T) {
	s := newSite(t).withAccounts()
	b := s.browser()
	a := b.get("/").want(t, 303)
	if got := a.Header.Get("Location"); got != "/auth/login?next=%2F" {
		t.Fatalf("sent to %q", got)
	}
	b.get("/auth/login?next=%2F").want(t, 200)
	a = b.post("/auth/login", "username", "Alice", "password", alicePassword, "next", "/").want(t, 303)
	if a.Header.Get("Location") != "/" {
		t.Errorf("sent to %q", a.Header.Get("Location"))
	}
	// T30, T32, T33, T34, T35, P88: every attribute stands in the answer.
	cookie := a.Header.Get("Set-Cookie")
	for _, part := range []string{"__Host-Http-session=", "; Path=/", "; HttpOnly", "; Secure", "; SameSite=Lax"} {
		if !strings.Contains(cookie, part) {
			t.Errorf("%q lacks %q", cookie, part)
		}
	}
	if strings.Contains(cookie, "Domain") || strings.Contains(cookie, "Max-Age") || strings.Contains(cookie, "Expires") {
		t.Errorf("%q goes too far", cookie)
	}
	if a = b.get("/").want(t, 200); !strings.Contains(a.body, "Welcome, alice") || !strings.Contains(a.body, "Sign out") {
		t.Error("the demo does not say who is there")
	}
	stolen := b.token()
	a = b.post("/auth/logout").want(t, 303)
	if c := a.Header.Get("Set-Cookie"); !strings.Contains(c, "Max-Age=0") || !strings.Contains(c, "Secure") { // S22
		t.Errorf("cleared by %q", c)
	}
	if s.replay(stolen) != 401 { // T38, S21, S31, C30
		t.Error("a saved cookie is good after the sign-out")
	}
	b.get("/").want(t, 303)
	// S23: without a session it does no harm.
	b.post("/auth/logout").want(t, 303)
	s.client().post("/auth/logout").want(t, 204)
	s.client().do("POST", "/auth/logout", "", "Cookie", "__Host-Http-session=garbage").want(t, http.StatusNoContent)
}
