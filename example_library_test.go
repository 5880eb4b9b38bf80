package counterfoil_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/sessiontest"
)

// The pieces of docs/library.md; TestPages holds the page to them.

// begin configure
func openSessions(ctx context.Context, store counterfoil.Store, keys *keyring.Ring) (*counterfoil.Manager, error) {
	return counterfoil.New(ctx, counterfoil.Config{
		Store:  store,
		Keys:   keys,
		Policy: counterfoil.Policy{Idle: 20 * time.Minute, Absolute: 10 * time.Hour, PerSubject: 5},
		Cookie: counterfoil.Cookie{Persistent: true}, // Max-Age up to the absolute end
		Background: func(r *http.Request) bool {
			return r.URL.Path == "/poll" // the page asks by itself: no sign of a user
		},
		Observe: func(e counterfoil.Event) {
			if e.Kind == counterfoil.EventEnded && e.Reason == counterfoil.ReasonReplayed {
				slog.Warn("a session token is in two hands", "user", e.Session.Subject, "session", e.Session.ID)
			}
		},
	})
}

// end configure

// begin values

// Theme and Visits are values of every session.
var (
	Theme  = counterfoil.NewKey[string]("theme")
	Visits = counterfoil.NewKey[int]("visits")
)

func page(sessions *counterfoil.Manager) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s := sessions.FromContext(r.Context())
		theme, err := Theme.Get(s) // "" if there is none; an error never means "absent"
		if err == nil && theme == "" {
			err = Theme.Set(s, "light") // written with the answer
		}
		if err == nil { // written at once, from what is stored: no parallel request is lost
			err = Visits.Update(s, func(n int) (int, error) { return n + 1, nil })
		}
		if err != nil {
			http.Error(w, "try again", counterfoil.RefusalStatus(err))
			return
		}
		fmt.Fprintln(w, theme)
	}
}

// end values

// begin sign-in

// Users checks passwords. Version counts how often a user's password was changed, from 1.
type Users interface {
	Check(name, password string) (version uint64, ok bool)
	Change(name, password string) (version uint64, err error)
}

var errWrong = errors.New("wrong name or password")

func checkedSignIn(sessions *counterfoil.Manager, users Users, r *http.Request) error {
	s := sessions.FromContext(r.Context())
	for again := true; ; again = false {
		mark, err := sessions.Mark(r.Context()) // before the password is looked at
		if err != nil {
			return err
		}
		version, ok := users.Check(r.FormValue("name"), r.FormValue("password"))
		if !ok {
			return errWrong
		}
		err = s.SignIn(counterfoil.Identity{
			Subject: r.FormValue("name"), Methods: []string{"pwd"}, Since: mark, Epoch: version,
		})
		if !again || !errors.Is(err, counterfoil.ErrSuperseded) {
			return err
		}
	}
}

// end sign-in

// begin password
func changePassword(sessions *counterfoil.Manager, users Users, r *http.Request) error {
	s := sessions.FromContext(r.Context())
	name := s.Subject()
	if _, ok := users.Check(name, r.FormValue("current")); !ok {
		return errWrong
	}
	if _, err := Theme.Get(s); err != nil { // reads all values, while the session still lives
		return err
	}
	version, err := users.Change(name, r.FormValue("new")) // first the credential,
	if err != nil {
		return err
	}
	ctx := context.WithoutCancel(r.Context())                // what is begun is finished;
	olderThan := counterfoil.AllOf(name).Before(version)     // then every session of an older one,
	if err := revoke(ctx, sessions, olderThan); err != nil { // this one included;
		return err
	}
	mark, err := sessions.Mark(ctx)
	if err != nil {
		return err
	}
	return s.SignIn(counterfoil.Identity{ // and a new session for who asked
		Subject: name, Methods: []string{"pwd"}, Since: mark, Epoch: version, KeepAll: true,
	})
}

func revoke(ctx context.Context, sessions *counterfoil.Manager, t counterfoil.Target) (err error) {
	for range 10 { // an unknown outcome: once more is safe
		if _, err = sessions.Revoke(ctx, t, counterfoil.ReasonPasswordChanged); !errors.Is(err, counterfoil.ErrUnavailable) {
			return err
		}
	}
	return err
}

// end password

