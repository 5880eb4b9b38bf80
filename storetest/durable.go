package storetest

import (
	"time"

	"github.com/counterfoil/counterfoil"
)

func durableProofs() []proof {
	return []proof{
		{"Durable/reopen", "what is acknowledged survives a crash of the process and of the machine", survivesReopen},
	}
}

// survivesReopen closes and opens a durable store. Of one that is not it checks nothing but that it
// says so.
func survivesReopen(f *fixture) {
	if !f.s.Capabilities().Durable {
		if f.reopen != nil {
			f.Fatal("the store can be reopened but does not call itself Durable")
		}
		return
	}
	if f.reopen == nil {
		f.Fatal("the store calls itself Durable: give Run the option Reopen")
	}
	live, end := full(), f.signIn(newSubject())
	c := creation(limit(3, counterfoil.EvictIdle))
	first, err := f.s.Create(f.ctx, live, c)
	f.ok(err)
	f.ok(f.s.Update(f.ctx, live, changedEntry()))
	e := ended(end.ID)
	rv := f.revoke(e)
	f.ok(f.s.SwapMeta(f.ctx, "key", nil, []byte("value")))
	f.ok(f.s.Acknowledge(f.ctx, "reader", 2))
	want, err := f.s.Log(f.ctx, 0, 100)
	f.ok(err)

	f.s = f.reopen(f.T, f.s)
	f.same("the record", f.load(live.ID), live)
	f.gone(end)
	f.sameIDs("list", f.list(live.Subject), live)
	got, err := f.s.Log(f.ctx, 0, 100)
	f.ok(err)
	got.Now, want.Now = time.Time{}, time.Time{}
	f.same("the log", got, want)
	v, err := f.s.Meta(f.ctx, "key")
	f.ok(err)
	f.same("meta", string(v), "value")
	acked, err := f.s.Acknowledged(f.ctx, "reader")
	f.ok(err)
	f.same("acknowledged", acked, uint64(2))

	again, err := f.s.Create(f.ctx, live.Clone(), c)
	f.ok(err)
	f.same("Create again", again, first)
	second := f.revoke(e)
	f.same("Revoke again", second.Seq, rv.Seq)
	f.same("the head", f.head(), want.Head)
	f.same("Seq of the next", f.create(record(newSubject())).Seq, want.Head+1)
}
