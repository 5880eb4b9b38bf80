package gateway

import (
	"context"
	"net/http"
	"time"

	"github.com/counterfoil/counterfoil"
)

// waitElsewhere bounds how long a page waits until no other node admits what it ended: somewhat more
// than the default lease, by when a node that stands still has been shut out. Nobody should look at a
// page that loads for longer; where leases are longer it says that the end does not hold everywhere yet.
const waitElsewhere = 6 * time.Second

// The queries by which the account page learns what was done: that an end is not in force everywhere, and
// that the password is another.
const (
	soon    = "elsewhere=soon"
	changed = "password=changed"
)

// notices are what it says then.
var notices = map[string]string{
	soon:    soonNotice,
	changed: "Your password is changed. Wherever else you were signed in, you are not any more.",
}

const soonNotice = "Ended here. Another server has not confirmed it yet; it is refused there, too, within a minute at the latest."

// ended answers after sessions of the visitor were ended, when that holds on every node, or when it has
// been waited for long enough. Where one node alone uses the store that is at once. A browser goes on to
// path.
func (g *Gateway) ended(w http.ResponseWriter, r *http.Request, rv counterfoil.Revocation, path string) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer g.clock.AfterFunc(waitElsewhere, cancel)()
	switch _, err := rv.Wait(ctx); {
	case err == nil:
		done(w, r, path)
	case browser(r):
		seeOther(w, g.accountPath(soon))
	default:
		g.json(w, r, http.StatusAccepted, map[string]string{"message": soonNotice})
	}
}

// accountPath is that of the account page which says what was done.
func (g *Gateway) accountPath(what string) string { return g.cfg.Prefix + "/account?" + what }