// begin require
func routes(sessions *counterfoil.Manager, transfer, admin http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST /transfer", sessions.Require(counterfoil.Fresh(5*time.Minute))(transfer))
	mux.Handle("/admin/", sessions.Require(counterfoil.Level(2), admins)(admin))
	return http.NewCrossOriginProtection().Handler(sessions.Handler(mux))
}

// admins is a condition like any other.
func admins(v counterfoil.View, _ time.Time) error {
	if v.Subject() != "root" {
		return fmt.Errorf("%w: for administrators", counterfoil.ErrForbidden)
	}
	return nil
}

// end require

// begin confirm
func transfer(sessions *counterfoil.Manager, act func(user string) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s := sessions.FromContext(r.Context())
		err := s.Confirm(r.Context()) // asks the store: was it ended a moment ago, anywhere?
		if err == nil {
			err = act(s.Subject())
		}
		if err != nil {
			http.Error(w, "not done", counterfoil.RefusalStatus(err))
		}
	}
}

// end confirm

// begin check
func forwardAuth(sessions *counterfoil.Manager) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch v, verdict := sessions.Check(r); {
		case verdict == counterfoil.Unknown:
			w.Header().Set("Retry-After", "5")
			w.WriteHeader(http.StatusServiceUnavailable)
		case verdict == counterfoil.Valid && v.SignedIn():
			w.Header().Set("X-User", v.Subject())
		default:
			w.WriteHeader(http.StatusUnauthorized)
		}
	}
}

// end check

// begin stream
func news(sessions *counterfoil.Manager, feed func() <-chan string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s := sessions.FromContext(r.Context())
		if !s.SignedIn() {
			http.Error(w, "sign in first", http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for lines := feed(); ; {
			select {
			case line := <-lines:
				fmt.Fprintf(w, "data: %s\n\n", line)
				if http.NewResponseController(w).Flush() != nil {
					return
				}
			case <-s.Done(): // signed out, revoked, expired: wherever, why ever
				fmt.Fprintf(w, "event: over\ndata: %s\n\n", s.Cause())
				return
			case <-r.Context().Done():
				return
			}
		}
	}
}

// end stream

// begin two
func two(ctx context.Context, store counterfoil.Store, keys *keyring.Ring) (people, staff *counterfoil.Manager, err error) {
	people, err = counterfoil.New(ctx, counterfoil.Config{Store: store, Keys: keys})
	if err != nil {
		return nil, nil, err
	}
	staff, err = counterfoil.New(ctx, counterfoil.Config{
		Store: store, Keys: keys, Policy: counterfoil.AAL3(),
		Cookie: counterfoil.Cookie{Name: "__Host-Http-staff", VisitName: "__Host-Http-staff-visit"},
	})
	return people, staff, err
}

func both(people, staff *counterfoil.Manager, site, admin http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", site)
	mux.Handle("/admin/", staff.Require()(admin))
	return people.Handler(staff.Handler(mux)) // each finds its own session by its own FromContext
}

// end two

// begin list
func mySessions(sessions *counterfoil.Manager) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s := sessions.FromContext(r.Context())
		var list []string
		for info, err := range sessions.List(r.Context(), s.Subject()) {
			if err != nil {
				http.Error(w, "try again", counterfoil.RefusalStatus(err))
				return
			}
			list = append(list, info.ID.String()+" "+info.Label)
		}
		json.NewEncoder(w).Encode(list)
	}
}

func endOne(sessions *counterfoil.Manager) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id, err := counterfoil.ParseID(r.FormValue("id"))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		mine := counterfoil.AllOf(sessions.FromContext(r.Context()).Subject()).Only(id)
		done, err := sessions.Revoke(r.Context(), mine, counterfoil.ReasonRevoked)
		if err == nil {
			_, err = done.Wait(r.Context()) // until no node lets it in any more
		}
		if errors.Is(err, counterfoil.ErrNotFound) { // none, or somebody else's: the same answer
			http.NotFound(w, r)
		} else if err != nil {
			http.Error(w, "try again", http.StatusServiceUnavailable)
		}
	}
}

// end list

// begin refuse
func refuse(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, counterfoil.ErrNotSignedIn):
		http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
	case errors.Is(err, counterfoil.ErrStepUp):
		http.Redirect(w, r, "/confirm", http.StatusSeeOther)
	default:
		code := counterfoil.RefusalStatus(err)
		if code == http.StatusServiceUnavailable || code == http.StatusTooManyRequests {
			w.Header().Set("Retry-After", "5")
		}
		http.Error(w, http.StatusText(code), code)
	}
}

