package counterfoil_test

import (
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/sessiontest"
)

// A browser keeps the cookie of a session that has ended (R5) and sends it with every picture of the
// sign-in page. It must get the page: one dead token, however often, is no flood, and costs the
// store one read a minute. The same behind one address for a whole office.
func TestDeadCookieIsNoFlood(t *testing.T) { // R5, R15, G9
	loads := 0
	m, clock := sessiontest.New(t, func(c *counterfoil.Config) {
		c.Policy.PerSubject = 500
		c.Store = sessiontest.Flaky(c.Store, func(method string) error {
			if method == "Load" {
				loads++
			}
			return nil
		})
	})
	h := me(m)
	send := func(token string) (int, string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Cookie", "__Host-Http-session="+token)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	var office []string
	for i := range 60 {
		token, _ := tokenOf(t, m, fmt.Sprint("user", i))
		office = append(office, token)
	}
	if _, err := m.Revoke(t.Context(), counterfoil.Everything(), counterfoil.ReasonRevoked); err != nil {
		t.Fatal(err)
	}
	loads = 0
	for range 50 {
		for _, token := range office {
			if code, who := send(token); code != 200 || who != "" {
				t.Fatalf("a dead cookie is answered with %d %q", code, who)
			}
		}
	}
	if loads > len(office) {
		t.Errorf("%d dead cookies cost %d reads", len(office), loads)
	}
	fresh, _ := tokenOf(t, m, "alice")
	clock.Advance(time.Hour / 4) // the flood's tables are as at the start
	if code, who := send(fresh); code != 200 || who != "alice" {
		t.Errorf("a good cookie of the same office: %d %q", code, who)
	}
}

// Whoever floods with tokens of no session cannot lock the owners of others out, from however many
// addresses he comes: what names no session counts against its source alone.
func TestFloodLocksNobodyElseOut(t *testing.T) { // R2.7, R15
	m, _ := sessiontest.New(t, func(c *counterfoil.Config) { c.CacheBytes = -1 })
	good, _ := tokenOf(t, m, "alice")
	r := httptest.NewRequest("GET", "/", nil)
	send := func(addr, token string) counterfoil.Verdict {
		r.RemoteAddr = addr
		r.Header.Set("Cookie", "__Host-Http-session="+token)
		_, verdict := m.Check(r)
		return verdict
	}
	guess := []byte(good)
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for i := range 250_000 { // some 30 for each place in the tables
		for at := range 4 {
			guess[at] = alphabet[i>>(6*at)&63]
		}
		send(fmt.Sprintf("[2001:db8:%x:%x::1]:1000", i>>16, i&0xffff), string(guess))
	}
	if v := send("198.51.100.7:1000", good); v != counterfoil.Valid {
		t.Errorf("an honest visitor's token is judged %d", v)
	}
}
