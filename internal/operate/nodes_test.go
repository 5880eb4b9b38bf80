package operate_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/operate"
)

// A node that is gone keeps the log from being trimmed: doctor names it, and it can be struck off; this
// node, and one that nobody knows, cannot.
func TestNodes(t *testing.T) {
	b, ctx := set(t), context.Background()
	b.operations.Config.Store = "postgres://db/cf" // so that this node has a name
	here, err := operate.NodeName(b.operations.Config)
	if err != nil {
		t.Fatal(err)
	}
	store := b.operations.Store
	for _, reader := range []string{"audit." + here, "audit.gone", "else"} {
		if err := store.Acknowledge(ctx, reader, 0); err != nil {
			t.Fatal(err)
		}
	}
	b.signIn(t, "alice")
	begun, _ := b.clock.Now()
	b.clock.Advance(2 * time.Hour)
	b.signIn(t, "bob") // and alice's session was removed
	if err := store.Acknowledge(ctx, "audit."+here, 3); err != nil {
		t.Fatal(err)
	}
	list := func() (all []operate.Node) {
		t.Helper()
		if err := b.Get(ctx, "/v1/nodes", nil, &all); err != nil {
			t.Fatal(err)
		}
		return all
	}
	all := list()
	if len(all) != 2 || all[1].Name != "gone" && all[0].Name != "gone" {
		t.Fatalf("nodes %+v, want this one and the one that is gone", all)
	}
	for _, n := range all {
		switch {
		case n.Name == here && (!n.Here || n.Behind != 0 || n.Waiting != nil),
			n.Name == "gone" && (n.Here || n.Behind != 3 || n.Waiting == nil || !n.Waiting.Equal(begun)):
			t.Errorf("%+v", n)
		}
	}
	named := func() bool {
		t.Helper()
		var found []operate.Finding
		if err := b.Get(ctx, "/v1/doctor", nil, &found); err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			if strings.Contains(f.Says, "the audit of node gone") && strings.Contains(f.Fix, "node remove gone") {
				return true
			}
		}
		return false
	}
	if !named() {
		t.Error("doctor does not name the node that holds the log up")
	}
	if err := b.Post(ctx, "/v1/nodes/"+here+"/remove", nil, nil); err == nil || errors.Is(err, operate.ErrNotFound) {
		t.Errorf("this node struck itself off: %v", err)
	}
	if err := b.Post(ctx, "/v1/nodes/nobody/remove", nil, nil); !errors.Is(err, operate.ErrNotFound) {
		t.Errorf("an unknown node: %v", err)
	}
	if err := b.Post(ctx, "/v1/nodes/gone/remove", nil, nil); err != nil {
		t.Fatal(err)
	}
	if all := list(); len(all) != 1 || named() {
		t.Errorf("after it was struck off: %+v, named by doctor %v", all, named())
	}
	if err := store.Forget(ctx, "else"); err != nil { // a reader that is no node
		t.Fatal(err)
	}
	done, err := store.Reap(ctx, counterfoil.Reap{Before: begun.Add(-time.Hour), LogBefore: begun.Add(time.Hour), Max: 1})
	if err != nil || done.Entries != 2 { // alice came and went
		t.Errorf("the log is not trimmed: %+v, %v", done, err)
	}
}

// What doctor says of a store that is a server suits one.
func TestDoctorOfASharedStore(t *testing.T) {
	b := set(t)
	b.operations.Store = sharing{b.operations.Store}
	find := func(want operate.Level, says, fix string) {
		t.Helper()
		var found []operate.Finding
		if err := b.Get(context.Background(), "/v1/doctor", nil, &found); err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			if strings.Contains(f.Says+f.Fix, "its file") || strings.Contains(f.Fix, "local disk") {
				t.Errorf("of a server: %+v", f)
			}
			if f.Level == want && strings.Contains(f.Says, says) && strings.Contains(f.Fix, fix) {
				return
			}
		}
		t.Errorf("no %s with %q and %q: %+v", want, says, fix, found)
	}
	find(operate.LevelWarn, "it may forget", "tell it not to")
	find(operate.LevelFault, "not those that the other nodes", "same key file")
	b.broken = errors.New("cut off")
	find(operate.LevelFault, "does not answer", "this machine reaches it")
}

// sharing is a store of several nodes with advice.
type sharing struct{ counterfoil.Store }

func (sharing) Capabilities() counterfoil.Capabilities { return counterfoil.Capabilities{Shared: true} }

func (sharing) Advise(context.Context) ([]counterfoil.Advice, error) {
	return []counterfoil.Advice{{Says: "it may forget", Fix: "tell it not to"}}, nil
}
