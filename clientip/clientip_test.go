package clientip_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/clientip"
)

func trust(t testing.TB, prefixes ...string) *clientip.Trusted {
	t.Helper()
	var ps []netip.Prefix
	for _, p := range prefixes {
		ps = append(ps, netip.MustParsePrefix(p))
	}
	trusted, err := clientip.New(ps...)
	if err != nil {
		t.Fatal(err)
	}
	return trusted
}

func request(remote string, header ...string) *http.Request {
	r := httptest.NewRequest("GET", "http://app.example/", nil)
	r.RemoteAddr = remote
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

// SD15, S19: behind a proxy the address is the client's, and only a named proxy can say so.
func TestAddr(t *testing.T) {
	trusted := trust(t, "10.0.0.0/8", "2001:db8:aaaa::/48")
	const xff = "X-Forwarded-For"
	for _, c := range []struct {
		name, remote string
		header       []string
		want         string
	}{
		{"no proxy", "203.0.113.9:1", nil, "203.0.113.9"},
		{"a stranger's header is ignored", "203.0.113.9:1", []string{xff, "198.51.100.1"}, "203.0.113.9"},
		{"proxy without header", "10.0.0.1:1", nil, "10.0.0.1"},
		{"one proxy", "10.0.0.1:1", []string{xff, "198.51.100.1"}, "198.51.100.1"},
		{"invented elements stand to the left", "10.0.0.1:1", []string{xff, "1.1.1.1, 198.51.100.1"}, "198.51.100.1"},
		{"two proxies", "10.0.0.1:1", []string{xff, "1.1.1.1, 198.51.100.1, 10.9.9.9"}, "198.51.100.1"},
		{"two lines", "10.0.0.1:1", []string{xff, "1.1.1.1", xff, "198.51.100.1,10.9.9.9"}, "198.51.100.1"},
		{"walks into the earlier line", "10.0.0.1:1", []string{xff, "1.1.1.1, 198.51.100.1", xff, "10.9.9.9"}, "198.51.100.1"},
		{"only proxies", "10.0.0.1:1", []string{xff, "10.3.3.3, 10.9.9.9"}, "10.3.3.3"},
		{"garbage: the proxy that passed it on", "10.0.0.1:1", []string{xff, "198.51.100.1, unknown"}, "10.0.0.1"},
		{"garbage behind a second proxy", "10.0.0.1:1", []string{xff, "198.51.100.1, _x, 10.9.9.9"}, "10.9.9.9"},
		{"empty element", "10.0.0.1:1", []string{xff, "198.51.100.1,"}, "10.0.0.1"},
		{"empty header", "10.0.0.1:1", []string{xff, ""}, "10.0.0.1"},
		{"mapped peer is IPv4", "[::ffff:10.0.0.1]:1", []string{xff, "198.51.100.1"}, "198.51.100.1"},
		{"mapped element is IPv4", "10.0.0.1:1", []string{xff, "1.1.1.1, ::ffff:10.9.9.9"}, "1.1.1.1"},
		{"IPv6", "[2001:db8:aaaa::1]:1", []string{xff, "2001:db8:bbbb::7"}, "2001:db8:bbbb::7"},
		{"zone is dropped", "[fe80::1%eth0]:1", nil, "fe80::1"},
		{"element with port", "10.0.0.1:1", []string{xff, "198.51.100.1:4711"}, "198.51.100.1"},
		{"element with brackets and port", "10.0.0.1:1", []string{xff, "[2001:db8:bbbb::7]:4711"}, "2001:db8:bbbb::7"},
		{"Forwarded is ignored", "10.0.0.1:1", []string{"Forwarded", "for=1.1.1.1"}, "10.0.0.1"},
		{"vendors' headers are ignored", "10.0.0.1:1", []string{"X-Real-Ip", "1.1.1.1", "True-Client-Ip", "2.2.2.2"}, "10.0.0.1"},
		{"no IP peer", "@", []string{xff, "1.1.1.1"}, "invalid IP"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := trusted.Addr(request(c.remote, c.header...)).String(); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// PD11, T5: scheme and host come from a trusted peer or from the connection itself.
func TestSchemeAndHost(t *testing.T) {
	trusted := trust(t, "10.0.0.0/8")
	for _, c := range []struct {
		name   string
		r      *http.Request
		https  bool
		host   string
		secure bool
	}{
		{"plain", request("203.0.113.9:1"), false, "app.example", false},
		{"stranger claims", request("203.0.113.9:1", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "evil.example"), false, "app.example", false},
		{"proxy says", request("10.0.0.1:1", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "site.example:8443"), true, "site.example:8443", false},
		{"the last value is the proxy's own", request("10.0.0.1:1", "X-Forwarded-Proto", "https, http", "X-Forwarded-Host", "evil.example, site.example"), false, "site.example", false},
		{"the last line is the proxy's own", request("10.0.0.1:1", "X-Forwarded-Proto", "http", "X-Forwarded-Proto", "HTTPS"), true, "app.example", false},
		{"no host name", request("10.0.0.1:1", "X-Forwarded-Host", "evil.example/path"), false, "", false},
		{"TLS here", request("203.0.113.9:1", "X-Forwarded-Proto", "http"), true, "app.example", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.secure {
				c.r.TLS = &tls.ConnectionState{}
			}
			if got := trusted.HTTPS(c.r); got != c.https {
				t.Errorf("HTTPS is %v, want %v", got, c.https)
			}
			if got := trusted.Host(c.r); got != c.host {
				t.Errorf("host %q, want %q", got, c.host)
			}
		})
	}
	var nobody *clientip.Trusted
	if nobody.HTTPS(request("10.0.0.1:1", "X-Forwarded-Proto", "https")) {
		t.Error("nil trusts somebody")
	}
}

func TestNewRefuses(t *testing.T) {
	for _, p := range []netip.Prefix{{}, netip.MustParsePrefix("10.0.0.1/8"), netip.MustParsePrefix("::ffff:10.0.0.0/104"),
		netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")} {
		if _, err := clientip.New(p); err == nil {
			t.Errorf("%v was taken", p)
		}
	}
}

func TestValidHost(t *testing.T) {
	for s, want := range map[string]bool{
		"a": true, "a.example:1": true, "127.0.0.1:65535": true, "[::1]": true, "[::1]:8080": true, "xn--bcher-kva.example": true,
		"": false, ":80": false, "a:": false, "a:0": false, "a:65536": false, "a:+1": false, "a b": false, "a/b": false, "u@a": false,
		"[::1": false, "[::1]x": false, "[127.0.0.1]": false, "[fe80::1%25eth0]": false, "a\r\nb": false, "a,b": false,
	} {
		if got := clientip.ValidHost(s); got != want {
			t.Errorf("%q: %v, want %v", s, got, want)
		}
	}
}

// What an untrusted peer sends changes nothing, and the answer is always an address that stands in
// the request.
func FuzzAddr(f *testing.F) {
	f.Add("1.1.1.1, 10.0.0.1", "10.0.0.2:1")
	f.Add("[::1]:80,,", "203.0.113.1:1")
	f.Add("::ffff:10.1.1.1,\t fe80::1%x", "[::1]:1")
	f.Fuzz(func(t *testing.T, xff, remote string) {
		trusted := trust(t, "10.0.0.0/8")
		r := request(remote, "X-Forwarded-For", xff)
		got, bare := trusted.Addr(r), trusted.Addr(request(remote))
		if !trusted.ByProxy(r) && got != bare {
			t.Fatalf("an untrusted peer became %v", got)
		}
		if got.Is4In6() || got.Zone() != "" {
			t.Fatalf("not folded: %v", got)
		}
		if got != bare && strings.Trim(xff, " \t,") == "" {
			t.Fatalf("%v stands nowhere", got)
		}
	})
}
