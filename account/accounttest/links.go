package accounttest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil/account"
)

func put(t *testing.T, s account.Store, l account.Link) {
	t.Helper()
	if err := s.PutLink(context.Background(), l); err != nil {
		t.Fatalf("PutLink: %v", err)
	}
}

func gone(t *testing.T, s account.Store, hash [32]byte, now time.Time) {
	t.Helper()
	if l, err := s.TakeLink(context.Background(), hash, now); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("TakeLink: %+v, %v; want ErrNotFound", l, err)
	}
}

func taken(t *testing.T, s account.Store, want account.Link, now time.Time) {
	t.Helper()
	got, err := s.TakeLink(context.Background(), want.Hash, now)
	if err != nil {
		t.Fatalf("TakeLink: %v", err)
	}
	if !got.Expires.Equal(want.Expires) {
		t.Errorf("Expires %v, want %v", got.Expires, want.Expires)
	}
	if got.Expires = want.Expires; got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

var links = map[string]func(*testing.T, account.Store){
	"TakeLink returns the link and removes it": func(t *testing.T, s account.Store) {
		l := account.Link{Hash: [32]byte{7}, Purpose: "set-up", Subject: "alice", Expires: start.Add(time.Minute)}
		put(t, s, l)
		gone(t, s, [32]byte{8}, start)
		taken(t, s, l, start)
		gone(t, s, l.Hash, start)
	},
	"TakeLink refuses from the moment of expiry on": func(t *testing.T, s account.Store) {
		l := account.Link{Hash: [32]byte{7}, Expires: start.Add(time.Minute)}
		put(t, s, l)
		gone(t, s, l.Hash, l.Expires)
		put(t, s, l)
		taken(t, s, l, l.Expires.Add(-time.Millisecond))
	},
	"PutLink of the same hash replaces the link": func(t *testing.T, s account.Store) {
		l := account.Link{Hash: [32]byte{7}, Purpose: "set-up", Subject: "alice", Expires: start.Add(time.Minute)}
		put(t, s, l)
		put(t, s, l) // repeated
		l.Subject, l.Expires = "bob", start.Add(time.Hour)
		put(t, s, l)
		taken(t, s, l, start)
		gone(t, s, l.Hash, start)
	},
	"Links yields each link once": func(t *testing.T, s account.Store) {
		want := map[account.Link]bool{}
		for i := range 150 {
			l := account.Link{Hash: [32]byte{byte(i), 0, 255}, Purpose: "set-up", Subject: fmt.Sprint(i), Expires: start.Add(time.Duration(i%7) * time.Minute)}
			put(t, s, l)
			want[l] = true
		}
		for l, err := range s.Links(context.Background()) {
			if err != nil {
				t.Fatal(err)
			}
			if l.Expires = l.Expires.UTC(); !want[l] {
				t.Errorf("%+v is not one of them, or comes twice", l)
			}
			delete(want, l)
		}
		if len(want) > 0 {
			t.Errorf("%d are missing", len(want))
		}
		for range s.Links(context.Background()) {
			break // is allowed
		}
	},
	"PutLink removes older links of the same purpose and subject alone": func(t *testing.T, s account.Store) {
		end := start.Add(time.Minute)
		old := account.Link{Hash: [32]byte{1}, Purpose: "set-up", Subject: "alice", Expires: end}
		purpose := account.Link{Hash: [32]byte{2}, Purpose: "other", Subject: "alice", Expires: end}
		subject := account.Link{Hash: [32]byte{3}, Purpose: "set-up", Subject: "bob", Expires: end}
		last := account.Link{Hash: [32]byte{4}, Purpose: "set-up", Subject: "alice", Expires: end}
		for _, l := range []account.Link{old, purpose, subject, last} {
			put(t, s, l)
		}
		gone(t, s, old.Hash, start)
		for _, l := range []account.Link{purpose, subject, last} {
			taken(t, s, l, start)
		}
	},
}
