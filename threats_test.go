package counterfoil_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/sessiontest"
)

// A token is good under its own cookie and in its own realm alone. P41, T12
func TestTokensStayInTheirPlace(t *testing.T) {
	var cfg counterfoil.Config
	people, _ := sessiontest.New(t, func(c *counterfoil.Config) { cfg = *c })
	cfg.Cookie = counterfoil.Cookie{Name: "__Host-Http-staff", VisitName: "__Host-Http-staff-visit"}
	staff, err := counterfoil.New(t.Context(), cfg) // on the same store, with the same keys
	if err != nil {
		t.Fatal(err)
	}
	defer staff.Close(t.Context())

	signedIn := httptest.NewRequest("GET", "/", nil)
	sessiontest.SignIn(t, people, signedIn, counterfoil.Identity{Subject: "alice"})
	visiting := httptest.NewRequest("GET", "/", nil)
	w := httptest.NewRecorder()
	people.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := Theme.Set(people.FromContext(r.Context()), "dark"); err != nil {
			t.Error(err)
		}
	})).ServeHTTP(w, visiting)
	sessiontest.Follow(t, w.Result(), visiting)

	for _, c := range []struct {
		name   string
		m      *counterfoil.Manager
		from   *http.Request
		as     string
		admits bool
	}{
		{"its own place", people, signedIn, "__Host-Http-session", true},
		{"a signed-in one as a visitor's", people, signedIn, "__Host-Http-visit", false},
		{"a visitor's, in its own place", people, visiting, "__Host-Http-visit", true},
		{"a visitor's as a signed-in one", people, visiting, "__Host-Http-session", false},
		{"in another realm", staff, signedIn, "__Host-Http-staff", false},
		{"a visitor's in another realm", staff, visiting, "__Host-Http-staff-visit", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, token, _ := strings.Cut(c.from.Header.Get("Cookie"), "=")
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("Cookie", c.as+"="+token)
			if _, verdict := c.m.Check(r); (verdict == counterfoil.Valid) != c.admits {
				t.Errorf("verdict %d, want admitted: %v", verdict, c.admits)
			}
		})
	}
}

// Who can write to the store and has no keys cannot put one session's parts into another. P30
func TestPartsStayInTheirRecord(t *testing.T) {
	var other *counterfoil.Record
	for name, put := range map[string]func(r *counterfoil.Record){
		"the identity": func(r *counterfoil.Record) {
			r.Identity, r.IdentityKey, r.IdentityCount = other.Identity, other.IdentityKey, other.IdentityCount
		},
		"the identity and all that is clear": func(r *counterfoil.Record) {
			id := r.ID
			*r = *other.Clone()
			r.ID = id
		},
		"the values": func(r *counterfoil.Record) {
			r.Values, r.ValuesKey, r.ValuesCount = other.Values, other.ValuesKey, other.ValuesCount
		},
	} {
		t.Run(name, func(t *testing.T) {
			other = nil
			var store counterfoil.Store
			mallorys := httptest.NewRequest("GET", "/", nil)
			sessions, _ := sessiontest.New(t, func(c *counterfoil.Config) {
				c.CacheBytes, store = -1, c.Store
				c.Store = tampering{store, func(r *counterfoil.Record) {
					if other != nil && r.ID != other.ID {
						put(r)
					}
				}}
			})
			h := sessions.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				s := sessions.FromContext(r.Context())
				theme, err := Theme.Get(s)
				if err == nil && r.Method == "POST" {
					err = Theme.Set(s, s.Subject()+"'s")
				}
				w.Header().Set("X-Saw", s.Subject()+" "+theme)
				if err != nil && !errors.Is(err, counterfoil.ErrUnavailable) {
					w.Header().Set("X-Saw", "error")
				}
			}))
			send := func(method string, r *http.Request) string {
				r.Method = method
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				return w.Header().Get("X-Saw")
			}
			alices := httptest.NewRequest("GET", "/", nil)
			info := sessiontest.SignIn(t, sessions, alices, counterfoil.Identity{Subject: "alice"})
			sessiontest.SignIn(t, sessions, mallorys, counterfoil.Identity{Subject: "mallory"})
			send("POST", alices)
			send("POST", mallorys)
			if got := send("GET", mallorys); got != "mallory mallory's" {
				t.Fatalf("untouched: %q", got)
			}
			rec, err := store.Load(t.Context(), info.ID)
			if err != nil {
				t.Fatal(err)
			}
			other = rec // from now on the store hands out mallory's record with alice's parts
			if got := send("GET", mallorys); strings.Contains(got, "alice") {
				t.Errorf("mallory sees %q", got)
			}
		})
	}
}
