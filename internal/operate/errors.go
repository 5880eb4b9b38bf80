package operate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/account"
	"github.com/counterfoil/counterfoil/keyring"
)

// What an operation says besides that it failed. Match them with [errors.Is].
var (
	ErrUsage       = errors.New("usage")
	ErrNotFound    = errors.New("not found")
	ErrUnreachable = errors.New("unreachable")
)

// refusal is an answer of the control API: one sentence for the operator, and its kind.
type refusal struct {
	kind error // one of the sentinels, nil: failed
	says string
}

func (r *refusal) Error() string { return r.says }
func (r *refusal) Unwrap() error { return r.kind }

func notFound(format string, args ...any) error {
	return &refusal{ErrNotFound, fmt.Sprintf(format, args...)}
}

func usage(format string, args ...any) error {
	return &refusal{ErrUsage, fmt.Sprintf(format, args...)}
}

func failed(format string, args ...any) error {
	return &refusal{nil, fmt.Sprintf(format, args...)}
}

// problem is an error as it travels over the control socket.
type problem struct {
	Error struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

var codes = []struct {
	code   string
	status int
	kind   error
}{
	{"usage", http.StatusBadRequest, ErrUsage},
	{"not_found", http.StatusNotFound, ErrNotFound},
	{"unreachable", http.StatusServiceUnavailable, ErrUnreachable},
}

// writeError answers with what err says. What is no refusal of ours is the store that did not answer,
// or a fault of this program: that is logged.
func writeError(w http.ResponseWriter, log *slog.Logger, err error) {
	var p problem
	p.Error.Code, p.Error.Message = "failed", err.Error()
	status := http.StatusConflict
	var r *refusal
	var weak *account.PasswordError
	switch {
	case errors.As(err, &r):
	case errors.As(err, &weak):
		p.Error.Message = "the password was refused. " + weak.Why
	case errors.Is(err, account.ErrName):
		p.Error.Message = "a user's name is 1 to 64 bytes of letters, digits and signs, without spaces"
	case errors.Is(err, keyring.ErrNotOurs):
	case errors.Is(err, counterfoil.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		err = errors.Join(err, ErrUnreachable)
	default:
		log.Error("an operation failed", "error", err)
	}
	for _, c := range codes {
		if errors.Is(err, c.kind) {
			p.Error.Code, status = c.code, c.status
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(p)
}

// readError turns an answer back into the refusal that it was.
func (p problem) err() error {
	for _, c := range codes {
		if c.code == p.Error.Code {
			return &refusal{c.kind, p.Error.Message}
		}
	}
	return &refusal{nil, p.Error.Message}
}