// end refuse

// begin testing
func TestOrders(t *testing.T) {
	sessions, clock := sessiontest.New(t)
	h := shop(sessions, checkPassword)

	r := httptest.NewRequest("GET", "/orders", nil)
	sessiontest.SignIn(t, sessions, r, counterfoil.Identity{Subject: "alice"})
	if w := httptest.NewRecorder(); true {
		h.ServeHTTP(w, r) // all the way that a real request takes
		if w.Code != http.StatusOK {
			t.Errorf("signed in: %d", w.Code)
		}
	}
	clock.Advance(31 * time.Minute)
	if w := httptest.NewRecorder(); true {
		h.ServeHTTP(w, r)
		if w.Code != http.StatusUnauthorized {
			t.Errorf("idle for too long: %d", w.Code)
		}
	}
}

// end testing

// begin outage
func TestOrdersWithoutStore(t *testing.T) {
	broken := false
	sessions, _ := sessiontest.New(t, func(c *counterfoil.Config) {
		c.CacheBytes = -1 // ask the store each time
		c.Store = sessiontest.Flaky(c.Store, func(string) error {
			if broken {
				return errors.New("no route to host")
			}
			return nil
		})
	})
	r := httptest.NewRequest("GET", "/orders", nil)
	sessiontest.SignIn(t, sessions, r, counterfoil.Identity{Subject: "alice"})
	broken = true
	w := httptest.NewRecorder()
	shop(sessions, checkPassword).ServeHTTP(w, r)
	if w.Code != http.StatusServiceUnavailable || len(w.Header()["Set-Cookie"]) > 0 {
		t.Errorf("nobody can say whether it is alice: %d %v", w.Code, w.Header())
	}
	broken = false
}

// end outage

// memoryUsers is the Users of these examples.
type memoryUsers struct {
	password string
	version  uint64
}

func (u *memoryUsers) Check(name, password string) (uint64, bool) {
	return u.version, name == "alice" && password == u.password
}

func (u *memoryUsers) Change(_, password string) (uint64, error) {
	u.password, u.version = password, u.version+1
	return u.version, nil
}

func Example_passwordChange() {
	t := new(exampleTB)
	defer t.close()
	sessions, _ := sessiontest.New(t)
	users := &memoryUsers{"first", 1}
	mux := http.NewServeMux()
	mux.HandleFunc("/sign-in", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, checkedSignIn(sessions, users, r))
	})
	mux.HandleFunc("/change", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, changePassword(sessions, users, r))
	})
	mux.Handle("/who", sessions.Require()(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, sessions.FromContext(r.Context()).Subject())
	})))
	mux.HandleFunc("/page", page(sessions))
	h := sessions.Handler(mux)
	send := func(jar *http.Request, target string) {
		r := httptest.NewRequest("GET", target, nil)
		r.Header["Cookie"] = jar.Header["Cookie"]
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		sessiontest.Follow(t, w.Result(), jar)
		fmt.Println(strings.TrimSpace(fmt.Sprintln(target, w.Code, w.Body)))
	}
	here, there := httptest.NewRequest("GET", "/", nil), httptest.NewRequest("GET", "/", nil)
	send(here, "/sign-in?name=alice&password=first")
	send(there, "/sign-in?name=alice&password=first")
	send(here, "/page")
	send(here, "/change?current=first&new=second")
	send(here, "/who")
	send(here, "/page")
	send(there, "/who")
	send(there, "/sign-in?name=alice&password=first")
	// Output:
	// /sign-in?name=alice&password=first 200 <nil>
	// /sign-in?name=alice&password=first 200 <nil>
	// /page 200
	// /change?current=first&new=second 200 <nil>
	// /who 200 alice
	// /page 200 light
	// /who 401 Unauthorized
	// /sign-in?name=alice&password=first 200 wrong name or password
}

