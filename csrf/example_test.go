package csrf_test

import (
	"fmt"
	"net/http/httptest"

	"github.com/counterfoil/counterfoil/csrf"
)

func Example() {
	own := httptest.NewRequest("POST", "/transfer", nil)
	own.Header.Set("Origin", csrf.Origin("https", "app.example"))
	fmt.Println(csrf.Check(own, "https://app.example"))

	foreign := httptest.NewRequest("POST", "/transfer", nil)
	foreign.Header.Set("Sec-Fetch-Site", "cross-site")
	fmt.Println(csrf.Check(foreign, "https://app.example") == csrf.ErrCrossSite)
	// Output:
	// <nil>
	// true
}
