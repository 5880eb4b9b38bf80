package e2e

import (
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/counterfoil/counterfoil/internal/programtest"
)

// Over TLS a browser takes the cookie with its prefix, with every attribute, and lets no script plant
// or read one. S10, T30, T31, T32, T33, T34, T35
func TestCookieOverTLS(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	addUser(t, dir, "alice")
	cert, key := programtest.Certificate(t, t.TempDir(), 1)
	for _, persistent := range []bool{false, true} {
		args := []string{"serve", "--listen", "127.0.0.1:0", "--data", dir, "--tls-cert", cert, "--tls-key", key, "--absolute", "2h"}
		if persistent {
			args = append(args, "--persistent")
		}
		s := launch(t, args...)
		b := openBrowser(t, chromedp.IgnoreCertErrors)
		b.open(s.URL + "/")
		if all := b.cookies(s.URL); len(all) != 0 {
			t.Errorf("a visitor has cookies: %v", all)
		}
		b.signIn("alice", passphrase)
		b.on("Welcome, alice")
		all := b.cookies(s.URL)
		if len(all) != 1 {
			t.Fatalf("%d cookies, want 1", len(all))
		}
		c := all[0]
		if c.Name != "__Host-Http-session" || !c.Secure || !c.HTTPOnly || c.SameSite != network.CookieSameSiteLax || c.Path != "/" || c.Domain != "127.0.0.1" || c.Session == persistent {
			t.Errorf("the cookie: %+v", *c)
		}
		if left := time.Until(time.Unix(int64(c.Expires), 0)); persistent && (left > 2*time.Hour+time.Second || left < 2*time.Hour-2*patience) {
			t.Errorf("the browser keeps the cookie for %v, the server for 2h", left)
		}
		eval[string](b, `document.cookie = "__Host-Http-session=planted; Secure; Path=/"`)
		if cookie := eval[string](b, "document.cookie"); cookie != "" {
			t.Errorf("a script sees %q", cookie)
		}
		if all := b.cookies(s.URL); len(all) != 1 || all[0].Value != c.Value {
			t.Errorf("after a script tried to plant a cookie: %d cookies", len(all))
		}
		b.open(s.URL + "/")
		b.on("Welcome, alice")
		s.Stop()
	}
}
