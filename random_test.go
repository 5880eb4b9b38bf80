package counterfoil_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/sessiontest"
)

// me answers with who is signed in.
func me(m *counterfoil.Manager) http.Handler {
	return m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte(m.FromContext(r.Context()).Subject()))
	}))
}

// tokenOf signs in and returns the token as it stands in the cookie.
func tokenOf(tb testing.TB, m *counterfoil.Manager, subject string) (string, counterfoil.ID) {
	r := httptest.NewRequest("GET", "/", nil)
	info := sessiontest.SignIn(tb, m, r, counterfoil.Identity{Subject: subject})
	c, err := r.Cookie("__Host-Http-session")
	if err != nil {
		tb.Fatal(err)
	}
	return c.Value, info.ID
}

// The same user, address and frozen clock: tokens and IDs share nothing and follow no order.
func TestTokensAreRandom(t *testing.T) { // P94, T3, T4, T9, T11, S1, S7, S27, S28, S29, D18
	n := 33000 // over 1 MiB of tokens
	if soak() {
		n = 1000000
	}
	m, _ := sessiontest.New(t, func(c *counterfoil.Config) { c.Policy.PerSubject = 1 })
	seen := make(map[string]bool, n)
	var ones, runs, rising int
	var bytesSeen [256]int
	var last byte
	var lastID string
	var total int
	var columns [43][128]int
	for range n {
		tok, id := tokenOf(t, m, "alice")
		if seen[tok] || seen[id.String()] {
			t.Fatal("a token or an ID twice")
		}
		seen[tok], seen[id.String()] = true, true
		if id.String() > lastID {
			rising++
		}
		lastID = id.String()
		for i, c := range []byte(tok) {
			columns[i][c]++
		}
		for _, b := range decode43(t, tok) {
			ones += bits.OnesCount8(b)
			bytesSeen[b]++
			if total > 0 {
				runs += bits.OnesCount8(b ^ (b>>1 | last<<7))
			}
			last = b
			total++
		}
	}
	bitsTotal := float64(total * 8)
	within := func(name string, got, mean, deviation float64) {
		if math.Abs(got-mean) > 5*deviation {
			t.Errorf("%s: %.0f, expected %.0f ± %.0f", name, got, mean, deviation)
		}
	}
	within("ones (monobit)", float64(ones), bitsTotal/2, math.Sqrt(bitsTotal)/2)
	within("changes (runs)", float64(runs), bitsTotal/2, math.Sqrt(bitsTotal)/2)
	within("IDs above the one before", float64(rising), float64(n)/2, math.Sqrt(float64(n)/12))
	chi := 0.0
	for _, c := range bytesSeen {
		d := float64(c) - float64(total)/256
		chi += d * d / (float64(total) / 256)
	}
	within("chi-square of bytes", chi, 255, math.Sqrt(2*255))
	for i, column := range columns[:42] { // the last character carries fewer bits
		chi := 0.0
		for _, c := range column {
			if c > 0 {
				d := float64(c) - float64(n)/64
				chi += d * d / (float64(n) / 64)
			}
		}
		within(fmt.Sprint("chi-square of character ", i+1), chi, 63, math.Sqrt(2*63))
	}
}

func decode43(t *testing.T, tok string) []byte {
	t.Helper()
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	if len(tok) != 43 {
		t.Fatalf("a token of %d characters", len(tok))
	}
	var out []byte
	acc, n := uint(0), 0
	for i := range len(tok) {
		v := -1
		for j := range len(alphabet) {
			if alphabet[j] == tok[i] {
				v = j
			}
		}
		if v < 0 {
			t.Fatalf("%q is not base64url", tok[i])
		}
		acc, n = acc<<6|uint(v), n+6
		if n >= 8 {
			n -= 8
			out = append(out, byte(acc>>n))
		}
	}
	return out
}

// Many sign in at once: no two get one token, and each finds itself.
func TestParallelSignIns(t *testing.T) { // T7, T4
	each := 15
	if soak() {
		each = 10000
	}
	m, _ := sessiontest.New(t)
	h := me(m)
	var wg sync.WaitGroup
	var seen sync.Map
	for g := range 64 {
		wg.Go(func() {
			name := "user" + string(rune('A'+g))
			for range each {
				tok, _ := tokenOf(t, m, name)
				if _, twice := seen.LoadOrStore(tok, name); twice {
					t.Error("a token twice")
				}
				r := httptest.NewRequest("GET", "/", nil)
				r.Header.Set("Cookie", "__Host-Http-session="+tok)
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				if w.Body.String() != name {
					t.Errorf("%s is shown %q", name, w.Body)
				}
			}
		})
	}
	wg.Wait()
}

