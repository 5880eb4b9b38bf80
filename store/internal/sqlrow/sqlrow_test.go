package sqlrow

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
)

// What is written is read again, and what is absent is NULL.
func TestThereAndBack(t *testing.T) {
	ids := []counterfoil.ID{{1}, {0xff, 15: 0xfe}}
	if got := SplitIDs(JoinIDs(ids)); !slices.Equal(got, ids) {
		t.Errorf("IDs: %v", got)
	}
	if JoinIDs(nil) != nil || SplitIDs(nil) != nil || SplitIDs(make([]byte, 15)) != nil {
		t.Error("no IDs are not nil, or a broken one is one")
	}
	if Blob(counterfoil.ID{}) != nil || FromBlob[counterfoil.OpID](nil) != (counterfoil.OpID{}) || FromBlob[counterfoil.ID](make([]byte, 17)) != (counterfoil.ID{}) {
		t.Error("zero is not NULL")
	}
	if got := FromBlob[counterfoil.SubjectHash](Blob(counterfoil.SubjectHash{7})); got != (counterfoil.SubjectHash{7}) {
		t.Errorf("subject: %v", got)
	}
	if at := time.Date(1969, 12, 31, 23, 59, 59, 5e8, time.UTC); !Time(at.UnixMilli()).Equal(at) {
		t.Error("a time before 1970")
	}
}

// stored is a row of an account.
type stored struct {
	created, changed string
	err              error
}

func (s stored) Scan(to ...any) error {
	*to[0].(*string), *to[1].(*bool), *to[3].(*string) = "alice", true, "hash"
	*to[4].(*int64), *to[7].(*int64) = -1, 3
	*to[5].(*string), *to[6].(*string) = s.created, s.changed
	return s.err
}

func TestAccount(t *testing.T) {
	at := time.Date(2026, 11, 21, 12, 0, 0, 5, time.UTC)
	good := stored{created: Stamp(at), changed: Stamp(at.Add(time.Nanosecond))}
	a, err := Account(good)
	if err != nil || a.Name != "alice" || !a.Operator || a.Epoch != 1<<64-1 || a.Revision != 3 || !a.Created.Equal(at) || a.Changed.Sub(at) != 1 {
		t.Errorf("%+v, %v", a, err)
	}
	lost := errors.New("lost")
	for what, row := range map[string]stored{
		"no row": {err: lost}, "created": {created: "yesterday", changed: good.changed}, "changed": {created: good.created, changed: "today"},
	} {
		if _, err := Account(row); err == nil || row.err != nil && !errors.Is(err, lost) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
