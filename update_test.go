package counterfoil_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/sessiontest"
)

// The function given to Update may use its session: a request that waited for itself would never
// end, and a few of them would stop the program.
func TestUpdateMayUseItsSession(t *testing.T) {
	m, _ := sessiontest.New(t)
	token, _ := tokenOf(t, m, "alice")
	inUpdate := func(f func(s *counterfoil.Session) error) (n int, err error) {
		over := make(chan struct{})
		go func() {
			defer close(over)
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("Cookie", "__Host-Http-session="+token)
			m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				s := m.FromContext(r.Context())
				err = count.Update(s, func(n int) (int, error) { return n + 1, f(s) })
				n, _ = count.Get(s)
			})).ServeHTTP(httptest.NewRecorder(), r)
		}()
		select {
		case <-over:
			return n, err
		case <-time.After(5 * time.Minute):
			t.Fatal("it waits for itself")
			return 0, nil
		}
	}
	if n, err := inUpdate(func(s *counterfoil.Session) error {
		_, err := note.Get(s)
		return errors.Join(err, note.Set(s, "x"))
	}); n != 1 || err != nil {
		t.Errorf("reading and setting another value: %d, %v", n, err)
	}
	if _, err := inUpdate(func(s *counterfoil.Session) error {
		return count.Update(s, func(n int) (int, error) { return n + 10, nil })
	}); err == nil {
		t.Error("an update within an update of the same value went well, though one of them is lost")
	}
	if _, err := inUpdate(func(*counterfoil.Session) error { return errors.New("no") }); err == nil || err.Error() != "no" {
		t.Errorf("an error came back as %v", err)
	}
	if _, err := inUpdate(func(s *counterfoil.Session) error {
		return s.SignIn(counterfoil.Identity{Subject: "bob"})
	}); !errors.Is(err, counterfoil.ErrEnded) {
		t.Errorf("signed in as somebody else meanwhile: %v", err)
	}
}

// Who is overtaken at every try is told so in the end, with 409: nothing of it was written, and nothing
// of the others' is lost. PD9
func TestOvertakenUpdate(t *testing.T) {
	m, _ := sessiontest.New(t)
	token, _ := tokenOf(t, m, "alice")
	request := func(do func(s *counterfoil.Session) error) (err error) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Cookie", "__Host-Http-session="+token)
		m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			err = do(m.FromContext(r.Context()))
		})).ServeHTTP(httptest.NewRecorder(), r)
		return err
	}
	tries := 0
	err := request(func(s *counterfoil.Session) error {
		return count.Update(s, func(n int) (int, error) {
			tries++
			return n + 1000, request(func(other *counterfoil.Session) error {
				return count.Update(other, func(n int) (int, error) { return n + 1, nil })
			})
		})
	})
	if !errors.Is(err, counterfoil.ErrConflict) || errors.Is(err, counterfoil.ErrUnavailable) || tries < 2 {
		t.Errorf("%v after %d tries", err, tries)
	}
	if code := counterfoil.RefusalStatus(err); code != http.StatusConflict {
		t.Errorf("status %d", code)
	}
	var n int
	if err := request(func(s *counterfoil.Session) (err error) {
		n, err = count.Get(s)
		return err
	}); err != nil || n != tries {
		t.Errorf("%d, %v; want the others' %d", n, err, tries)
	}
}