func Example_stream() {
	t := new(exampleTB)
	defer t.close()
	sessions, clock := sessiontest.New(t)
	lines := make(chan string, 1)
	server := httptest.NewServer(sessions.Handler(news(sessions, func() <-chan string { return lines })))
	defer server.Close()
	r, err := http.NewRequest("GET", server.URL, nil)
	if err != nil {
		t.Fatalf("%v", err)
	}
	sessiontest.SignIn(t, sessions, r, counterfoil.Identity{Subject: "alice"})
	lines <- "hello"
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatalf("%v", err)
	}
	defer answer.Body.Close()
	first := make([]byte, len("data: hello\n\n"))
	io.ReadFull(answer.Body, first)
	clock.Advance(31 * time.Minute) // a stream is no activity: the session ends idle
	rest, _ := io.ReadAll(answer.Body)
	fmt.Print(string(first), string(rest))
	// Output:
	// data: hello
	//
	// event: over
	// data: idle
}

func Example_routes() {
	t := new(exampleTB)
	defer t.close()
	sessions, clock := sessiontest.New(t, func(c *counterfoil.Config) { c.Refuse = refuse })
	h := routes(sessions, transfer(sessions, func(string) error { return nil }), mySessions(sessions))
	show := func(r *http.Request) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		fmt.Println(strings.TrimSpace(fmt.Sprintln(r.Method, r.URL.Path, w.Code, w.Header().Get("Location"))))
	}
	r := httptest.NewRequest("POST", "/transfer", nil)
	show(r)
	sessiontest.SignIn(t, sessions, r, counterfoil.Identity{Subject: "alice"})
	show(r)
	clock.Advance(6 * time.Minute)
	show(r)
	r.Method, r.URL.Path = "GET", "/admin/"
	show(r)
	sessiontest.SignIn(t, sessions, r, counterfoil.Identity{Subject: "alice", Level: 2})
	show(r)
	sessiontest.SignIn(t, sessions, r, counterfoil.Identity{Subject: "root", Level: 2})
	show(r)
	// Output:
	// POST /transfer 303 /sign-in
	// POST /transfer 200
	// POST /transfer 303 /confirm
	// GET /admin/ 303 /confirm
	// GET /admin/ 403
	// GET /admin/ 200
}

// What the pieces have no example for is called here.
func TestLibraryPieces(t *testing.T) {
	sessions, _ := sessiontest.New(t)
	r := httptest.NewRequest("GET", "/", nil)
	w := httptest.NewRecorder()
	forwardAuth(sessions)(w, r)
	if w.Code != http.StatusUnauthorized {
		t.Errorf("nobody: %d", w.Code)
	}
	info := sessiontest.SignIn(t, sessions, r, counterfoil.Identity{Subject: "alice"})
	w = httptest.NewRecorder()
	forwardAuth(sessions)(w, r)
	if w.Code != http.StatusOK || w.Header().Get("X-User") != "alice" {
		t.Errorf("alice: %d %v", w.Code, w.Header())
	}
	other := httptest.NewRequest("POST", "/?id="+info.ID.String(), nil)
	sessiontest.SignIn(t, sessions, other, counterfoil.Identity{Subject: "mallory"})
	for _, c := range []struct {
		r    *http.Request
		code int
	}{{other, http.StatusNotFound}, {r, http.StatusOK}} {
		c.r.URL.RawQuery = "id=" + info.ID.String()
		w := httptest.NewRecorder()
		sessions.Handler(endOne(sessions)).ServeHTTP(w, c.r)
		if w.Code != c.code {
			t.Errorf("%s: %d, want %d", c.r.Method, w.Code, c.code)
		}
	}
	var cfg counterfoil.Config
	sessiontest.New(t, func(c *counterfoil.Config) { cfg = *c })
	m, err := openSessions(t.Context(), cfg.Store, cfg.Keys)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close(t.Context())
	people, staff, err := two(t.Context(), cfg.Store, cfg.Keys)
	if err != nil {
		t.Fatal(err)
	}
	defer people.Close(t.Context())
	defer staff.Close(t.Context())
	h := both(people, staff, http.NotFoundHandler(), http.NotFoundHandler())
	for path, code := range map[string]int{"/": http.StatusNotFound, "/admin/": http.StatusUnauthorized} {
		r := httptest.NewRequest("GET", path, nil)
		sessiontest.SignIn(t, people, r, counterfoil.Identity{Subject: "alice"})
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != code {
			t.Errorf("%s as one of the people: %d, want %d", path, w.Code, code)
		}
	}
}
