package audit_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
)

func TestTail(t *testing.T) {
	r := newRig(t)
	const many = 500 // more than one piece of 64 KiB
	r.run(func(x *audit.Exporter) {
		for i := range many {
			x.Record(counterfoil.Event{Kind: counterfoil.EventRefused, Session: counterfoil.Info{IP: fmt.Sprint(i)}})
		}
	})
	file := r.bytes()
	for _, c := range []struct {
		n, want int
		file    []byte
	}{
		{0, 0, file}, {1, 1, file}, {10, 10, file}, {many + 1, many + 1, file}, {many + 50, many + 1, file},
		{10, 0, nil}, {10, 10, append(bytes.Clone(file), `{"v":1,"cha`...)},
	} {
		got, err := audit.Tail(bytes.NewReader(c.file), c.n)
		if err != nil || len(got) != c.want {
			t.Errorf("Tail(%d of %d bytes): %d lines, %v, want %d", c.n, len(c.file), len(got), err, c.want)
			continue
		}
		for i, l := range got {
			if want := uint64(many + 1 - c.want + i + 1); l.Number != want {
				t.Errorf("Tail(%d): line %d at place %d, want %d", c.n, l.Number, i, want)
			}
		}
	}
	got, err := audit.Tail(strings.NewReader("half a li\n"+string(file[:bytes.IndexByte(file, '\n')+1])), 5)
	if err != nil || len(got) != 2 || got[0].Kind != audit.KindDamaged || got[1].Kind != audit.KindBegin {
		t.Errorf("got %+v, %v", got, err)
	}
}
