package sqlrow

import (
	"errors"
	"slices"
	"testing"
)

func TestPages(t *testing.T) {
	all := []int{1, 2, 3, 4, 5, 6}
	reads, fails := 0, false
	lost := errors.New("lost")
	list := Pages(0, 2, func(after *int) ([]int, error) {
		if reads++; fails && *after > 2 {
			return nil, lost
		}
		found := all[*after:min(*after+2, len(all))]
		*after += len(found)
		return found, nil
	})
	collect := func() (got []int, err error) {
		for v, err := range list {
			if err != nil {
				return got, err
			}
			got = append(got, v)
		}
		return got, nil
	}
	for range 2 { // each time from the beginning
		if got, err := collect(); !slices.Equal(got, all) || err != nil {
			t.Errorf("%v, %v", got, err)
		}
	}
	if reads != 8 {
		t.Errorf("%d reads; want 4 each time, the last of a page that is empty", reads)
	}
	reads = 0
	for range list {
		break
	}
	if reads != 1 {
		t.Errorf("%d reads for one value", reads)
	}
	fails = true
	if got, err := collect(); !slices.Equal(got, all[:4]) || !errors.Is(err, lost) {
		t.Errorf("%v, %v", got, err)
	}
}
