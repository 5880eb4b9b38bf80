package counterfoil

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// What verbs return and refusals wrap. Match them with errors.Is.
var (
	// The program's mistakes.
	ErrNoHandler = errors.New("counterfoil: the request did not pass Manager.Handler; wrap the handler with it")
	ErrTooLate   = errors.New("counterfoil: the answer has begun; change the session before the first byte")
	ErrReadOnly  = errors.New("counterfoil: the connection was taken over; the session can only be read and ended")
	ErrTooLarge  = errors.New("counterfoil: values over the limit")

	// The visitor's state.
	ErrEnded       = errors.New("counterfoil: the session has ended")
	ErrNotSignedIn = errors.New("counterfoil: not signed in")
	ErrStepUp      = errors.New("counterfoil: further proof needed")
	ErrForbidden   = errors.New("counterfoil: forbidden")
	ErrFlood       = errors.New("counterfoil: too many bad tokens from this source; wait a minute")

	// Ours.
	ErrUnavailable = errors.New("counterfoil: the store does not answer; try again")
)

// A Condition returns nil, or why v will not do: an error that wraps ErrStepUp or ErrForbidden. now
// is session time.
type Condition func(v View, now time.Time) error

// Fresh asks that the subject proved who it is within the time.
func Fresh(within time.Duration) Condition {
	return func(v View, now time.Time) error {
		if v.e == nil || now.UnixMilli() > v.e.proof+within.Milliseconds() {
			return fmt.Errorf("%w: the last proof is older than %v", ErrStepUp, within)
		}
		return nil
	}
}

// Level asks for at least this assurance, 1 to 3.
func Level(aal int) Condition {
	return func(v View, _ time.Time) error {
		if v.Level() < aal {
			return fmt.Errorf("%w: level %d is needed", ErrStepUp, aal)
		}
		return nil
	}
}

// Meets returns nil if v is of somebody signed in and every condition holds at this moment of session
// time, else what [Manager.Require] would refuse with. A condition is asked only about somebody.
func (m *Manager) Meets(v View, cond ...Condition) error {
	if !v.SignedIn() {
		return ErrNotSignedIn
	}
	now := m.clock.now().time()
	for _, c := range cond {
		if err := c(v, now); err != nil {
			return err
		}
	}
	return nil
}

// Require passes requests on whose session is signed in and meets each condition; Config.Refuse
// answers the others. It works with or without Handler around it.
func (m *Manager) Require(cond ...Condition) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s := m.FromContext(r.Context())
			v := s.View()
			if s.m == nil {
				var verdict Verdict
				if v, verdict = m.Check(r); verdict == Unknown {
					m.refuse(w, r, ErrUnavailable)
					return
				}
			}
			if err := m.Meets(v, cond...); err != nil {
				m.refuse(w, r, err)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}
