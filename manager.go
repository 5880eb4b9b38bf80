package counterfoil

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"time"
)

// Manager is safe for use by many goroutines. (skeleton: signatures fixed, bodies follow)
type Manager struct{ _ [0]func() }

// New checks cfg, reaches the store (ctx bounds that) and starts the poller, the toucher and the reaper.
func New(ctx context.Context, cfg Config) (*Manager, error) { panic("skeleton") }

// Close writes pending touches and waits for everything New started. The store stays open.
func (m *Manager) Close(ctx context.Context) error { panic("skeleton") }

// Handler puts the visitor's session in the context of each request and commits changes before the
// first byte of the answer. If the store cannot say whether a token is good, next is not called.
func (m *Manager) Handler(next http.Handler) http.Handler { panic("skeleton") }

// FromContext returns the session that m.Handler put there; never nil.
func (m *Manager) FromContext(ctx context.Context) *Session { panic("skeleton") }

// Check looks at r alone: for forward-auth endpoints and sockets. No cookie is set, nothing allocated.
func (m *Manager) Check(r *http.Request) (View, Verdict) { panic("skeleton") }

// Verdict is the outcome of a check.
type Verdict uint8

const (
	Unknown Verdict = iota // the store does not answer: 503 with Retry-After; neither in nor out
	Invalid                // no session: none presented, or what was presented is no good
	Valid                  // a session, signed in or anonymous: see View.SignedIn
)

// Require passes requests on whose session is signed in and meets each condition; Config.Refuse
// answers the others. It works with or without Handler around it.
func (m *Manager) Require(cond ...Condition) func(http.Handler) http.Handler { panic("skeleton") }

// A Condition returns nil, or why v will not do: an error that wraps ErrStepUp or ErrForbidden.
type Condition func(v View, now time.Time) error

func Fresh(within time.Duration) Condition { panic("skeleton") }
func Level(aal int) Condition              { panic("skeleton") }

// View is what is known of a session, read-only, a small value.
type View struct{ _ [0]func() }

func (v View) ID() ID           { panic("skeleton") }
func (v View) SignedIn() bool   { panic("skeleton") }
func (v View) Subject() string  { panic("skeleton") }
func (v View) Info() Info       { panic("skeleton") }
func (v View) Revision() uint64 { panic("skeleton") }

// Session is one request's session.
type Session struct{ _ [0]func() }

func (s *Session) View() View      { panic("skeleton") }
func (s *Session) ID() ID          { panic("skeleton") }
func (s *Session) SignedIn() bool  { panic("skeleton") }
func (s *Session) Subject() string { panic("skeleton") }
func (s *Session) Info() Info      { panic("skeleton") }

// SignIn ends the present session and starts a new one with a new token, durably, before it returns.
func (s *Session) SignIn(id Identity) error { panic("skeleton") }

// SignOut ends the session, durably, before it returns, and clears the cookie. Without a session: nil.
func (s *Session) SignOut() error { panic("skeleton") }

// Commit writes pending values now; otherwise Handler does, before the first byte.
func (s *Session) Commit() error { panic("skeleton") }

// Confirm reads the store: nil if the session lives at this moment, ErrEnded or ErrUnavailable.
func (s *Session) Confirm(ctx context.Context) error { panic("skeleton") }

// Done is closed when the session ends, so that sockets and streams end with it; Cause says why.
func (s *Session) Done() <-chan struct{} { panic("skeleton") }
func (s *Session) Cause() Reason         { panic("skeleton") }

// Identity says who signs in and how it was proved.
type Identity struct {
	Subject string    // Required; at most 255 bytes, opaque to this package.
	Methods []string  // RFC 8176 names: "pwd", "otp", "hwk".
	Level   int       // 1 to 3. 0: 1.
	Proved  time.Time // Zero: now.
	Label   string    // Shown in lists, at most 40 bytes. "": from the User-Agent.
	Keep    []AnyKey  // Values that may cross from the present session. Nil: none.
	KeepAll bool      // All values cross: for a re-sign-in of the same subject (password change).

	Since Mark   // from Manager.Mark, taken before the credential was checked; zero: no check
	Epoch uint64 // version of the credential that was proved; 0: none
	Nonce string // one-time nonce of the sign-in form: the same (nonce, subject) yields the same session for a while
}

