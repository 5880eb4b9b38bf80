package clientip_test

import (
	"fmt"
	"net/http/httptest"
	"net/netip"

	"github.com/counterfoil/counterfoil/clientip"
)

func Example() {
	trusted, err := clientip.New(netip.MustParsePrefix("10.0.0.0/8"))
	if err != nil {
		fmt.Println(err)
		return
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = "10.0.0.1:4711"
	r.Header.Set("X-Forwarded-For", "1.1.1.1, 198.51.100.20") // the left one is the client's own invention
	r.Header.Set("X-Forwarded-Proto", "https")
	fmt.Println(trusted.Addr(r), trusted.HTTPS(r))
	// Output: 198.51.100.20 true
}
