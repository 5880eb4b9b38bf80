package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/store/internal/sample"
)

// A touch writes no index, so that many sessions in use cost little; the sweep then finds that what
// was due lives on, once, and still ends what has ended. P52, P64
func TestTouchMovesNoIndex(t *testing.T) {
	dsn, ctx := empty(t), context.Background()
	s := open(t, dsn)
	const n = 250 // more than a batch of the sweep
	var touches []counterfoil.Touch
	idle := sample.Session(sample.Subject())
	for i := range n {
		r := sample.Session(sample.Subject())
		if i == n/2 {
			r = idle
		}
		if _, err := s.Create(ctx, r, sample.SignIn()); err != nil {
			t.Fatal(err)
		}
		if r != idle {
			touches = append(touches, counterfoil.Touch{ID: r.ID, Seen: sample.Noon().Add(time.Minute), IdleEnd: sample.Noon().Add(2 * time.Hour)})
		}
	}
	c := direct(t, dsn)
	exec(t, c, "VACUUM cf_session") // what the sign-ins left is no obstacle
	due := func() (early int) {
		if err := c.QueryRow(ctx, "SELECT count(*) FROM cf_session WHERE due <= $1", idle.IdleEnd.UnixMilli()).Scan(&early); err != nil {
			t.Fatal(err)
		}
		return early
	}
	var before, after int64
	size := "SELECT pg_indexes_size('cf_session')"
	if err := c.QueryRow(ctx, size).Scan(&before); err != nil {
		t.Fatal(err)
	}
	const apart = 25 // so that sessions on one page of the table are not in one batch
	for i := range apart {
		var batch []counterfoil.Touch
		for j := i; j < len(touches); j += apart {
			batch = append(batch, touches[j])
		}
		if err := s.Touch(ctx, batch); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.QueryRow(ctx, size).Scan(&after); err != nil {
		t.Fatal(err)
	}
	if after != before || due() != n {
		t.Errorf("the indexes grew from %d to %d bytes, %d of %d sessions are due as before", before, after, due(), n)
	}
	out, err := s.Reap(ctx, counterfoil.Reap{Before: idle.IdleEnd, Max: 1000})
	if err != nil || out.Records != 1 || out.More {
		t.Errorf("the sweep: %+v, %v; want the one that was not touched", out, err)
	}
	if due() != 0 {
		t.Errorf("%d sessions would be looked at again", due())
	}
}
