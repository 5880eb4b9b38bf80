package counterfoil_test

import (
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/sessiontest"
)

func TestValueLimit(t *testing.T) { // S50
	m, _ := sessiontest.New(t, func(c *counterfoil.Config) { c.ValueBytes = 100 })
	r, _ := signIn(t, m, "alice")
	during(t, m, r, func(s *counterfoil.Session) {
		if err := note.Set(s, "kept"); err != nil {
			t.Error(err)
		}
		if err := note.Set(s, strings.Repeat("x", 101)); !errors.Is(err, counterfoil.ErrTooLarge) {
			t.Errorf("over the limit: %v", err)
		}
	})
	during(t, m, r, func(s *counterfoil.Session) {
		err := note.Update(s, func(old string) (string, error) { return old + strings.Repeat("y", 100), nil })
		if !errors.Is(err, counterfoil.ErrTooLarge) {
			t.Errorf("Update over the limit: %v", err)
		}
		if text, err := note.Get(s); text != "kept" || err != nil {
			t.Errorf("now %q, %v", text, err)
		}
	})
}

// Each type comes back as it went, and as nothing else.
func TestValueTypes(t *testing.T) {
	type item struct {
		Name  string
		Count int
		Tags  []string
	}
	m, _ := sessiontest.New(t)
	r, _ := signIn(t, m, "alice")
	at := time.Date(2026, 2, 3, 4, 5, 6, 7, time.UTC)
	roundTrip(t, m, r, "text", "a \"text\" \x00")
	roundTrip(t, m, r, "empty", "")
	roundTrip(t, m, r, "bytes", []byte{0, 1, 255})
	roundTrip(t, m, r, "int", -1<<62)
	roundTrip(t, m, r, "int64", int64(1<<62))
	roundTrip(t, m, r, "uint64", uint64(1<<64-1))
	roundTrip(t, m, r, "bool", true)
	roundTrip(t, m, r, "time", at)
	roundTrip(t, m, r, "struct", item{"a", 2, []string{"x"}})
	roundTrip(t, m, r, "list", []item{{Name: "b"}, {Count: 7}})
	roundTrip(t, m, r, "map", map[string]int{"a": 1})
	during(t, m, r, func(s *counterfoil.Session) {
		if v, err := counterfoil.NewKey[int]("text").Get(s); err == nil {
			t.Errorf("a string was read as %d", v)
		}
		if v, err := counterfoil.NewKey[string]("struct").Get(s); err == nil {
			t.Errorf("a struct was read as %q", v)
		}
		if v, err := counterfoil.NewKey[item]("int").Get(s); err == nil {
			t.Errorf("a number was read as %v", v)
		}
		err := counterfoil.NewKey[int]("text").Update(s, func(int) (int, error) { return 1, nil })
		if err == nil {
			t.Error("Update wrote over another type")
		}
		list := counterfoil.NewKey[[]item]("list")
		first, _ := list.Get(s)
		first[0].Name = "changed"
		if again, _ := list.Get(s); again[0].Name != "b" {
			t.Error("what Get returns is shared")
		}
		if err := counterfoil.NewKey[func()]("func").Set(s, nil); err == nil {
			t.Error("a function was stored")
		}
	})
	for _, name := range []string{"", "Upper", "sp ace", strings.Repeat("x", 65)} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("NewKey took %q", name)
				}
			}()
			counterfoil.NewKey[int](name)
		}()
	}
}

func roundTrip[T any](t *testing.T, m *counterfoil.Manager, r *http.Request, name string, v T) {
	t.Helper()
	key := counterfoil.NewKey[T](name)
	during(t, m, r, func(s *counterfoil.Session) {
		if err := key.Set(s, v); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := s.Commit(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	})
	during(t, m, r, func(s *counterfoil.Session) {
		if got, err := key.Get(s); err != nil || !reflect.DeepEqual(got, v) {
			t.Errorf("%s: %v became %v, %v", name, v, got, err)
		}
	})
	during(t, m, r, func(s *counterfoil.Session) {
		fault := errors.New("not today")
		if err := key.Update(s, func(T) (T, error) { return v, fault }); !errors.Is(err, fault) {
			t.Errorf("%s: the error of the function became %v", name, err)
		}
	})
}

func TestDelete(t *testing.T) {
	m, _ := sessiontest.New(t)
	r, _ := signIn(t, m, "alice")
	during(t, m, r, func(s *counterfoil.Session) { note.Set(s, "a"); count.Set(s, 1) })
	during(t, m, r, func(s *counterfoil.Session) {
		if err := note.Delete(s); err != nil {
			t.Error(err)
		}
	})
	during(t, m, r, func(s *counterfoil.Session) {
		text, err := note.Get(s)
		n, err2 := count.Get(s)
		if text != "" || n != 1 || err != nil || err2 != nil {
			t.Errorf("%q %d %v %v", text, n, err, err2)
		}
	})
}