// Mark is a position in the store's log.
type Mark struct{ seq uint64 }

// Mark reads the log's head from the store. Take it before a credential is checked (R14).
func (m *Manager) Mark(ctx context.Context) (Mark, error) { panic("skeleton") }

// List yields the live sessions of subject, newest first. It stops after the first error.
func (m *Manager) List(ctx context.Context, subject string) iter.Seq2[Info, error] { panic("skeleton") }

// All yields every live session, in no order: for operators.
func (m *Manager) All(ctx context.Context) iter.Seq2[Info, error] { panic("skeleton") }

// Revoke ends what t selects: durable, and in force on this node, when it returns.
func (m *Manager) Revoke(ctx context.Context, t Target, why Reason) (Revocation, error) {
	panic("skeleton")
}

// Revocation is the receipt of a Revoke.
type Revocation struct {
	Seq   uint64 // position in the log
	Ended int    // sessions ended; -1 if the store cannot say
}

// Wait returns nil when no node can admit an ended session any more.
func (r Revocation) Wait(ctx context.Context) error { panic("skeleton") }

// Target selects sessions.
type Target struct{ _ [0]func() }

func AllOf(subject string) Target           { panic("skeleton") }
func Everything() Target                    { panic("skeleton") }
func ByID(id ID) Target                     { panic("skeleton") } // whoever's: for operators
func (t Target) Only(id ID) Target          { panic("skeleton") } // AllOf("alice").Only(id): alice's, or nothing
func (t Target) Except(keep ...ID) Target   { panic("skeleton") } // AllOf only
func (t Target) Before(epoch uint64) Target { panic("skeleton") } // AllOf only: sessions whose credential was older

// Describe turns a log entry into an Event, its sealed detail opened; readable is false if the
// detail's key is gone.
func (m *Manager) Describe(e Entry) (ev Event, readable bool) { panic("skeleton") }

// Health says how the manager is.
func (m *Manager) Health() Health { panic("skeleton") }

// Health is what a readiness check shows; it holds no secret.
type Health struct {
	LeaseAge   time.Duration // since the last poll that proved the whole log was sent
	LeaseFresh bool
	LastReap   time.Time
	Reaping    string        // "" or why reaping is held back
	ClockSkew  time.Duration // session time ahead of the wall clock
	Cached     int           // sessions in the near cache
}

// Key is a typed value of a session.
type Key[T any] struct{ name string }

// AnyKey is any [Key].
type AnyKey interface{ keyName() string }

func NewKey[T any](name string) Key[T]                         { panic("skeleton") }
func (k Key[T]) keyName() string                               { return k.name }
func (k Key[T]) Get(s *Session) (T, error)                     { panic("skeleton") }
func (k Key[T]) Set(s *Session, v T) error                     { panic("skeleton") }
func (k Key[T]) Delete(s *Session) error                       { panic("skeleton") }
func (k Key[T]) Update(s *Session, f func(T) (T, error)) error { panic("skeleton") }

var (
	ErrNoHandler   = errors.New("counterfoil: the request did not pass Manager.Handler")
	ErrTooLate     = errors.New("counterfoil: the answer has begun")
	ErrReadOnly    = errors.New("counterfoil: read-only session")
	ErrTooLarge    = errors.New("counterfoil: values over the limit")
	ErrEnded       = errors.New("counterfoil: the session has ended")
	ErrNotSignedIn = errors.New("counterfoil: not signed in")
	ErrStepUp      = errors.New("counterfoil: further proof needed")
	ErrForbidden   = errors.New("counterfoil: forbidden")
	ErrFlood       = errors.New("counterfoil: too many bad tokens from this source")
	ErrUnavailable = errors.New("counterfoil: the store does not answer")
)
