package simulation

import (
	"cmp"
	"container/heap"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing/synctest"
	"time"
)

// scheduler decides what happens when. It lives in a bubble of testing/synctest, whose time is the
// simulation's true time, and lets one task run at a time: a task runs until it asks the store for
// something, waits for another task, or ends. So a run depends on nothing but its schedule.
type scheduler struct {
	began time.Time
	queue queue
	turn  int
	timer func() (at time.Duration, fire func()) // the earliest of the machines' timers; nil: none
	wake  chan struct{}

	mu      sync.Mutex
	running *task
	tasks   map[uint64]*task // those under way, by goroutine
	awake   map[*machine]int // of them: those that do not wait for the scheduler; nil: of no machine
	calls   []*call          // new ones
	gates   []*gate
	ended   []*task
}

// task is one goroutine of a machine: a request, or what one of its timers began.
type task struct {
	key   uint64 // names it whatever else is in the schedule
	on    *machine
	what  string
	calls uint64 // of the store so far
	then  func() // what the scheduler does when it has ended
	free  bool   // not to be stopped with its machine: it is the test's own

	attempt *attempt // the request that it is; nil: none
}

// gate is where a task waits that something else than the scheduler woke.
type gate struct {
	t    *task
	open chan struct{}
}

type event struct {
	at   time.Duration
	turn int
	act  func()
}

// queue is a heap of events by time, then by order of birth.
type queue []event

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].turn < q[j].turn
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(event)) }
func (q *queue) Pop() any {
	old := *q
	last := old[len(old)-1]
	*q = old[:len(old)-1]
	return last
}

func newScheduler() *scheduler {
	return &scheduler{began: bubbleTime(), wake: make(chan struct{}, 1), tasks: map[uint64]*task{}, awake: map[*machine]int{}}
}

// now is the true time since the run began.
func (s *scheduler) now() time.Duration { return bubbleTime().Sub(s.began) }

// after plans an event.
func (s *scheduler) after(d time.Duration, act func()) { s.at(s.now()+d, act) }

func (s *scheduler) at(at time.Duration, act func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn++
	heap.Push(&s.queue, event{at, s.turn, act})
}

// run lets everything happen until the time has come.
func (s *scheduler) run(until time.Duration) {
	for {
		s.settle()
		now := s.now()
		next, act := until, func() {}
		if at, fire := s.timer(); fire != nil && at < next {
			next, act = at, fire
		}
		s.mu.Lock()
		planned := len(s.queue) > 0 && s.queue[0].at <= next
		if planned {
			next = s.queue[0].at
		}
		if next > now {
			s.mu.Unlock()
			s.sleep(next - now)
			continue // somebody may have woken meanwhile
		}
		if planned {
			act = heap.Pop(&s.queue).(event).act
		}
		s.mu.Unlock()
		if !planned && next >= until {
			return
		}
		act()
	}
}

// sleep lets d pass, or less if a task wakes by itself: its context is over.
func (s *scheduler) sleep(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.wake:
	}
}

// begin starts a task, lets it run as far as it goes, and what it wakes after it.
func (s *scheduler) begin(t *task, f func()) {
	s.mu.Lock()
	s.running = t
	s.awake[t.on]++
	s.mu.Unlock()
	go func() {
		id := goroutine()
		s.mu.Lock()
		s.tasks[id] = t
		s.mu.Unlock()
		f()
		s.mu.Lock()
		delete(s.tasks, id)
		s.waits(t)
		s.ended = append(s.ended, t)
		s.mu.Unlock()
	}()
	s.settle()
}

// settle waits until every task waits or has ended, and lets those on that something else woke.
func (s *scheduler) settle() {
	for {
		synctest.Wait()
		s.mu.Lock()
		calls, ended := s.calls, s.ended
		s.calls, s.ended = nil, nil
		slices.SortStableFunc(s.gates, func(a, b *gate) int { return cmp.Compare(a.t.key, b.t.key) })
		var next *gate
		for i, g := range s.gates {
			if !g.t.stopped() {
				next = g
				s.gates = slices.Delete(s.gates, i, i+1)
				break
			}
		}
		s.mu.Unlock()
		slices.SortStableFunc(calls, func(a, b *call) int { return cmp.Compare(a.key, b.key) })
		for _, c := range calls {
			c.plan()
		}
		slices.SortStableFunc(ended, func(a, b *task) int { return cmp.Compare(a.key, b.key) })
		for _, t := range ended {
			if t.then != nil {
				t.then()
			}
		}
		if next == nil {
			if len(ended) == 0 && len(calls) == 0 {
				return
			}
			continue
		}
		s.letOn(next.t, next.open)
	}
}

// letOn makes t the one that runs.
func (s *scheduler) letOn(t *task, open chan struct{}) {
	s.mu.Lock()
	s.running = t
	s.awake[t.on]++
	s.mu.Unlock()
	close(open)
}

func (t *task) stopped() bool { return t.on != nil && t.on.stopped && !t.free }

// me is the task that calls on a machine, nil if none does.
func (s *scheduler) me(on *machine) *task {
	s.mu.Lock()
	t := s.running
	alone := t != nil && t.on == on && s.awake[on] <= 1
	s.mu.Unlock()
	if alone { // nobody else can
		return t
	}
	id := goroutine()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tasks[id]
}

// yield is called by every task where something else than the scheduler may have woken it.
func (s *scheduler) yield(on *machine) {
	t := s.me(on)
	s.mu.Lock()
	mine := t == nil || t == s.running
	s.mu.Unlock()
	if !mine {
		s.park(t)
	}
}

// waits notes that t waits for the scheduler from now on; s is locked.
func (s *scheduler) waits(t *task) {
	s.awake[t.on]--
	if s.running == t {
		s.running = nil
	}
}

// park waits until the scheduler lets t on.
func (s *scheduler) park(t *task) {
	g := &gate{t: t, open: make(chan struct{})}
	s.mu.Lock()
	s.gates = append(s.gates, g)
	s.waits(t)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
	<-g.open
}

// goroutine is the number of the calling goroutine, which nothing but its stack's headline tells.
func goroutine() (id uint64) {
	var line [40]byte
	n := runtime.Stack(line[:], false)
	for _, c := range line[len("goroutine "):n] {
		if c < '0' || c > '9' {
			break
		}
		id = id*10 + uint64(c-'0')
	}
	return id
}

func bubbleTime() time.Time { return time.Now() }

// dice are the same for the same names.
func dice(names ...uint64) *rand.Rand {
	h := uint64(14695981039346656037)
	for _, n := range names {
		h ^= n
		h *= 1099511628211
		h ^= h >> 29
	}
	return rand.New(rand.NewPCG(h, names[0]))
}
