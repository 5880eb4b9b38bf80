package redis

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/counterfoil/counterfoil"
)

// What stands in Redis is not trusted: whatever it is, there is a record or ErrDamaged.
func FuzzParseRecord(f *testing.F) {
	r := counterfoil.Record{Identity: []byte("sealed"), Values: []byte{}}
	f.Add(head(&r) + body(&r))
	f.Add(head(&r))
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := parseRecord(counterfoil.ID{1}, text)
		if err != nil {
			return
		}
		again, err := parseRecord(r.ID, head(r)+body(r))
		if err != nil || !reflect.DeepEqual(again, r) {
			t.Errorf("%+v is read back as %+v, %v", r, again, err)
		}
	})
}

func FuzzParseEntry(f *testing.F) {
	f.Add("7-0", []byte("kind\x003\x00why\x00idle\x00time\x001\x00exc\x000123456789abcdef"))
	f.Add("x", []byte("kind\x00300\x00time\x00\x00epoch\x00-1"))
	f.Fuzz(func(t *testing.T, id string, raw []byte) {
		var fields []string
		for _, part := range bytes.Split(raw, []byte{0}) {
			fields = append(fields, string(part))
		}
		if e, err := parseEntry(id, fields); err == nil && e.Version != counterfoil.EntryVersion {
			t.Errorf("%+v", e)
		}
	})
}
