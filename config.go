package counterfoil

import (
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/counterfoil/counterfoil/keyring"
)

// Config says how a [Manager] works. It is read once, by [New]; later changes have no effect. The
// zero value of every field but Store and Keys is the safest choice.
type Config struct {
	Store Store         // Required.
	Keys  *keyring.Ring // Required: a store that outlives the process needs keys that do.

	Policy Policy // Zero: idle 30 minutes, absolute 8 hours; see Policy.
	Cookie Cookie // How tokens travel.

	// Realm separates the sessions of several managers on one store: a token of one realm is unknown
	// in another. "": the cookie's name.
	Realm string

	Lease      time.Duration // How stale the near cache may be, L. 0: 5s; 1s to 60s.
	Skew       time.Duration // How far this machine's clock and a shared store's may be apart. 0: 10s; 100ms to 60s.
	CacheBytes int64         // Bound of the near cache. 0: 64 MiB; negative: no cache.
	ValueBytes int           // Limit of one session's encoded values. 0: 64 KiB.

	// Refuse answers a request that Handler or Require will not pass on. err is, by [errors.Is],
	// ErrNotSignedIn, ErrStepUp, ErrForbidden, ErrEnded, ErrConflict, ErrFlood or ErrUnavailable. Nil:
	// plain text with 401, 403, 403, 401, 409, 429 or 503, the last two with Retry-After.
	Refuse func(w http.ResponseWriter, r *http.Request, err error)

	// Observe is told of each Event that this node makes or reads, refusals included: the place of
	// metrics and notices. It must be quick, is called by many goroutines at once and cannot refuse
	// anything. Lifecycle changes stand in the store's log as well, which no failure can skip: an
	// audit is made from there. Nil: nobody is told.
	Observe func(Event)

	// Background reports whether a request is not the user's doing (polling). Such requests do not
	// count as activity. Nil: none is.
	Background func(*http.Request) bool

	// ClientIP says who is calling. Nil: the peer's address; no header is believed.
	ClientIP func(*http.Request) netip.Addr

	Logger *slog.Logger // Nil: slog.Default. It never sees a secret.
	Clock  Clock        // Nil: the system's.
	Random io.Reader    // Nil: crypto/rand. Anything else is for simulations.
}

// Cookie says how a session's cookie looks. Path is always "/", HttpOnly always set, and Domain
// never, so that the __Host- prefix holds (RFC 6265bis 4.1.3).
type Cookie struct {
	Name       string        // "": __Host-Http-session. Must have the prefix __Host- or __Host-Http-.
	VisitName  string        // The anonymous sessions' cookie. "": __Host-Http-visit.
	SameSite   http.SameSite // 0: Lax. None is refused: nothing here needs it.
	Persistent bool          // false: ends with the browser, and no later than the server says.

	// Insecure is for development on plain http: cookies lose Secure and the prefix, and requests
	// from any but a loopback address are refused. It is logged at every start.
	Insecure bool
}
