package operate

import (
	"fmt"
	"net/http"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/internal/config"
)

// Limit is one limit in force and why it is what it is (ASVS 5.0 7.1.1, 7.1.2).
type Limit struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Source string `json:"source"` // "default", or where it was written
	Reason string `json:"reason"`
}

func (o *Operations) policy(*http.Request) (any, error) { return Limits(o.Config), nil }

// Limits returns the limits that a configuration puts in force.
func Limits(c *config.Config) []Limit {
	why := func(fits bool, reason string) string {
		if c.LimitsReason != "" && !fits {
			return c.LimitsReason
		}
		return reason
	}
	return []Limit{
		{"idle", config.FormatSpan(c.Idle), c.Sources["idle"], why(c.Idle <= time.Hour, idleReason(c.Idle))},
		{"absolute", config.FormatSpan(c.Absolute), c.Sources["absolute"], why(c.Absolute <= 24*time.Hour, absoluteReason(c.Absolute))},
		{"max_sessions", fmt.Sprint(c.MaxSessions), c.Sources["max-sessions"], "more than anybody's devices, few enough that a stolen password shows"},
		{"at_limit", c.AtLimit.String(), c.Sources["at-limit"], overflowReason(c.AtLimit)},
		{"persistent", fmt.Sprint(c.Persistent), c.Sources["persistent"], persistentReason(c.Persistent)},
	}
}

func idleReason(d time.Duration) string {
	switch {
	case d <= 15*time.Minute:
		return "NIST SP 800-63B-4 AAL3: 15 minutes at most"
	case d <= 30*time.Minute:
		return "OWASP: 15 to 30 minutes for common applications; within NIST SP 800-63B-4 AAL2"
	case d <= time.Hour:
		return "NIST SP 800-63B-4 AAL2: an hour at most"
	}
	return "longer than AAL2's hour; AAL1 (NIST SP 800-63B-4) asks for no idle limit"
}

func absoluteReason(d time.Duration) string {
	switch {
	case d <= 12*time.Hour:
		return "a working day; within NIST SP 800-63B-4 AAL3's 12 hours"
	case d <= 24*time.Hour:
		return "NIST SP 800-63B-4 AAL2: 24 hours at most"
	case d <= 30*24*time.Hour:
		return "longer than AAL2's day, within the 30 days of NIST SP 800-63B-4 AAL1"
	}
	return "longer than NIST SP 800-63B-4 allows at any level"
}

func overflowReason(o counterfoil.Overflow) string {
	switch o {
	case counterfoil.EvictOldest:
		return "a sign-in over the number ends the user's oldest session"
	case counterfoil.Deny:
		return "a sign-in over the number is refused"
	}
	return "a sign-in over the number ends the session that was idle longest"
}

func persistentReason(p bool) string {
	if p {
		return "the cookie survives the browser's end; the server's limits hold all the same"
	}
	return "the cookie ends with the browser (OWASP)"
}
