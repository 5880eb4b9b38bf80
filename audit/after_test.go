package audit_test

import (
	"bytes"
	"context"
	"slices"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
)

// What follows a position is told, in its log and in those after it; where the file does not tell all
// of it, that is said.
func TestAfter(t *testing.T) {
	r := newRig(t)
	ctx := context.Background()
	position := func() audit.Position {
		p, err := r.store.Store.Log(ctx, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		return audit.Position{Log: p.Incarnation, Seq: p.Head}
	}
	at := map[string]audit.Position{"the beginning": position()}
	r.run(func(*audit.Exporter) {
		r.end("alice")
		at["after alice"] = position()
		r.end("bob")
	})
	at["after bob"] = position()
	if err := r.store.Store.Renew(ctx); err != nil {
		t.Fatal(err)
	}
	at["another log"] = position()
	r.run(func(*audit.Exporter) { r.end("carol") })
	at["the end"] = position()
	full := r.bytes()
	r.end("dave") // is not exported
	at["later than the file"] = position()
	at["an unknown log"] = audit.Position{Log: "none", Seq: 1}
	after := func(file []byte, name string) (who []string, whole bool) {
		rep, whole, err := audit.After(bytes.NewReader(file), r.keys.AuditKey(), nil, at[name], func(l audit.Line) {
			if l.Kind == string(counterfoil.EventEndedMany) {
				who = append(who, l.Subject)
			}
		})
		if err != nil || rep.Broken != 0 {
			t.Fatalf("%s: %+v, %v", name, rep, err)
		}
		return who, whole
	}
	for name, want := range map[string][]string{
		"the beginning": {"alice", "bob", "carol"}, "after alice": {"bob", "carol"}, "after bob": {"carol"},
		"another log": {"carol"}, "the end": nil,
	} {
		if got, whole := after(full, name); !whole || !slices.Equal(got, want) {
			t.Errorf("%s: %v, whole %v; want %v", name, got, whole, want)
		}
	}
	for _, name := range []string{"later than the file", "an unknown log"} {
		if got, whole := after(full, name); whole || got != nil {
			t.Errorf("%s: %v, whole %v; the file cannot know", name, got, whole)
		}
	}
	// A gap after the position, and one over it, are no whole account.
	if err := r.store.Store.Forget(ctx, audit.Reader); err != nil {
		t.Fatal(err)
	}
	if _, err := r.store.Store.Reap(ctx, counterfoil.Reap{Before: start.Add(-time.Hour), LogBefore: start.Add(time.Hour), Max: 1}); err != nil {
		t.Fatal(err)
	}
	r.run(func(*audit.Exporter) { r.end("erin") })
	if _, whole := after(r.bytes(), "after alice"); whole {
		t.Error("a gap after the position is passed over")
	}
	if _, whole := after(r.bytes(), "the end"); whole {
		t.Error("a gap right after the position is passed over")
	}
	if got, whole := after(r.bytes(), "later than the file"); !whole || !slices.Equal(got, []string{"erin"}) {
		t.Errorf("behind the gap: %v, whole %v", got, whole)
	}
}
