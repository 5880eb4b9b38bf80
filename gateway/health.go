package gateway

import (
	"context"
	"net/http"
	"time"
)

// healthz says that the process answers.
func (g *Gateway) healthz(w http.ResponseWriter, r *http.Request) {
	g.json(w, r, http.StatusOK, map[string]string{"status": "ok"})
}

const (
	readyTimeout = 2 * time.Second
	lateSweep    = 2 * time.Hour   // the manager sweeps every few minutes, and waits an hour after a clock's jump
	insaneClock  = 2 * time.Minute // session time ahead of the wall clock: idle ends stand still meanwhile
)

// readiness is the answer of /readyz; it holds no secret and no name.
type readiness struct {
	Status   string            `json:"status"` // ready, degraded, unready
	Faults   map[string]string `json:"faults"`
	Degraded []string          `json:"degraded"`
	Sessions sessionHealth     `json:"sessions"`
}

type sessionHealth struct {
	LeaseAge   string `json:"lease_age"`
	LeaseFresh bool   `json:"lease_fresh"`
	LastSweep  string `json:"last_sweep,omitempty"`
	SweepHeld  string `json:"sweep_held,omitempty"`
	ClockAhead string `json:"clock_ahead"`
	ClockSkew  string `json:"clock_skew"`
	Cached     int    `json:"cached"`
}

// readyz says whether sign-ins and checks work now.
func (g *Gateway) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	health := g.sessions.Health()
	answer := readiness{Status: "ready", Faults: map[string]string{}, Degraded: append([]string{}, g.cfg.Degraded...),
		Sessions: sessionHealth{LeaseAge: health.LeaseAge.String(), LeaseFresh: health.LeaseFresh, SweepHeld: health.SweepHeld,
			ClockAhead: health.ClockAhead.String(), ClockSkew: health.Skew.String(), Cached: health.Cached}}
	if !health.LastSweep.IsZero() {
		answer.Sessions.LastSweep = health.LastSweep.UTC().Format(time.RFC3339)
		if g.now().Sub(health.LastSweep) > lateSweep {
			answer.Faults["sweep"] = "expired sessions have not been removed for over two hours"
		}
	}
	if _, err := g.sessions.Mark(ctx); err != nil {
		answer.Faults["store"] = "the store does not answer"
	}
	if len(g.cfg.Keys.Usable()) == 0 {
		answer.Faults["keys"] = "no key is loaded"
	}
	if health.ClockAhead > insaneClock {
		answer.Faults["clock"] = "session time is " + health.ClockAhead.String() + " ahead of the clock; see: counterfoil doctor"
	}
	if health.SkewHigh {
		answer.Degraded = append(answer.Degraded, "clock: "+health.Skew.Round(time.Millisecond).String()+" ahead of the store's")
	}
	if g.cfg.Ready != nil {
		for name, fault := range g.cfg.Ready(ctx) {
			answer.Faults[name] = fault
		}
	}
	status := http.StatusOK
	switch {
	case len(answer.Faults) > 0:
		answer.Status, status = "unready", http.StatusServiceUnavailable
	case len(answer.Degraded) > 0:
		answer.Status = "degraded"
	}
	g.json(w, r, status, answer)
}
