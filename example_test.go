package counterfoil_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/sessiontest"
	"github.com/counterfoil/counterfoil/store/sqlite"
)

// What stands between the two marks is the example of the README; TestPages compares them.

// begin README

// Cart is a typed value that each session may have.
var Cart = counterfoil.NewKey[[]string]("shop.cart")

func serve(ctx context.Context) error {
	store, err := sqlite.Open(ctx, "data/sessions.db", sqlite.Options{})
	if err != nil {
		return err
	}
	defer store.Close()
	keys, _, err := keyring.Resolve(keyring.Options{Env: os.LookupEnv, OwnPath: "data/keys", Now: time.Now()})
	if err != nil {
		return err // says what to do; no weaker key was made
	}
	sessions, err := counterfoil.New(ctx, counterfoil.Config{Store: store, Keys: keys, Policy: counterfoil.AAL2()})
	if err != nil {
		return err
	}
	defer sessions.Close(ctx)
	return http.ListenAndServeTLS("localhost:8443", "cert.pem", "key.pem", shop(sessions, checkPassword))
}

// shop is an application with sessions. proved reports whether a password is right.
func shop(sessions *counterfoil.Manager, proved func(name, password string) bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /cart", func(w http.ResponseWriter, r *http.Request) {
		s := sessions.FromContext(r.Context()) // never nil; starts as nobody's
		err := Cart.Update(s, func(items []string) ([]string, error) {
			return append(items, r.FormValue("item")), nil
		})
		if err != nil {
			http.Error(w, "not kept", counterfoil.RefusalStatus(err))
		}
	})
	mux.HandleFunc("POST /sign-in", func(w http.ResponseWriter, r *http.Request) {
		name := r.FormValue("name")
		if !proved(name, r.FormValue("password")) {
			http.Error(w, "wrong name or password", http.StatusUnauthorized)
			return
		}
		s := sessions.FromContext(r.Context())
		err := s.SignIn(counterfoil.Identity{
			Subject: name, Methods: []string{"pwd"},
			Keep: []counterfoil.AnyKey{Cart}, // all else of the anonymous session is left behind
		})
		if err != nil {
			http.Error(w, "not signed in", counterfoil.RefusalStatus(err))
			return
		}
		http.Redirect(w, r, "/orders", http.StatusSeeOther)
	})
	mux.HandleFunc("POST /sign-out", func(w http.ResponseWriter, r *http.Request) {
		if err := sessions.FromContext(r.Context()).SignOut(); err != nil {
			http.Error(w, "not yet signed out everywhere", http.StatusServiceUnavailable)
		}
	})
	signedIn := sessions.Require()
	mux.Handle("GET /orders", signedIn(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := sessions.FromContext(r.Context())
		items, err := Cart.Get(s)
		if err != nil {
			http.Error(w, "try again", counterfoil.RefusalStatus(err))
			return
		}
		fmt.Fprintf(w, "%s: %s", s.Subject(), strings.Join(items, ", "))
	})))
	// Sessions are about who asks. That another site did not make the browser ask is checked first.
	return http.NewCrossOriginProtection().Handler(sessions.Handler(mux))
}

// end README

func checkPassword(name, password string) bool { return name == "alice" && password == "correct" }

func Example() {
	t := new(exampleTB)
	defer t.close()
	sessions, clock := sessiontest.New(t)
	h := shop(sessions, checkPassword)
	browser := httptest.NewRequest("GET", "/orders", nil) // its cookies are the jar
	send := func(method, path string, form url.Values) {
		r := httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header["Cookie"] = browser.Header["Cookie"]
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		sessiontest.Follow(t, w.Result(), browser)
		fmt.Println(strings.TrimSpace(fmt.Sprintln(method, path, w.Code, w.Body)))
	}
	send("POST", "/cart", url.Values{"item": {"tea"}})
	send("GET", "/orders", nil)
	send("POST", "/sign-in", url.Values{"name": {"alice"}, "password": {"correct"}})
	send("GET", "/orders", nil)
	clock.Advance(31 * time.Minute)
	send("GET", "/orders", nil)
	// Output:
	// POST /cart 200
	// GET /orders 401 Unauthorized
	// POST /sign-in 303
	// GET /orders 200 alice: tea
	// GET /orders 401 Unauthorized
}

// exampleTB lets an example use sessiontest: it has no testing.T of its own.
type exampleTB struct {
	testing.TB
	cleanups []func()
}

func (*exampleTB) Helper()                   {}
func (*exampleTB) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }
func (*exampleTB) Errorf(f string, a ...any) { fmt.Printf(f+"\n", a...) }
func (t *exampleTB) Cleanup(f func())        { t.cleanups = append(t.cleanups, f) }

func (t *exampleTB) close() {
	for i := len(t.cleanups) - 1; i >= 0; i-- {
		t.cleanups[i]()
	}
}

// Without a certificate the program of the README comes as far as listening.
func TestReadmeProgram(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := serve(t.Context()); err == nil {
		t.Error("it serves https without a certificate")
	}
	for _, name := range []string{"data/keys", "data/sessions.db"} {
		if _, err := os.Stat(name); err != nil {
			t.Error(err)
		}
	}
}
