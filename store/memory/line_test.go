package memory

import (
	"reflect"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
)

// What is read of a line is what was written, whatever there is and is not.
func TestLine(t *testing.T) {
	now := time.UnixMilli(1_800_000_000_123).UTC()
	c := newChunk(nil)
	want := []counterfoil.Entry{
		{Time: time.UnixMilli(0).UTC()},
		{Version: 1, Kind: counterfoil.EntryCreated, Op: counterfoil.OpID{1}, Session: counterfoil.ID{2}, Subject: counterfoil.SubjectHash{3}, Reason: counterfoil.ReasonSignIn, Time: now, DetailKey: 1<<32 - 1, Detail: []byte("sealed")},
		{Version: 1, Kind: counterfoil.EntryChanged, Session: counterfoil.ID{2}, Actor: counterfoil.SubjectHash{4}, Revision: 1<<64 - 1, Time: now, Detail: []byte{}},
		{Version: 1, Kind: counterfoil.EntryEnded, Session: counterfoil.ID{2}, Parent: counterfoil.ID{5}, Time: now.Add(-100 * 365 * 24 * time.Hour)},
		{Version: 1, Kind: counterfoil.EntryEnded, Session: counterfoil.ID{2}, Root: counterfoil.ID{5}, Time: now},
		{Version: 1, Kind: counterfoil.EntryEndedSubject, Subject: counterfoil.SubjectHash{3}, Except: []counterfoil.ID{{6}, {7}}, Epoch: 8, Time: now},
	}
	for i := range want {
		want[i].Seq = uint64(i)
		c.add(&want[i])
	}
	for i := range want {
		if got := line(c.text[c.start(i):c.ends[i]]).entry(uint64(i)); !reflect.DeepEqual(got, want[i]) {
			t.Errorf("wrote %+v\nread  %+v", want[i], got)
		}
	}
}
