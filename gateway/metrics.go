package gateway

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"

	"github.com/counterfoil/counterfoil"
)

// happened counts events by kind and reason.
type happened struct {
	mu sync.Mutex
	n  map[happening]uint64
}

type happening struct {
	kind   counterfoil.EventKind
	reason counterfoil.Reason
}

func (h *happened) add(ev counterfoil.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.n == nil {
		h.n = make(map[happening]uint64)
	}
	h.n[happening{ev.Kind, ev.Reason}]++
}

func (h *happened) read() map[happening]uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.n)
}

// Metrics answers with counts and gauges in the text format of Prometheus, 0.0.4. They name no user,
// no session and no address. It is for a listener of its own: whoever reads it learns how busy the
// place is.
func (g *Gateway) Metrics() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "read it with GET", http.StatusMethodNotAllowed)
			return
		}
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		e := exposition{w}
		e.health(g.sessions.Health())
		e.stats(g.sessions.Stats())
		e.events(g.happened.read())
	})
}

// exposition writes the format. What a scraper that hangs up does not take is lost to nobody.
type exposition struct{ w io.Writer }

func (e exposition) family(name, kind, help string) {
	fmt.Fprintf(e.w, "# HELP counterfoil_%s %s\n# TYPE counterfoil_%s %s\n", name, help, name, kind)
}

func (e exposition) sample(name, labels string, value float64) {
	fmt.Fprintf(e.w, "counterfoil_%s%s %s\n", name, labels, strconv.FormatFloat(value, 'g', -1, 64))
}

func (e exposition) one(name, kind, help string, value float64) {
	e.family(name, kind, help)
	e.sample(name, "", value)
}

// histogram writes one series of a family; labels stand without braces.
func (e exposition) histogram(name, labels string, d counterfoil.Durations) {
	comma, braced := "", ""
	if labels != "" {
		comma, braced = ",", "{"+labels+"}"
	}
	for i, bound := range counterfoil.DurationBounds() {
		le := strconv.FormatFloat(bound.Seconds(), 'g', -1, 64)
		e.sample(name+"_bucket", "{"+labels+comma+`le="`+le+`"}`, float64(d.Up[i]))
	}
	e.sample(name+"_bucket", "{"+labels+comma+`le="+Inf"}`, float64(d.Count))
	e.sample(name+"_sum", braced, d.Sum.Seconds())
	e.sample(name+"_count", braced, float64(d.Count))
}

func (e exposition) health(h counterfoil.Health) {
	e.one("lease_age_seconds", "gauge", "Time since the last good poll of the store was sent.", h.LeaseAge.Seconds())
	e.one("lease_fresh", "gauge", "1 while sessions in memory count without asking the store.", truth(h.LeaseFresh))
	e.one("clock_skew_seconds", "gauge", "This machine's clock ahead of the store's.", h.Skew.Seconds())
	e.one("session_time_ahead_seconds", "gauge", "Session time ahead of the clock that it goes by.", h.ClockAhead.Seconds())
	e.one("sweep_held", "gauge", "1 while expired sessions are not removed.", truth(h.SweepHeld != ""))
	if !h.LastSweep.IsZero() {
		e.one("last_sweep_timestamp_seconds", "gauge", "When expired sessions were last removed.", float64(h.LastSweep.UnixMilli())/1000)
	}
}

func (e exposition) stats(s counterfoil.Stats) {
	e.one("cache_hits_total", "counter", "Checks that asked nobody.", float64(s.Cache.Hits))
	e.one("cache_misses_total", "counter", "Checks that had to ask the store.", float64(s.Cache.Misses))
	e.one("cache_sessions", "gauge", "Sessions kept in memory.", float64(s.Cache.Entries))
	e.one("cache_bytes", "gauge", "Memory that they take.", float64(s.Cache.Bytes))
	e.one("cache_limit_bytes", "gauge", "Memory that they may take.", float64(s.Cache.Bound))
	e.family("revocation_lag_seconds", "histogram", "From when another node wrote an end to when it was in force here.")
	e.histogram("revocation_lag_seconds", "", s.Lag)
	methods := slices.Sorted(maps.Keys(s.Store))
	e.family("store_seconds", "histogram", "Duration of calls of the store.")
	for _, m := range methods {
		e.histogram("store_seconds", label("method", m), s.Store[m].Took)
	}
	e.family("store_errors_total", "counter", "Calls of the store whose outcome is unknown.")
	for _, m := range methods {
		e.sample("store_errors_total", "{"+label("method", m)+"}", float64(s.Store[m].Errors))
	}
}

func (e exposition) events(all map[happening]uint64) {
	e.family("events_total", "counter", "What happened to sessions and tokens on this node.")
	order := slices.SortedFunc(maps.Keys(all), func(a, b happening) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.reason, b.reason))
	})
	for _, x := range order {
		e.sample("events_total", "{"+label("kind", string(x.kind))+","+label("reason", string(x.reason))+"}", float64(all[x]))
	}
}

// label writes a label; the values that there are need no escapes.
func label(name, value string) string { return name + `="` + value + `"` }

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