// Bad tokens from one source are refused before they reach the store, and somebody is told.
func TestFloodOfBadTokens(t *testing.T) { // T8, P21
	var alarms, loads int
	m, clock := sessiontest.New(t, func(c *counterfoil.Config) {
		c.Observe = func(e counterfoil.Event) {
			if e.Reason == counterfoil.ReasonFlood {
				alarms++
			}
		}
		c.Store = sessiontest.Flaky(c.Store, func(method string) error {
			if method == "Load" {
				loads++
			}
			return nil
		})
	})
	h := me(m)
	send := func(addr, tok string) int {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = addr
		r.Header.Set("Cookie", "__Host-Http-session="+tok)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if len(w.Header()["Set-Cookie"]) > 0 {
			t.Fatalf("the jar was touched: %v", w.Header())
		}
		return w.Code
	}
	good, _ := tokenOf(t, m, "alice")
	guess := []byte(good)
	codes := map[int]int{}
	for i := range 10000 {
		copy(guess, fmt.Sprintf("%05d", i))
		guess[20+i%16] = good[(i*5)%40]
		codes[send("203.0.113.9:1000", string(guess))]++
	}
	if codes[200] > 110 || codes[429] < 9000 {
		t.Errorf("answers: %v", codes)
	}
	if alarms != 1 {
		t.Errorf("%d alarms, want 1", alarms)
	}
	if loads > 0 {
		t.Errorf("%d guesses reached the store", loads)
	}
	if c := send("198.51.100.7:1000", good); c != 200 {
		t.Errorf("an honest client elsewhere: %d", c)
	}
	if c := send("203.0.113.9:1000", good); c != 200 {
		t.Errorf("an honest client behind the same address, known to the node: %d", c)
	}
	clock.Advance(2 * time.Minute)
	if c := send("203.0.113.9:1000", string(guess)); c != 200 {
		t.Errorf("two minutes later: %d", c)
	}
}

// stutter repeats what it gave the last time, if it is told to.
type stutter struct {
	again int // times
	last  [64]byte
}

func (s *stutter) Read(p []byte) (int, error) {
	if len(p) < 28 { // no token
		return rand.Read(p)
	}
	if s.again > 0 {
		s.again--
		return copy(p, s.last[:]), nil
	}
	n, err := rand.Read(p)
	copy(s.last[:], p)
	return n, err
}

// T4: a session is only ever made where there is none. If its ID is another's the token is drawn anew; if
// randomness is broken nobody is signed in, and least of all as somebody else.
func TestCollision(t *testing.T) {
	source := &stutter{}
	m, clock := sessiontest.New(t, func(c *counterfoil.Config) { c.Random = source })
	h := me(m)
	use := func(token string) string {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Cookie", "__Host-Http-session="+token)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Body.String()
	}
	alice, _ := tokenOf(t, m, "alice")
	clock.Advance(time.Second)
	source.again = 1
	bob, _ := tokenOf(t, m, "bob")
	if source.again != 0 || bob == alice || use(alice) != "alice" || use(bob) != "bob" {
		t.Errorf("one collision: alice is %q, bob is %q", use(alice), use(bob))
	}
	clock.Advance(time.Second)
	source.again = 2
	w := httptest.NewRecorder()
	m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		s := m.FromContext(r.Context())
		if err := s.SignIn(counterfoil.Identity{Subject: "carol"}); !errors.Is(err, counterfoil.ErrUnavailable) || s.SignedIn() {
			t.Error("signed in on randomness that repeats:", err)
		}
	})).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Header().Get("Set-Cookie") != "" || use(alice) != "alice" || use(bob) != "bob" {
		t.Errorf("alice is %q, bob is %q, carol has %q", use(alice), use(bob), w.Header())
	}
}

// What came and went leaves nothing behind.
func TestNothingLeaks(t *testing.T) { // P98, T23
	m, clock := sessiontest.New(t, func(c *counterfoil.Config) { c.Policy.PerSubject = 2 })
	cycle := func(n int) {
		for range n {
			tokenOf(t, m, "alice")
		}
		clock.Advance(30 * time.Hour) // all have expired, are swept, and the log is trimmed
	}
	heap := func() uint64 {
		var s runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	cycle(2000)
	goroutines, before := runtime.NumGoroutine(), heap()
	cycles := 4
	if soak() {
		cycles = 200
	}
	for range cycles {
		cycle(5000)
	}
	after := heap()
	if after > before+2<<20 {
		t.Errorf("the heap grew from %d to %d bytes over %d sessions", before, after, 5000*cycles)
	}
	if n := runtime.NumGoroutine(); n > goroutines {
		t.Errorf("goroutines grew from %d to %d", goroutines, n)
	}
	if h := m.Health(); h.Cached != 0 {
		t.Errorf("%d dead sessions are cached", h.Cached)
	}
}
