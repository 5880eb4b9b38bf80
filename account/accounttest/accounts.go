package accounttest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/counterfoil/counterfoil/account"
)

var accounts = map[string]func(*testing.T, account.Store){
	"Add sets the revision to 1 and Get returns the whole account": func(t *testing.T, s account.Store) {
		a := add(t, s, "alice")
		if a.Revision != 1 {
			t.Errorf("Revision %d", a.Revision)
		}
		same(t, get(t, s, "alice"), a)
	},
	"Add of a taken name is ErrExists and changes nothing": func(t *testing.T, s account.Store) {
		a := add(t, s, "alice")
		b := someone("alice")
		b.Password = "other"
		if err := s.Add(context.Background(), b, false); !errors.Is(err, account.ErrExists) {
			t.Errorf("got %v, want ErrExists", err)
		}
		same(t, get(t, s, "alice"), a)
	},
	"Add onlyFirst takes the first account and refuses a second": func(t *testing.T, s account.Store) {
		ctx := context.Background()
		if err := s.Add(ctx, someone("alice"), true); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"alice", "bob"} {
			if err := s.Add(ctx, someone(name), true); !errors.Is(err, account.ErrNotFirst) {
				t.Errorf("%s: got %v, want ErrNotFirst", name, err)
			}
		}
		if _, err := s.Get(ctx, "bob"); !errors.Is(err, account.ErrNotFound) {
			t.Errorf("got %v, want ErrNotFound", err)
		}
	},
	"Get of nobody is ErrNotFound": func(t *testing.T, s account.Store) {
		if a, err := s.Get(context.Background(), "nobody"); !errors.Is(err, account.ErrNotFound) || a != nil {
			t.Errorf("got %v, %v", a, err)
		}
	},
	"the caller owns what it gets and what it gave": func(t *testing.T, s account.Store) {
		a := add(t, s, "alice")
		want := *a
		a.Password = "changed"
		get(t, s, "alice").Disabled = true
		same(t, get(t, s, "alice"), &want)
	},
	"Update at the revision replaces the account and raises both revisions": func(t *testing.T, s account.Store) {
		a := add(t, s, "alice")
		a.Operator, a.Disabled, a.Password, a.Epoch, a.Changed = false, true, "new", 2, start.AddDate(0, 0, 1)
		if err := s.Update(context.Background(), a); err != nil {
			t.Fatal(err)
		}
		if a.Revision != 2 {
			t.Errorf("Revision %d", a.Revision)
		}
		same(t, get(t, s, "alice"), a)
	},
	"Update at another revision is ErrConflict and changes nothing": func(t *testing.T, s account.Store) {
		a := add(t, s, "alice")
		for _, revision := range []uint64{0, 2} {
			b := *a
			b.Password, b.Revision = "other", revision
			if err := s.Update(context.Background(), &b); !errors.Is(err, account.ErrConflict) {
				t.Errorf("got %v, want ErrConflict", err)
			}
			if b.Revision != revision {
				t.Errorf("Revision became %d", b.Revision)
			}
		}
		same(t, get(t, s, "alice"), a)
	},
	"Update of nobody is ErrNotFound and inserts nothing": func(t *testing.T, s account.Store) {
		a := someone("nobody")
		a.Revision = 1
		if err := s.Update(context.Background(), a); !errors.Is(err, account.ErrNotFound) {
			t.Errorf("got %v, want ErrNotFound", err)
		}
		if _, err := s.Get(context.Background(), "nobody"); !errors.Is(err, account.ErrNotFound) {
			t.Errorf("got %v, want ErrNotFound", err)
		}
	},
	"All yields the accounts in order of name, each once": func(t *testing.T, s account.Store) {
		var want []string
		for i := range 150 {
			want = append(want, fmt.Sprintf("user%03d", (i*37)%150))
			add(t, s, want[i])
		}
		slices.Sort(want)
		var got []string
		for a, err := range s.All(context.Background()) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, a.Name)
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %d names %v", len(got), got)
		}
		for range s.All(context.Background()) {
			break // frees everything
		}
		add(t, s, "zoe")
	},
	"a context that is over ends every call with its error": func(t *testing.T, s account.Store) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, getErr := s.Get(ctx, "alice")
		_, _, attemptErr := s.Attempt(ctx, "k", start, window, 1)
		_, takeErr := s.TakeLink(ctx, [32]byte{}, start)
		for name, err := range map[string]error{
			"Add": s.Add(ctx, someone("alice"), false), "Get": getErr, "Update": s.Update(ctx, someone("alice")),
			"Attempt": attemptErr, "Forgive": s.Forgive(ctx, "k", start), "PutLink": s.PutLink(ctx, account.Link{}),
			"TakeLink": takeErr, "Tidy": s.Tidy(ctx, start),
		} {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s: got %v, want context.Canceled", name, err)
			}
		}
		if _, err := s.Get(context.Background(), "alice"); !errors.Is(err, account.ErrNotFound) {
			t.Errorf("got %v, want ErrNotFound", err)
		}
	},
}
