package storetest

import (
	"errors"
	"strconv"

	"github.com/counterfoil/counterfoil"
)

func metaProofs() []proof {
	return []proof{
		{"Meta/swap", "SwapMeta sets the value under key to new if it is old (nil: none), else ErrConflict. A nil new removes it.", metaSwap},
		{"Meta/race", "SwapMeta sets the value under key to new if it is old (nil: none), else ErrConflict.", metaRace},
	}
}

func metaSwap(f *fixture) {
	holds := func(key string, want []byte) {
		f.Helper()
		got, err := f.s.Meta(f.ctx, key)
		f.ok(err)
		f.same("the value of "+key, got, want)
	}
	holds("a", nil) // "nil if there is none"
	f.is(f.s.SwapMeta(f.ctx, "a", []byte("x"), []byte("y")), counterfoil.ErrConflict)
	f.is(f.s.SwapMeta(f.ctx, "a", []byte{}, []byte("y")), counterfoil.ErrConflict)
	value := []byte{0, 1, 255}
	f.ok(f.s.SwapMeta(f.ctx, "a", nil, value))
	value[0] = 9 // the caller's own
	holds("a", []byte{0, 1, 255})
	holds("b", nil)
	f.is(f.s.SwapMeta(f.ctx, "a", nil, []byte("y")), counterfoil.ErrConflict)
	f.is(f.s.SwapMeta(f.ctx, "a", []byte{0, 1}, []byte("y")), counterfoil.ErrConflict)
	holds("a", []byte{0, 1, 255})
	f.ok(f.s.SwapMeta(f.ctx, "a", []byte{0, 1, 255}, []byte("y")))
	got, err := f.s.Meta(f.ctx, "a")
	f.ok(err)
	got[0] = 'X'
	holds("a", []byte("y"))
	f.ok(f.s.SwapMeta(f.ctx, "a", []byte("y"), nil))
	holds("a", nil)
	f.ok(f.s.SwapMeta(f.ctx, "a", nil, nil))
	f.same("the head", f.head(), uint64(0))
}

func metaRace(f *fixture) {
	const at, each = 6, 10
	together(at, func(int) {
		for done := 0; done < each; {
			old, err := f.s.Meta(f.ctx, "n")
			if err != nil {
				f.Error(err)
				return
			}
			n, _ := strconv.Atoi(string(old))
			err = f.s.SwapMeta(f.ctx, "n", old, []byte(strconv.Itoa(n+1)))
			if err == nil {
				done++
			} else if !errors.Is(err, counterfoil.ErrConflict) {
				f.Error(err)
				return
			}
		}
	})
	got, err := f.s.Meta(f.ctx, "n")
	f.ok(err)
	f.same("counted", string(got), strconv.Itoa(at*each))
}
