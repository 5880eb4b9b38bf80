package operate

import (
	"errors"
	"io/fs"
	"net/http"
	"os"

	"github.com/counterfoil/counterfoil/audit"
)

// AuditName is the audit's name in the data folder.
const AuditName = "audit.jsonl"

// Chain is the outcome of a check of the audit.
type Chain struct {
	Lines        int    `json:"lines"`
	Unverifiable int    `json:"unverifiable"` // lines of chains whose key is gone
	Torn         int    `json:"torn"`         // beginnings of lines that crashes left
	Broken       int    `json:"broken"`       // number of the first bad line; 0: none
	Why          string `json:"why,omitempty"`
}

// verifyAudit reads the store's note of the last line before the file: what is written meanwhile then
// only adds to it.
func (o *Operations) verifyAudit(r *http.Request) (any, error) {
	name, err := NodeName(o.Config)
	if err != nil {
		return nil, err
	}
	last, err := o.Store.Meta(r.Context(), audit.TailKeyOf(name))
	if err != nil {
		return nil, err
	}
	f, err := os.Open(o.Config.Path(AuditName))
	if errors.Is(err, fs.ErrNotExist) {
		if last == nil {
			return Chain{}, nil
		}
		return Chain{Broken: 1, Why: "the file is gone, and the store knows that it had lines"}, nil
	}
	if err != nil {
		return nil, failed("the audit cannot be read: %v", err)
	}
	defer f.Close()
	found, err := audit.Verify(f, o.Keys.AuditKey(), last)
	if err != nil {
		return nil, failed("%v", err)
	}
	return Chain{found.Lines, found.Unverifiable, found.Torn, found.Broken, found.Why}, nil
}
