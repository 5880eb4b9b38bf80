// Package operate is what an operator does to an installation: users, sessions, keys, audit, checks.
// It is one HTTP API, so that a command does the same whether a server runs or not:
//
//	lock, err := operate.TakeLock(dir) // nobody serves: open it and ask in this process
//	client := operate.Local(operations)
//	client := operate.Remote(dir)      // or ask the server over its control socket
//	err = client.Get(ctx, "/v1/users", nil, &users)
//
// The socket is open to its owner and root alone; whoever can ask may do everything.
package operate

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/account"
	"github.com/counterfoil/counterfoil/internal/config"
	"github.com/counterfoil/counterfoil/internal/transfer"
	"github.com/counterfoil/counterfoil/keyring"
)

// Operations are done to one open installation. All fields are required.
type Operations struct {
	Config   *config.Config
	Store    counterfoil.Store
	Side     transfer.Side // the same with what is kept beside it, as a whole
	Sessions *counterfoil.Manager
	Accounts *account.Service
	Keys     *keyring.Ring
	Audit    Recorder
	Clock    counterfoil.Clock
	Logger   *slog.Logger
}

// Recorder takes events that are no change in the store, for the audit.
type Recorder interface {
	Record(counterfoil.Event)
}

const maxBody = 64 << 10 // bytes of a request; the longest thing in one is a password

// Handler returns the control API.
func (o *Operations) Handler() http.Handler {
	mux := http.NewServeMux()
	for pattern, do := range map[string]func(*http.Request) (any, error){
		"GET /v1/users":                  o.users,
		"POST /v1/users":                 o.addUser,
		"POST /v1/users/{name}/password": o.setPassword,
		"POST /v1/users/{name}/disable":  o.disable,
		"POST /v1/users/{name}/enable":   o.enable,
		"GET /v1/sessions":               o.sessions,
		"POST /v1/sessions/end":          o.endSessions,
		"GET /v1/keys":                   o.keys,
		"POST /v1/keys/rotate":           o.rotateKey,
		"POST /v1/keys/wrap":             o.wrapKeys,
		"GET /v1/keys/{id}":              o.key,
		"POST /v1/keys/{id}/revoke":      o.revokeKey,
		"GET /v1/audit":                  o.verifyAudit,
		"GET /v1/doctor":                 o.doctor,
		"GET /v1/policy":                 o.policy,
		"GET /v1/nodes":                  o.nodes,
		"POST /v1/nodes/{name}/remove":   o.removeNode,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
			v, err := do(r)
			if err != nil {
				writeError(w, o.Logger, err)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			json.NewEncoder(w).Encode(v)
		})
	}
	mux.HandleFunc("GET /v1/backup", o.backup)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeError(w, o.Logger, notFound("the server knows no %s %s; is it of another version?", r.Method, r.URL.Path))
	})
	return mux
}

// read takes a request's body apart.
func read(r *http.Request, into any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil && !errors.Is(err, io.EOF) {
		return usage("the request is malformed: %v", err)
	}
	return nil
}

func (o *Operations) now() time.Time {
	wall, _ := o.Clock.Now()
	return wall.UTC().Truncate(time.Millisecond)
}
