package audit_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/audit"
)

// Each of several nodes on one store keeps a whole audit of its own, and neither is in the other's
// way.
func TestEachNodeItsOwn(t *testing.T) { // G8
	r := newRig(t)
	open := func(name string) (*audit.Exporter, string) {
		cfg := r.config()
		cfg.Name, cfg.Path = name, filepath.Join(t.TempDir(), "audit.jsonl")
		x, err := audit.Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		return x, cfg.Path
	}
	a, pathA := open("node-a")
	b, pathB := open("node-b")
	for _, who := range []string{"alice", "bob"} {
		r.end(who)
		r.flush(a)
		r.flush(b)
	}
	r.close(a)
	r.close(b)
	for name, path := range map[string]string{"node-a": pathA, "node-b": pathB} {
		note, err := r.store.Store.Meta(t.Context(), audit.TailKeyOf(name))
		if err != nil || note == nil {
			t.Fatalf("%s: note %q, %v", name, note, err)
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if rep := verify(t, strings.NewReader(string(raw)), r.keys, note); rep.Broken != 0 {
			t.Errorf("%s: %+v", name, rep)
		}
		if n := strings.Count(string(raw), `"ended`); n < 2 {
			t.Errorf("%s has %d ends, want both:\n%s", name, n, raw)
		}
	}
}
