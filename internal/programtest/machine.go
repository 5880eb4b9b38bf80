package programtest

import (
	"crypto/sha256"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// InTime does what must not take longer than d, and says how long it took: again, twice at most, if it
// did. Only the time that the machine had for us counts, see [machine]: what it did for others, or could
// not do because its disk was busy, is nobody's fault here.
func InTime(t testing.TB, d time.Duration, do func() (took time.Duration)) {
	t.Helper()
	var took, own time.Duration
	for range 3 {
		m := observe(t)
		took = do()
		if own = time.Duration(float64(took) * m.share()); own <= d || t.Failed() {
			return
		}
	}
	t.Errorf("it took %v each time, %v of them on a machine of our own; want %v at most", took, own, d)
}

// quickDisk is how long a write to a disk takes that does nothing else: it is no time that was lost.
const quickDisk = 10 * time.Millisecond

// machine looks how much of its time a machine has for us: it works a little and writes a little to the
// disk, again and again, and compares how long that takes with how long it takes where nobody else is.
type machine struct {
	over   chan struct{}
	shares chan float64
}

func observe(t testing.TB) *machine {
	t.Helper()
	file, err := os.CreateTemp(t.TempDir(), "machine")
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{make(chan struct{}), make(chan float64)}
	go m.look(file)
	return m
}

// share is how much it was since observe: 1 is all.
func (m *machine) share() float64 {
	close(m.over)
	return <-m.shares
}

func (m *machine) look(file *os.File) {
	runtime.LockOSThread() // whose processor time it is
	defer runtime.UnlockOSThread()
	defer file.Close()
	block := make([]byte, 64<<10)
	var passed, own time.Duration
	for {
		began, had := reading(unix.CLOCK_MONOTONIC), reading(unix.CLOCK_THREAD_CPUTIME_ID)
		for range 32 {
			sum := sha256.Sum256(block)
			copy(block, sum[:])
		}
		worked, computed := reading(unix.CLOCK_THREAD_CPUTIME_ID), reading(unix.CLOCK_MONOTONIC)
		file.WriteAt(block[:4096], 0) // a disk that fails is not what is looked at
		file.Sync()
		written := reading(unix.CLOCK_MONOTONIC)
		passed += written - began
		own += worked - had + min(written-computed, quickDisk)
		select {
		case <-m.over:
			m.shares <- float64(own) / float64(passed)
			return
		case <-time.After(10 * time.Millisecond): // the machine is not ours alone
		}
	}
}

// reading is what one of the kernel's clocks shows.
func reading(clock int32) time.Duration {
	var at unix.Timespec
	if err := unix.ClockGettime(clock, &at); err != nil {
		panic(err) // a clock that every Linux has
	}
	return time.Duration(at.Nano())
}
