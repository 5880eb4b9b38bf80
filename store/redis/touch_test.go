package redis_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
)

// A touch leaves the mark by which the sweep finds a session where it was, so that it costs little; the
// sweep then finds that what was marked lives on, once, and still ends what has ended. P52, P64
func TestTouchMovesNoMark(t *testing.T) {
	s, prefix := fresh(t)
	on, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	const n = 25 // more than a script of the sweep
	idle := record(random16())
	var touches []counterfoil.Touch
	for i := range n {
		r := record(random16())
		if i == n/2 {
			r = idle
		} else {
			touches = append(touches, counterfoil.Touch{ID: r.ID, Seen: start.Add(time.Minute), IdleEnd: start.Add(2 * time.Hour)})
		}
		signIn(t, s, r)
	}
	if err := s.Touch(t.Context(), touches); err != nil {
		t.Fatal(err)
	}
	marked := func() any {
		return on.ask(t, "ZCOUNT", "{"+prefix+"}:0:due", "-inf", strconv.FormatInt(idle.IdleEnd.UnixMilli(), 10))
	}
	if got := marked(); got != int64(n) {
		t.Errorf("%v sessions are marked, want %d as before", got, n)
	}
	out, err := s.Reap(t.Context(), counterfoil.Reap{Before: idle.IdleEnd, Max: 1000})
	if err != nil || out.Records != 1 || out.More {
		t.Errorf("the sweep: %+v, %v; want the one that was not touched", out, err)
	}
	if got := marked(); got != int64(0) {
		t.Errorf("%v sessions would be looked at again", got)
	}
	for _, touch := range touches {
		if r, err := s.Load(t.Context(), touch.ID); err != nil || !r.IdleEnd.Equal(touch.IdleEnd) {
			t.Fatalf("a session in use: %v, %v", r, err)
		}
	}
}
