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

// soon is the query by which the account page learns that an end was not in force everywhere.
const soon = "elsewhere=soon"

const soonNotice = "Ended here. Another server has not confirmed it yet; it is refused there, too, within a minute at the latest."

// ended answers after sessions of the visitor were ended, when that holds on every node, or when it has
// been waited for long enough. Where one node alone uses the store that is at once.
func (g *Gateway) ended(w http.ResponseWriter, r *http.Request, rv counterfoil.Revocation) {
	path := g.cfg.Prefix + "/account"
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer g.clock.AfterFunc(waitElsewhere, cancel)()
	switch _, err := rv.Wait(ctx); {
	case err == nil:
		done(w, r, path)
	case browser(r):
		seeOther(w, path+"?"+soon)
	default:
		g.json(w, r, http.StatusAccepted, map[string]string{"message": soonNotice})
	}
}
