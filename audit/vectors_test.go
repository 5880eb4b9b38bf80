package audit_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"regexp"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
)

var update = flag.Bool("update", false, "write the vectors anew")

const vectors = "../testdata/vectors/"

// vector is audit.json beside the files.
type vector struct {
	AuditKey string          `json:"audit_key"` // 32 bytes in hex
	File     string          `json:"file"`
	Note     json.RawMessage `json:"note"` // what the store keeps under audit.tail
	Lines    int             `json:"lines"`
	Torn     int             `json:"torn"`
}

// The published files verify with this package and, by the words of the documentation alone, without.
func TestVectors(t *testing.T) {
	if *update {
		writeVectors(t)
	}
	raw, err := os.ReadFile(vectors + "audit.json")
	must(t, err)
	var all []vector
	must(t, json.Unmarshal(raw, &all))
	if len(all) != 2 {
		t.Fatalf("%d vectors, want 2", len(all))
	}
	for _, v := range all {
		file, err := os.ReadFile(vectors + v.File)
		must(t, err)
		var key [32]byte
		if n, err := hex.Decode(key[:], []byte(v.AuditKey)); n != 32 || err != nil {
			t.Fatal(n, err)
		}
		rep, err := audit.Verify(bytes.NewReader(file), &key, v.Note)
		must(t, err)
		if want := (audit.Report{Lines: v.Lines, Torn: v.Torn}); rep != want {
			t.Errorf("%s: %+v, want %+v", v.File, rep, want)
		}
		if good := recompute(t, key[:], file); good != v.Lines-v.Torn {
			t.Errorf("%s: %d lines have the MAC that the documentation says, want %d", v.File, good, v.Lines-v.Torn)
		}
	}
}

// recompute counts the lines whose MACs follow from the documented rule.
func recompute(t *testing.T, root, file []byte) (good int) {
	t.Helper()
	sum := func(key []byte, parts ...[]byte) []byte {
		h := hmac.New(sha256.New, key)
		h.Write(bytes.Join(parts, nil))
		return h.Sum(nil)
	}
	form := regexp.MustCompile(`^(\{"v":1,"chain":"([0-9a-f]{32})",.*"kind":"(\w[\w-]*)".*),"mac":"([\w-]{43})"\}$`)
	var key, before []byte
	for text := range bytes.SplitSeq(bytes.TrimSuffix(file, []byte("\n")), []byte("\n")) {
		m := form.FindSubmatch(text)
		if m == nil {
			continue
		}
		if kind := string(m[3]); kind == "begin" || kind == "recover" {
			id, err := hex.DecodeString(string(m[2]))
			must(t, err)
			if !bytes.Equal(id[8:], sum(root, []byte("counterfoil audit 1 name"), id[:8])[:8]) {
				t.Errorf("chain %s has another tag", m[2])
			}
			key, before = sum(root, []byte("counterfoil audit 1 chain"), id), make([]byte, 32)
		}
		before = sum(key, before, m[1])
		key = sum(key, []byte("next"))
		if base64.RawURLEncoding.EncodeToString(before) == string(m[4]) {
			good++
		}
	}
	return good
}

func writeVectors(t *testing.T) {
	r := newRig(t)
	var all []vector
	keep := func(name string) {
		rep := r.whole()
		must(t, os.WriteFile(vectors+name, r.bytes(), 0o644))
		all = append(all, vector{hex.EncodeToString(r.keys.AuditKey()[:]), name, r.note(), rep.Lines, rep.Torn})
	}
	r.run(func(x *audit.Exporter) {
		r.end("alice")
		x.Record(counterfoil.Event{
			Kind: counterfoil.EventRefused, Reason: counterfoil.ReasonForged, Time: start,
			Session: counterfoil.Info{ID: counterfoil.ID{1}, Subject: "bob\u202e\n", IP: "192.0.2.7", Label: "Firefox on Linux"},
		})
		r.end("key gone")
	})
	r.run(func(*audit.Exporter) { r.end("carol") })
	keep("audit.jsonl")
	must(t, os.WriteFile(r.path, append(r.bytes(), `{"v":1,"chain":"0123`...), 0o600))
	r.run(func(*audit.Exporter) { r.end("dave") })
	keep("audit-recovered.jsonl")
	raw, err := json.MarshalIndent(all, "", "\t")
	must(t, err)
	must(t, os.WriteFile(vectors+"audit.json", append(raw, '\n'), 0o644))
}
